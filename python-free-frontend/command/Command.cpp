#include "Command.h"

#include "tenon/TensorFile.h"

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <unistd.h>

namespace tenon::command {
namespace {

// CLI11 takes -1, and what does not fit, for the largest number.
void add_natural_option(CLI::App &app, const char *flag, uint64_t &value, const char *text) {
  app.add_option_function<std::string>(
         flag,
         [flag, &value](const std::string &given) {
           const char *end = given.data() + given.size();
           const auto [rest, error] = std::from_chars(given.data(), end, value);
           if (error != std::errc() || rest != end)
             throw CLI::ValidationError(flag, "'" + given + "' is no number from 0 to 2^64 - 1");
         },
         text)
      ->type_name("NUMBER");
}

Error with_option(const char *option, const Error &error) {
  return Error(error.code(), std::string(option) + ": " + error.message());
}

} // namespace

void add_random_options(CLI::App &app, uint64_t &seed, uint64_t &offset) {
  add_natural_option(app, "--seed", seed, "of dropout");
  add_natural_option(app, "--offset", offset, "of dropout; at most 32 bits");
}

Result<Tensor> load_option(const char *option, const std::string &path) {
  Result<Tensor> tensor = load_tensor(path);
  return tensor ? std::move(tensor) : Result<Tensor>(with_option(option, tensor.error()));
}

Result<void> check_output_option(const char *option, const std::string &path, DataType dtype) {
  const Status writable = check_writable(path, dtype);
  return writable ? Result<void>() : Result<void>(with_option(option, writable.error()));
}

bool same_file(const std::string &a, const std::string &b) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (fs::exists(a, unknown) && !fs::is_regular_file(a, unknown))
    return false; // /dev/null takes any number
  return a == b || fs::weakly_canonical(fs::absolute(a, unknown), unknown) ==
                       fs::weakly_canonical(fs::absolute(b, unknown), unknown);
}

void add_device_option(CLI::App &app, Way &way) {
  static const std::map<std::string, Way> kWays = {{"auto", Way::kAuto},
                                                   {"host", Way::kHost},
                                                   {"cuda", Way::kCuda},
                                                   {"emulator", Way::kEmulator},
                                                   {"eager", Way::kEager}};
  app.add_option_function<std::string>(
         "--device", [&way](const std::string &name) { way = kWays.at(name); },
         "auto, host, cuda, emulator or eager; a named one runs it or the command fails")
      ->check(CLI::IsMember(kWays))
      ->default_str("auto")
      ->type_name("DEVICE");
}

void add_target_option(CLI::App &app, std::string &target) {
  app.add_option("--target", target, "code for this target instead of the device's best: host:x86-64-v3 …, sm_80 …")
      ->type_name("TARGET");
}

void add_causal_option(CLI::App &app, std::string &causal) {
  app.add_flag("--causal{top-left}", causal,
               "queries see keys up to their own place; --causal=bottom-right counts from the end")
      ->check(CLI::IsMember({"top-left", "bottom-right"}));
}

std::string label(std::string_view text, size_t width) {
  static const bool terminal = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  std::string padded(text);
  if (padded.size() < width)
    padded.resize(width, ' ');
  return terminal ? "\033[1m" + padded + "\033[0m" : padded;
}

Error unprintable() {
  return Error(ErrorCode::kIo, std::string("stdout: cannot be written: ") + std::strerror(errno));
}

Result<void> print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return unprintable();
  return {};
}

Result<void> print_json(const Json &object) {
  return print(object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json to_json(const Explanation &explanation) {
  return Json::parse(explanation.json());
}

int64_t now_nanoseconds() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double milliseconds_since(int64_t nanoseconds) {
  return static_cast<double>(now_nanoseconds() - nanoseconds) / 1e6;
}

} // namespace tenon::command
