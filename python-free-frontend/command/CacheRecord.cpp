#include "Cache.h"
#include "Subprocess.h"

#include <cstdlib>
#include <memory>
#include <set>
#include <sstream>

namespace tenon::command {
namespace {

struct RecordCommand {
  std::string output;
  std::vector<std::string> words;
};

constexpr const char *kFooter =
    R"(Writes what the program asked for while it ran; build it for any target afterwards.

Example:
  tenon cache record -o manifest.json -- ./server --warm-up
  tenon cache build manifest.json --target sm_90a --target host:x86-64-v4 -o kernels)";

// Each kernel once, whatever the target; all targets.
Json manifest_of(const std::string &asked) {
  Json kernels = Json::array(), targets = Json::array();
  std::set<std::string> known;
  std::istringstream lines(asked);
  for (std::string line; std::getline(lines, line);) {
    Json kernel = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!kernel.is_object())
      continue; // a process was killed while it wrote
    const Json target = kernel["target"];
    kernel.erase("target");
    if (known.insert("target " + target.dump()).second)
      targets.push_back(target);
    if (known.insert(kernel.dump()).second)
      kernels.push_back(std::move(kernel));
  }
  return {{"tenon_manifest", 1}, {"targets", targets}, {"kernels", kernels}};
}

Result<void> run_record(const RecordCommand &command) {
  TENON_TRY(check_replaceable(command.output));
  const Scratch scratch;
  if (scratch.path().empty())
    return Error(ErrorCode::kIo, "no temporary folder can be made");
  const std::string asked = scratch.path() + "/asked";
  setenv("TENON_CACHE_RECORD", asked.c_str(), 1);
  const int status = run_program(command.words, "");
  const Result<std::string> text = read_text(asked);
  const Json manifest = manifest_of(text ? *text : "");
  const size_t count = manifest["kernels"].size();
  if (count != 0)
    TENON_TRY(replace_file(command.output, manifest.dump(1) + "\n"));
  if (status != 0)
    return Error(ErrorCode::kIo, command.words[0] + " ended with " + std::to_string(status) +
                                     "; it had asked for " + std::to_string(count) + " kernels");
  if (count == 0)
    return Error(ErrorCode::kNotFound, command.words[0] + " asked for no kernel");
  return print(command.output + ": " + std::to_string(count) + " kernels\n");
}

} // namespace

void add_cache_record(CLI::App &cache, Action &action) {
  auto options = std::make_shared<RecordCommand>();
  CLI::App *record =
      cache.add_subcommand("record", "Writes the manifest of what a program asks for");
  record->footer(kFooter);
  record->add_option("-o,--output", options->output, "the manifest")->required()->type_name("FILE");
  record->add_option("program", options->words, "-- and the program with its arguments")
      ->required();
  record->callback([options, &action] { action = [options] { return run_record(*options); }; });
}

} // namespace tenon::command
