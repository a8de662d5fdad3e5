#include "Ptxas.h"

#include "Command.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <regex>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

namespace tenon::command {
namespace {

/// A folder of its own for the length of a run.
class Scratch {
public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "tenon-XXXXXX").string();
    if (mkdtemp(pattern.data()))
      path_ = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty())
      std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch &) = delete;
  Scratch &operator=(const Scratch &) = delete;
  const std::string &path() const { return path_; }

private:
  std::string path_;
};

/// Runs a program with both outputs in a file; its exit status, −1 where it could not be started.
int run(std::vector<std::string> words, const std::string &log) {
  std::vector<char *> arguments;
  for (std::string &word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int failed =
      posix_spawn(&child, words[0].c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  if (failed != 0 || waitpid(child, &status, 0) != child)
    return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int number(const std::string &text, const char *pattern) {
  std::smatch match;
  return std::regex_search(text, match, std::regex(pattern)) ? std::stoi(match[1]) : 0;
}

} // namespace

Result<std::string> find_ptxas() {
  std::string places = std::getenv("PATH") ? std::getenv("PATH") : "";
  places += ":/usr/local/cuda/bin";
  for (size_t begin = 0; begin < places.size();) {
    const size_t end = std::min(places.find(':', begin), places.size());
    const std::string candidate = places.substr(begin, end - begin) + "/ptxas";
    if (end > begin && access(candidate.c_str(), X_OK) == 0)
      return candidate;
    begin = end + 1;
  }
  return Error(ErrorCode::kUnsupported,
               "ptxas is not on PATH; it is part of the CUDA toolkit, and only cubins need it");
}

Result<Assembled> assemble(const std::string &ptx, const std::string &target) {
  TENON_ASSIGN_OR_RETURN(const std::string ptxas, find_ptxas());
  const Scratch scratch;
  if (scratch.path().empty())
    return Error(ErrorCode::kIo, "no temporary folder can be made");
  const std::string source = scratch.path() + "/kernel.ptx",
                    cubin = scratch.path() + "/kernel.cubin", log = scratch.path() + "/log";
  TENON_TRY(write_file(source, ptx));
  const int status = run({ptxas, "-v", "-arch=" + target, source, "-o", cubin}, log);
  TENON_ASSIGN_OR_RETURN(const std::string said, read_file(log));
  if (status != 0)
    return Error(ErrorCode::kCompilation, "ptxas: " + said);
  Assembled assembled;
  TENON_ASSIGN_OR_RETURN(assembled.cubin, read_file(cubin));
  assembled.registers = number(said, R"(Used (\d+) registers)");
  assembled.spill_store_bytes = number(said, R"((\d+) bytes spill stores)");
  assembled.spill_load_bytes = number(said, R"((\d+) bytes spill loads)");
  assembled.shared_bytes = number(said, R"((\d+) bytes smem)");
  return assembled;
}

} // namespace tenon::command
