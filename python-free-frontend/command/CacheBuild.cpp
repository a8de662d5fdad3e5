#include "Builder.h"
#include "Cache.h"

#include "tenon/Target.h"

#include <memory>
#include <thread>

namespace tenon::command {
namespace {

struct BuildCommand {
  std::string manifest, output, report, shard, cubin = "auto", sign;
  std::vector<std::string> targets;
  unsigned jobs = 0;
  bool json = false;
};

constexpr const char *kFooter =
    R"(A manifest lists kernels in JSON (python-free-frontend/README.md). What is there already is not compiled again;
directories that were built apart merge by copying.

Examples:
  tenon cache build manifest.json --target sm_80 --target sm_90 --target host:x86-64-v3 -o kernels
  tenon cache build manifest.json --target sm_80 -o kernels --shard 2/8 --json
  TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit application)";

// "2/8": every eighth line, beginning with the second.
Result<std::pair<size_t, size_t>> parse_shard(const std::string &text) {
  if (text.empty())
    return std::pair<size_t, size_t>(1, 1);
  size_t which = 0, of = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%zu/%zu%c", &which, &of, &rest) != 2 || which < 1 || which > of)
    return Error::invalid_argument("--shard", text, "i/n with 1 <= i <= n");
  return std::pair(which, of);
}

Result<std::vector<std::string>> resolve_targets(const BuildCommand &command,
                                                 const Manifest &manifest) {
  std::vector<std::string> targets;
  for (const std::string &name : command.targets.empty() ? manifest.targets : command.targets) {
    TENON_ASSIGN_OR_RETURN(const Target target, Target::parse(name));
    if (std::ranges::find(targets, target.text()) == targets.end())
      targets.push_back(target.text());
  }
  if (targets.empty())
    return Error::invalid_argument("--target", "none", "at least one, here or in the manifest");
  return targets;
}

Result<void> run_build(const BuildCommand &command) {
  TENON_ASSIGN_OR_RETURN(const std::string text, read_text(command.manifest));
  Result<Manifest> manifest = parse_manifest(text);
  if (!manifest)
    return Error(manifest.error().code(), command.manifest + ": " + manifest.error().message());
  TENON_ASSIGN_OR_RETURN(const auto shard, parse_shard(command.shard));
  TENON_ASSIGN_OR_RETURN(const std::vector<std::string> targets,
                         resolve_targets(command, *manifest));
  const size_t slash = command.manifest.find_last_of('/');
  const std::string folder =
      slash == std::string::npos ? "" : command.manifest.substr(0, slash + 1);
  TENON_ASSIGN_OR_RETURN(std::vector<BuildLine> lines, expand(*manifest, targets, folder));
  std::vector<BuildLine> mine;
  for (size_t i = shard.first - 1; i < lines.size(); i += shard.second)
    mine.push_back(std::move(lines[i]));
  TENON_ASSIGN_OR_RETURN(const Cubins cubins, parse_cubins(command.cubin));
  TENON_ASSIGN_OR_RETURN(const std::shared_ptr<DiskStore> store,
                         DiskStore::open(command.output, {.signing_key = command.sign}));

  Builder builder(*store, cubins,
                  command.jobs ? command.jobs : std::thread::hardware_concurrency());
  builder.run(mine);
  const Json report = report_of(mine, builder.seconds(), cubins.maker);
  if (!command.report.empty())
    TENON_TRY(replace_file(command.report, report.dump(1) + "\n"));
  TENON_TRY(command.json ? print_json(report) : print(summary_of(report)));
  const auto failed = report["failed"].get<size_t>();
  if (failed != 0)
    return Error(ErrorCode::kCompilation, std::to_string(failed) + " of " +
                                              std::to_string(mine.size()) +
                                              " kernels could not be built");
  return {};
}

} // namespace

void add_cache_build(CLI::App &cache, Action &action) {
  auto options = std::make_shared<BuildCommand>();
  CLI::App *build = cache.add_subcommand("build", "Compiles what a manifest lists, ahead of time");
  build->footer(kFooter);
  build->add_option("manifest", options->manifest, "what is compiled")
      ->required()
      ->type_name("FILE");
  build->add_option("--target", options->targets, "sm_80 …, host:x86-64-v3 …; several")
      ->type_name("TARGET");
  build->add_option("-o,--output", options->output, "the directory, made where it is missing")
      ->required()
      ->type_name("DIR");
  build->add_option("-j,--jobs", options->jobs, "threads; by default one a processor");
  build->add_option("--shard", options->shard, "i/n: every n-th line, beginning with line i");
  build->add_option("--cubin", options->cubin, "auto, always or never; ptxas or nvjitlink: by that; PTX is there always")
      ->capture_default_str();
  build->add_option("--sign", options->sign, "signs what is built by this secret key")
      ->type_name("FILE");
  build->add_option("--report", options->report, "writes the report there, as JSON")
      ->type_name("FILE");
  build->add_flag("--json", options->json, "the report on stdout");
  build->callback([options, &action] { action = [options] { return run_build(*options); }; });
}

} // namespace tenon::command
