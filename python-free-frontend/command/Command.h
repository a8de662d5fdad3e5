/// What the subcommands of `tenon` share: how they are declared, how they report, how they end.
#pragma once

#include "tenon/Files.h"
#include "tenon/Function.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::command {

using Json = nlohmann::ordered_json;

/// Documented in `tenon --help`.
enum ExitCode : int { kSuccess = 0, kFailure = 1, kUsage = 2, kFindings = 3 };

/// A subcommand that was chosen leaves its work here; it runs after parsing has succeeded. The work gives nothing, or
/// the exit code.
class Action {
public:
  template <class Work> Action &operator=(Work work) {
    work_ = [work = std::move(work)]() -> Result<ExitCode> {
      auto done = work();
      if (!done)
        return done.error();
      if constexpr (std::is_same_v<decltype(done), Result<void>>)
        return ExitCode::kSuccess;
      else
        return *done;
    };
    return *this;
  }
  Result<ExitCode> operator()() const { return work_(); }

private:
  std::function<Result<ExitCode>()> work_;
};

void add_sdpa(CLI::App &app, Action &action);
void add_run(CLI::App &app, Action &action);
void add_compile(CLI::App &app, Action &action);
void add_devices(CLI::App &app, Action &action);
void add_explain(CLI::App &app, Action &action);
void add_bench(CLI::App &app, Action &action);
void add_emulate(CLI::App &app, Action &action);
void add_cache(CLI::App &app, Action &action);

/// Adds --device, whose values are the ways.
void add_device_option(CLI::App &app, Way &way);
/// Adds --target, code for another target than the device's best.
void add_target_option(CLI::App &app, std::string &target);
/// Adds --causal and --causal=bottom-right.
void add_causal_option(CLI::App &app, std::string &causal);

/// Adds --seed and --offset of dropout: decimal, without a sign.
void add_random_options(CLI::App &app, uint64_t &seed, uint64_t &offset);

/// Reads the tensor that an option names. Errors name the option.
Result<Tensor> load_option(const char *option, const std::string &path);
/// Whether a tensor of this type can be written where an option says. Errors name the option.
Result<void> check_output_option(const char *option, const std::string &path, DataType dtype);
/// Whether two paths lead to one file, or would: the second result would take the place of the first.
bool same_file(const std::string &a, const std::string &b);

/// Pads a label, in bold where stdout is a terminal.
std::string label(std::string_view text, size_t width);
/// Stdout cannot be written, as errno says.
Error unprintable();
/// Writes all of it to stdout. Errors: kIo.
Result<void> print(std::string_view text);
Result<void> print_json(const Json &object);

/// Takes the explanation apart as JSON.
Json to_json(const Explanation &explanation);
double milliseconds_since(int64_t nanoseconds);
int64_t now_nanoseconds();

} // namespace tenon::command
