/// The `tenon` command: attention on tensors in files, kernels as text, and what this machine can
/// do.
#include "Command.h"

#include "tenon/KernelCache.h"
#include "tenon/Libraries.h"
#include "tenon/Version.h"

#include <csignal>
#include <cstdio>
#include <iostream>

namespace tenon::command {
namespace {

constexpr const char *kFooter = R"(Examples:
  tenon sdpa --query q.npy --key k.npy --value v.npy --causal --output o.npy
  tenon compile --head-dim 64 --dtype f16 --causal --target sm_80 --emit ptx -o kernel.ptx
  tenon explain --head-dim 64 --queries 1 --keys 4096 --device host
  tenon bench --device host
  tenon devices --json
  tenon emulate kernel.ptx --list

`tenon COMMAND --help` says more. Environment: TENON_LOG=cache,launch,pass (or all) prints what is done to
stderr. Exit codes: 0 done; 1 it failed, stderr says why; 2 an option is unknown, missing, or none of those
allowed; 3 `emulate` found something.)";

int report(const Error &error) {
  std::cerr << "tenon: error: " << error.message() << '\n';
  for (const Reason &reason : error.reasons())
    if (error.message().find(reason.why) == std::string::npos)
      std::cerr << "  " << reason.what << ": " << reason.why << '\n';
  return kFailure;
}

/// Of a value that could not be read: "--scale = abc" is to be " (must be FLOAT)".
std::string what_it_takes(const CLI::App &app, const CLI::ParseError &error) {
  const std::string what = error.what();
  const size_t name = what.find("--"), end = what.find(" = ");
  if (!dynamic_cast<const CLI::ConversionError *>(&error) || name == what.npos || end == what.npos)
    return "";
  for (const CLI::App *chosen = &app; chosen;) {
    if (const CLI::Option *option = chosen->get_option_no_throw(what.substr(name, end - name)))
      return " (must be " + option->get_type_name() + ")";
    const std::vector<CLI::App *> next = chosen->get_subcommands();
    chosen = next.empty() ? nullptr : next.front();
  }
  return "";
}

// `--mask ''` asks for something that is not there; it is not a way to leave the option out. Words of a program that
// is to be run may be empty.
void refuse_empty_values(CLI::App &app) {
  for (CLI::Option *option : app.get_options())
    if (option->get_items_expected_max() > 0 && !option->get_positional())
      option->check([](const std::string &value) { return std::string(value.empty() ? "must not be empty" : ""); },
                    "");
  for (CLI::App *subcommand : app.get_subcommands({}))
    refuse_empty_values(*subcommand);
}

// What CLI11 says of a wrong command line, in our words' form.
int report(CLI::App &app, const CLI::ParseError &error) {
  if (error.get_exit_code() == 0) {
    app.exit(error);
    return std::cout.flush() ? kSuccess : report(unprintable());
  }
  std::string what = error.what() + what_it_takes(app, error);
  if (const std::vector<std::string> unknown = app.remaining();
      !unknown.empty() && app.get_subcommands().empty())
    what = "'" + unknown.front() + "' is no command of tenon";
  std::cerr << "tenon: error: " << what
            << "\nRun `tenon --help`, or `tenon COMMAND --help`, for usage.\n";
  return kUsage;
}

int run(int count, char **arguments) {
  CLI::App app("Attention, compiled when it is needed. No Python.", "tenon");
  app.set_version_flag("--version", "tenon " + std::string(version()));
  app.footer(kFooter);
  app.require_subcommand(1);
  Action action;
  for (auto add : {add_sdpa, add_run, add_compile, add_devices, add_explain, add_bench, add_emulate,
                   add_cache})
    add(app, action);
  refuse_empty_values(app);
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError &error) {
    return report(app, error);
  }
  const Result<void> configured = KernelCache::process().configure({.disk_by_default = true});
  const Result<ExitCode> done = configured ? action() : Result<ExitCode>(configured.error());
  for (const std::string &note : KernelCache::process().notes())
    std::cerr << "tenon: warning: " << note << '\n';
  return done ? *done : report(done.error());
}

} // namespace
} // namespace tenon::command

int main(int count, char **arguments) {
  // A file beyond the limit of sizes is then an error like any other that says why.
  std::signal(SIGXFSZ, SIG_IGN);
  if (const std::string wrong = tenon::wrong_libraries(); !wrong.empty()) {
    std::fprintf(stderr, "tenon: error: %s\n", wrong.c_str());
    return tenon::command::kFailure;
  }
  try {
    return tenon::command::run(count, arguments);
  } catch (const std::exception &exception) {
    std::fprintf(stderr, "tenon: error: %s\n", exception.what());
    return tenon::command::kFailure;
  }
}
