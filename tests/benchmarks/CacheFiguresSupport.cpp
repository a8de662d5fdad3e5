#include "CacheFiguresSupport.h"

#include "tenon/Attention.h"
#include "tenon/DiskStore.h"
#include "tenon/KernelCache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char **environ;

namespace tenon::figures {
namespace {

using Clock = std::chrono::steady_clock;
double milliseconds(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

double processor_milliseconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

Tensor random(int64_t length, uint64_t seed) {
  return Tensor::random({1, 2, length, 64}, DataType::kFloat32, seed).value();
}

// Lines of /proc/self/maps or /proc/self/status that hold a word.
std::vector<std::string> lines_of(const char *file, const char *word) {
  std::ifstream stream(file);
  std::vector<std::string> found;
  for (std::string line; std::getline(stream, line);)
    if (line.find(word) != std::string::npos)
      found.push_back(line);
  return found;
}

Json call(int64_t length) {
  const Tensor query = random(length, 1), key = random(length, 2), value = random(length, 3);
  const auto begin = Clock::now();
  const double processor = processor_milliseconds();
  const AttentionCall call =
      attention_call(query, key, value, {.causal = true, .device = Way::kHost}).value();
  call.function.call(call.inputs, call.launch).value();
  const double time = milliseconds(begin), busy = processor_milliseconds() - processor;
  const CacheOutcome outcome = call.function.explain().cache;
  const double kilobytes = std::stod(lines_of("/proc/self/status", "VmRSS:").at(0).substr(6));
  const double tensors = 4 * 2 * 64 * 4 * static_cast<double>(length) / 1e6;
  size_t compilers = 0;
  for (const char *library : {"LLVM", "MLIR", "tenon-compiler"})
    compilers += lines_of("/proc/self/maps", library).size();
  return {{"milliseconds", time},
          {"processor_milliseconds", busy},
          {"compiled", outcome == CacheOutcome::kCompiled ? 1 : 0},
          {"disk", outcome == CacheOutcome::kDisk ? 1 : 0},
          {"resident_megabytes", kilobytes * 1024 / 1e6 - tensors},
          {"llvm", compilers}};
}

Json threads(int64_t length) {
  std::atomic<int> compiled{0};
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < 4; ++i)
      all.emplace_back([&] {
        const Function function = attention_function({}, {.device = Way::kHost}).value();
        const Tensor tensor = random(length, 1);
        compiled += function.explain({tensor, tensor, tensor})->cache == CacheOutcome::kCompiled;
      });
  }
  return {{"compiled", compiled.load()}};
}

KernelKey key_of(int number) {
  return KernelKey({"graph" + std::to_string(number), "{}", "sm_80", "{}", "func.func @f"});
}

} // namespace

Folder::Folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "tenon-figures-XXXXXX").string();
  path_ = mkdtemp(pattern.data());
}
Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void write(const std::string &path, const std::string &text) {
  std::ofstream(path) << text;
}

std::string output_of(const std::string &command) {
  std::string text;
  FILE *pipe = popen(command.c_str(), "r");
  for (int letter; (letter = std::fgetc(pipe)) != EOF;)
    text += static_cast<char>(letter);
  pclose(pipe);
  return text;
}

double processor_seconds_of_children() {
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval &time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Child::Child(const std::string &mode, const std::string &directory, const std::string &length) {
  int ends[2];
  if (pipe(ends) != 0)
    std::abort();
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  std::string words[] = {"cache_figures", "--child", mode, directory, length};
  char *arguments[] = {words[0].data(), words[1].data(), words[2].data(),
                       words[3].data(), words[4].data(), nullptr};
  posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments, environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  output_ = ends[0];
}
Child::Child(Child &&other) noexcept
    : process_(std::exchange(other.process_, -1)), output_(std::exchange(other.output_, -1)) {}
Child::~Child() {
  if (process_ > 0)
    waitpid(process_, nullptr, 0);
  if (output_ >= 0)
    close(output_);
}

Json Child::report() {
  std::string text;
  char bytes[4096];
  for (ssize_t got; (got = read(output_, bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(got));
  return Json::parse(text);
}

int child(const std::string &mode, const std::string &directory, const std::string &length) {
  if (!KernelCache::process().configure({.disk = DiskUse::kOn, .directory = directory}))
    return 1;
  const Json report = mode == "call" ? call(std::stoll(length)) : threads(std::stoll(length));
  std::printf("%s\n", report.dump().c_str());
  return 0;
}

// Without syncing: ten thousand of them are wanted soon.
void put_entry(const std::string &directory, int number) {
  std::filesystem::create_directory(directory);
  std::filesystem::permissions(directory, std::filesystem::perms::owner_all);
  const KernelKey key = key_of(number);
  KernelImage image;
  image.kernel = "attention_" + std::to_string(number);
  image.key = key.text();
  image.graph = key.graph();
  image.schedule = "{}";
  image.sections.push_back(
      {SectionKind::kPtx, "sm_80", std::vector<std::byte>(50'000, std::byte{'x'})});
  const std::vector<std::byte> bytes = image.serialize();
  const std::string stem = directory + "/" + key.hash();
  std::ofstream(stem + ".tenon-" + std::to_string(KernelImage::kFormatVersion), std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  write(stem + ".json", R"({"compile_milliseconds": 40})");
}

double look_up_microseconds(const std::string &directory, int count) {
  const auto store = DiskStore::open(directory, {}).value();
  CacheNotes notes;
  double fastest = 1e9;
  for (int round = 0; round < 5; ++round) {
    const auto begin = Clock::now();
    constexpr int kLookUps = 10;
    for (int i = 0; i < kLookUps; ++i)
      if (!store->look_up(key_of(count - 1 - i), notes))
        std::abort();
    fastest = std::min(fastest, milliseconds(begin) * 1000 / kLookUps);
  }
  return fastest;
}

double list_milliseconds(const std::string &directory) {
  const auto begin = Clock::now();
  const size_t lines = DiskStore::open(directory, {}).value()->list()->size();
  const double time = milliseconds(begin);
  return lines == 10'000 ? time : 1e9;
}

} // namespace tenon::figures
