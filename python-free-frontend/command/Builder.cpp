#include "Builder.h"

#include "Cubin.h"
#include "ShapeOptions.h"

#include "tenon/KernelCache.h"
#include "tenon/KernelImage.h"

#include <algorithm>
#include <set>
#include <thread>
#include <unistd.h>

namespace tenon::command {
namespace {

constexpr const char *kOutcomes[] = {"open", "built", "there", "failed"};
constexpr size_t kBarWidth = 30;

ShapeOptions options_of(const KernelShape &shape) {
  ShapeOptions options;
  options.heads = shape.heads;
  options.key_heads = shape.key_heads;
  options.head_dim = shape.head_dim;
  options.value_dim = shape.value_dim;
  options.dtype = shape.dtype;
  options.causal = shape.causal == "false"  ? ""
                   : shape.causal == "true" ? "top-left"
                                            : shape.causal;
  options.mask = shape.mask == "none" ? "" : shape.mask;
  options.dropout = shape.dropout;
  options.logsumexp = shape.logsumexp;
  return options;
}

Result<Function> function_of(const ManifestKernel &kernel, const ShapeOptions &shape,
                             const std::string &folder) {
  if (kernel.file.empty())
    return attention_function(shape.graph(), {.schedule = kernel.options});
  const std::string path = kernel.file.starts_with('/') ? kernel.file : folder + kernel.file;
  TENON_ASSIGN_OR_RETURN(const std::string text, read_text(path));
  const Result<Graph> graph = Graph::parse(text);
  if (!graph)
    return Error(graph.error().code(), path + ":" + graph.error().message());
  return Function::from_graph(*graph, {.schedule = kernel.options});
}

struct Asked {
  std::string hash;
  CompileRequest request;
};

Result<Asked> ask(const ManifestKernel &kernel, const std::string &target,
                  const std::string &folder) {
  if (!kernel.shape) {
    TENON_ASSIGN_OR_RETURN(const Graph graph, Graph::parse(kernel.graph));
    return Asked{graph.canonical().hash(),
                 {.graph = graph.canonical().text(),
                  .signature = kernel.signature,
                  .target = target,
                  .emit = "image",
                  .options = kernel.options}};
  }
  ShapeOptions shape = options_of(*kernel.shape);
  TENON_TRY(shape.complete());
  TENON_ASSIGN_OR_RETURN(const Function function, function_of(kernel, shape, folder));
  TENON_ASSIGN_OR_RETURN(const std::vector<Tensor> tensors, stand_ins(function.graph(), shape));
  const std::vector<TensorReference> inputs(tensors.begin(), tensors.end());
  TENON_ASSIGN_OR_RETURN(CompileRequest request, function.request(inputs, target));
  TENON_ASSIGN_OR_RETURN(const Graph graph, Graph::parse(request.graph));
  return Asked{graph.hash(), std::move(request)};
}

std::string megabytes(size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / 1e6);
  return text;
}

int number_in(const Json &object, const char *name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_number_integer() ? found->get<int>() : 0;
}

} // namespace

Result<Cubins> parse_cubins(const std::string &text) {
  constexpr std::pair<std::string_view, Cubins> kWords[] = {
      {"auto", {CubinUse::kAuto, CubinMaker::kAny}},
      {"always", {CubinUse::kAlways, CubinMaker::kAny}},
      {"never", {CubinUse::kNever, CubinMaker::kAny}},
      {"ptxas", {CubinUse::kAlways, CubinMaker::kPtxas}},
      {"nvjitlink", {CubinUse::kAlways, CubinMaker::kNvJitLink}}};
  for (const auto &[word, cubins] : kWords)
    if (text == word)
      return cubins;
  return Error::invalid_argument("--cubin", text, "auto, always, never, ptxas or nvjitlink");
}

Result<std::vector<BuildLine>> expand(const Manifest &manifest,
                                      const std::vector<std::string> &targets,
                                      const std::string &folder) {
  std::vector<BuildLine> lines;
  std::set<std::string> known;
  for (const ManifestKernel &kernel : manifest.kernels)
    for (const std::string &target : targets) {
      Result<Asked> asked = ask(kernel, target, folder);
      if (!asked &&
          (asked.error().code() == ErrorCode::kNotFound || asked.error().code() == ErrorCode::kIo))
        return asked.error();
      BuildLine line;
      line.place = kernel.place;
      line.request.target = target;
      if (asked) {
        line.request = std::move(asked->request);
        line.key = KernelKey({asked->hash, line.request.signature, line.request.target,
                              line.request.options, line.request.graph});
      } else {
        line.refusal = asked.error().message();
      }
      if (!asked || known.insert(line.key.text()).second)
        lines.push_back(std::move(line));
    }
  return lines;
}

// True where something was made, false where all of it was there.
Result<bool> Builder::make(BuildLine &line) {
  if (!line.refusal.empty())
    return Error(ErrorCode::kCompilation, line.refusal);
  std::optional<StoredKernel> found = store_.look_up(line.key, line.notes);
  const std::shared_ptr<void> claim = found ? nullptr : store_.claim(line.key, line.notes);
  if (claim) // another process may just have made it
    found = store_.look_up(line.key, line.notes);
  KernelImage image;
  if (found) {
    image = std::move(found->image);
    line.bytes = found->bytes;
  } else {
    TENON_ASSIGN_OR_RETURN(const CompileOutcome outcome, compile_kernel(line.request));
    line.milliseconds = outcome.milliseconds;
    TENON_ASSIGN_OR_RETURN(image, KernelImage::parse(outcome.bytes));
    image.key = line.key.text();
    image.graph = line.key.graph();
  }
  line.kernel = image.kernel;
  TENON_ASSIGN_OR_RETURN(const bool added, add_cubin(line, image));
  if (found && !added) { // what was said of it when it was made
    const Json made = Json::parse(store_.provenance(line.key.hash()), nullptr, false);
    line.registers = number_in(made, "registers");
    line.spill_bytes = number_in(made, "spill_bytes");
    return false;
  }
  const std::vector<std::byte> bytes = image.serialize();
  line.bytes = bytes.size();
  if (!found)
    log_compiled(line.key, image.kernel, line.milliseconds, line.bytes);
  const Json details = {{"registers", line.registers}, {"spill_bytes", line.spill_bytes}};
  TENON_TRY(store_.publish(line.key, bytes, {line.milliseconds, details.dump()}));
  return true;
}

Result<bool> Builder::add_cubin(BuildLine &line, KernelImage &image) {
  const ImageSection *ptx = image.find(SectionKind::kPtx);
  if (!ptx || image.find(SectionKind::kCubin) || cubins_.use == CubinUse::kNever)
    return false;
  if (const Result<std::string> maker = find_cubin_maker(cubins_.maker); !maker)
    return cubins_.use == CubinUse::kAuto ? Result<bool>(false) : maker.error();
  const std::string text(reinterpret_cast<const char *>(ptx->bytes.data()), ptx->bytes.size());
  const int64_t begin = now_nanoseconds();
  TENON_ASSIGN_OR_RETURN(const Assembled assembled, make_cubin(text, line.request.target, cubins_.maker));
  line.milliseconds += milliseconds_since(begin);
  line.registers = assembled.registers;
  line.spill_bytes = assembled.spill_store_bytes + assembled.spill_load_bytes;
  const auto *bytes = reinterpret_cast<const std::byte *>(assembled.cubin.data());
  image.sections.push_back(
      {SectionKind::kCubin, line.request.target, {bytes, bytes + assembled.cubin.size()}});
  return true;
}

void Builder::build(BuildLine &line) {
  const Result<bool> made = make(line);
  line.outcome = !made   ? BuildOutcome::kFailed
                 : *made ? BuildOutcome::kBuilt
                         : BuildOutcome::kThere;
  if (!made)
    line.refusal = made.error().message();
}

// A bar on a terminal, a line a kernel elsewhere.
void Builder::show(const BuildLine &line, size_t done, size_t all) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  const std::string count = std::to_string(done) + "/" + std::to_string(all);
  const std::string what =
      line.request.target + " " + (line.kernel.empty() ? line.place : line.kernel);
  std::lock_guard lock(showing_);
  if (terminal) {
    const size_t filled = done * kBarWidth / all;
    std::fprintf(stderr, "\r\033[K[%s%s] %s %s%s", std::string(filled, '#').c_str(),
                 std::string(kBarWidth - filled, '.').c_str(), count.c_str(), what.c_str(),
                 done == all ? "\n" : "");
    return;
  }
  std::fprintf(stderr, "%s %s %s, %.0f ms%s%s\n", count.c_str(),
               kOutcomes[static_cast<size_t>(line.outcome)], what.c_str(), line.milliseconds,
               line.refusal.empty() ? "" : ": ", line.refusal.c_str());
}

void Builder::run(std::vector<BuildLine> &lines) {
  const int64_t begin = now_nanoseconds();
  std::atomic<size_t> next{0}, done{0};
  auto work = [&] {
    for (size_t i = next++; i < lines.size(); i = next++) {
      build(lines[i]);
      show(lines[i], ++done, lines.size());
    }
  };
  std::vector<std::jthread> threads;
  for (unsigned i = 1; i < std::min<size_t>(jobs_, lines.size()); ++i)
    threads.emplace_back(work);
  work();
  threads.clear();
  seconds_ = milliseconds_since(begin) / 1e3;
}

Json report_of(const std::vector<BuildLine> &lines, double seconds, CubinMaker maker) {
  size_t counts[std::size(kOutcomes)] = {}, bytes = 0;
  Json each = Json::array();
  for (const BuildLine &line : lines) {
    ++counts[static_cast<size_t>(line.outcome)];
    bytes += line.bytes;
    each.push_back({{"place", line.place},
                    {"target", line.request.target},
                    {"hash", line.key.text().empty() ? "" : line.key.hash()},
                    {"kernel", line.kernel},
                    {"outcome", kOutcomes[static_cast<size_t>(line.outcome)]},
                    {"milliseconds", line.milliseconds},
                    {"bytes", line.bytes},
                    {"registers", line.registers},
                    {"spill_bytes", line.spill_bytes},
                    {"reason", line.refusal},
                    {"notes", line.notes}});
  }
  const Result<std::string> made_by = find_cubin_maker(maker);
  return {{"built", counts[1]},  {"there", counts[2]},
          {"failed", counts[3]}, {"bytes", bytes},
          {"seconds", seconds},  {"cubins_by", made_by ? *made_by : made_by.error().message()},
          {"lines", each}};
}

std::string summary_of(const Json &report) {
  std::string text;
  for (const Json &line : report["lines"]) {
    for (const Json &note : line["notes"])
      text += "note: " + note.get<std::string>() + "\n";
    if (line["outcome"] == "failed")
      text += "failed: " + line["place"].get<std::string>() + " for " +
              line["target"].get<std::string>() + ": " + line["reason"].get<std::string>() + "\n";
    if (line["spill_bytes"] != 0)
      text += "spills: " + line["kernel"].get<std::string>() + " for " +
              line["target"].get<std::string>() + ": " + line["spill_bytes"].dump() + " bytes\n";
  }
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.1f s", report["seconds"].get<double>());
  return text + report["built"].dump() + " built, " + report["there"].dump() + " there already, " +
         report["failed"].dump() + " failed, " + megabytes(report["bytes"]) + ", " + seconds +
         "; cubins: " + report["cubins_by"].get<std::string>() + "\n";
}

} // namespace tenon::command
