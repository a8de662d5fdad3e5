#include "compiler/driver/Emission.h"

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/SplitQueries.h"
#include "compiler/attention/TileAttention.h"
#include "kernels/Combine.h"
#ifdef TENON_WITH_GPU
#include "compiler/gpu/GpuBackend.h"
#endif
#ifdef TENON_WITH_HOST
#include "compiler/host/HostBackend.h"
#endif

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/xxhash.h"

#include "tenon/DataType.h"
#include "tenon/KernelCache.h"

#include <array>

using namespace mlir;
using namespace tenon;

namespace {

constexpr int kHashDigits = 12; // of a kernel's name: 48 bits

// attention_f16_d64_logsumexp_dropout_8f14e45fceea
std::string kernelName(func::FuncOp kernel, const Request &request, const KernelKey &key) {
  auto tensors = kernel->getAttrOfType<DenseI32ArrayAttr>(kTensorsAttribute).asArrayRef();
  const InputSignature &query = request.signature.inputs[static_cast<size_t>(tensors[0])];
  std::string name = "attention_" + std::string(tenon::name(query.dtype)) + "_d" + std::to_string(query.width);
  if (request.graph.uses(tenon::Operation::kLogsumexp))
    name += "_logsumexp";
  if (kernel->hasAttr(kDropoutAttribute))
    name += "_dropout";
  return name + "_" + key.hash().substr(0, kHashDigits);
}

TensorSlot slotOf(int32_t number) {
  if (number >= kFirstWorkspaceTensor)
    return {TensorRole::kWorkspace, number - kFirstWorkspaceTensor};
  return number >= 0 ? TensorSlot{TensorRole::kInput, number} : TensorSlot{TensorRole::kOutput, -1 - number};
}

// Blocks of rows × heads × batch. Where heads are packed there are as many rows more, and heads fewer.
LaunchPhase phaseOf(const Schedule &schedule, std::string entry, int64_t rows) {
  LaunchPhase phase;
  phase.entry = std::move(entry);
  bool packed = schedule.packedHeads != 1;
  phase.grid[0] = {Dimension::kQueryLength, static_cast<uint32_t>(rows),
                   static_cast<uint32_t>(schedule.packedHeads)};
  phase.grid[1] = {packed ? Dimension::kKeyHeads : Dimension::kHeads, 1};
  phase.grid[2] = {Dimension::kBatch, 1};
  return phase;
}

// Chunks of keys run side by side, and leave their outputs in the workspace to the phase after; on the host a lone one
// leaves none.
void addChunks(func::FuncOp kernel, const Schedule &schedule, bool isGpu, LaunchDescription &launch) {
  auto chunk = static_cast<uint32_t>(schedule.chunkKeys);
  LaunchPhase &partial = launch.phases.back();
  partial.grid[0].times = Dimension::kKeyLength;
  partial.grid[0].times_divisor = chunk;
  partial.grid[0].most_times = static_cast<uint32_t>(schedule.mostChunks);
  LaunchPhase combine = phaseOf(schedule, partial.entry + "_combine", kernels::kCombineRows);
  combine.when = partial.when;
  ArrayRef<int32_t> widths = kernel->getAttrOfType<DenseI32ArrayAttr>(kWorkspaceAttribute).asArrayRef();
  if (isGpu)
    combine.grid[1].multiplier = static_cast<uint32_t>(kernels::combineColumnBlocks(widths.front()));
  else
    combine.when.keys.least = static_cast<int32_t>(chunk) + 1;
  GridExtent rows{Dimension::kQueryLength, 1, 1, Dimension::kKeyLength, chunk, partial.grid[0].most_times};
  for (int32_t width : widths)
    launch.workspace_tensors.push_back({{{Dimension::kBatch, 1}, {Dimension::kHeads, 1}, rows},
                                        static_cast<uint32_t>(width), combine.when});
  launch.phases.push_back(std::move(combine));
}

// Launches of some queries have chunks: a block of the grid each, and a second phase of the same kernel, which adds them up
// where there is more than one.
void addChunkedPhases(func::FuncOp kernel, const Schedule &schedule, LaunchDescription &launch) {
  LaunchPhase chunked = launch.phases.back();
  chunked.when.queries.most = static_cast<int32_t>(schedule.chunkedQueries);
  launch.phases.back().when.queries.least = chunked.when.queries.most + 1;
  LaunchPhase sums = chunked;
  sums.when.keys.least = static_cast<int32_t>(schedule.chunkKeys) + 1;
  chunked.grid[0].times = Dimension::kKeyLength;
  chunked.grid[0].times_divisor = static_cast<uint32_t>(schedule.chunkKeys);
  chunked.grid[0].most_times = static_cast<uint32_t>(schedule.mostChunks);
  for (int32_t width : kernel->getAttrOfType<DenseI32ArrayAttr>(kWorkspaceAttribute).asArrayRef())
    launch.workspace_tensors.push_back({{{Dimension::kBatch, 1}, {Dimension::kHeads, 1}, chunked.grid[0]},
                                        static_cast<uint32_t>(width), sums.when});
  launch.phases.push_back(std::move(chunked));
  launch.phases.push_back(std::move(sums));
}

// The arguments that all phases share.
void addArguments(func::FuncOp kernel, LaunchDescription &launch) {
  for (int32_t slot : kernel->getAttrOfType<DenseI32ArrayAttr>(kTensorsAttribute).asArrayRef())
    launch.tensors.push_back(slotOf(slot));
  auto scalars = kernel->getAttrOfType<DenseI32ArrayAttr>(kScalarsAttribute).asArrayRef();
  launch.scalars.assign(scalars.begin(), scalars.end());
  launch.uses_dropout = kernel->hasAttr(kDropoutAttribute);
}

// Kernels of one launch take the same tensors and scalars in the same slots.
bool shareArguments(func::FuncOp a, func::FuncOp b) {
  return llvm::all_of(std::array{kTensorsAttribute, kScalarsAttribute},
                      [&](StringRef name) { return a->getAttr(name) == b->getAttr(name); });
}

std::string scheduleText(const Schedule &schedule, const LaunchPhase &phase) {
  llvm::json::Object object{{"tile_queries", schedule.tileQueries},
                            {"tile_keys", schedule.tileKeys},
                            {"padded_width", schedule.paddedWidth},
                            {"padded_value_width", schedule.paddedValueWidth},
                            {"threads", static_cast<int64_t>(phase.threads)},
                            {"warps", static_cast<int64_t>(phase.threads + kLanesOfWarp - 1) / kLanesOfWarp},
                            {"stages", schedule.stages},
                            {"rescaling", schedule.rescaling},
                            {"shared_bytes", static_cast<int64_t>(phase.shared_bytes)},
                            {"workspace_bytes", static_cast<int64_t>(phase.workspace.fixed_bytes)},
                            {"explanation", schedule.explanation}};
  if (schedule.queryGroups != 1) {
    object["query_groups"] = schedule.queryGroups;
    object["group_keys"] = schedule.groupKeys;
    object["groups_from_keys"] = schedule.groupsFromKeys;
  }
  if (!schedule.shared.empty())
    object["shared"] = schedule.shared;
  if (schedule.chunkKeys != 0) {
    object["chunk_keys"] = schedule.chunkKeys;
    object["most_chunks"] = schedule.mostChunks;
    if (schedule.chunkedQueries != 0)
      object["chunked_queries"] = schedule.chunkedQueries;
    object["packed_heads"] = schedule.packedHeads;
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(object));
  return text;
}

// Once threads and memory of the phases are known.
void writeSchedules(KernelDescription &kernel) {
  auto text = [&](const KernelClass &one) {
    return scheduleText(one.schedule, kernel.image.launch.phases[one.firstPhase]);
  };
  kernel.image.schedule = text(kernel.classes.front());
  if (kernel.classes.size() > 1)
    kernel.image.few_schedule = text(kernel.classes.back());
}

[[maybe_unused]] std::string serialized(const KernelImage &image) {
  std::vector<std::byte> bytes = image.serialize();
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

[[maybe_unused]] void addSection(KernelImage &image, SectionKind kind, const std::string &target,
                                 llvm::ArrayRef<std::byte> bytes) {
  image.sections.push_back({kind, target, {bytes.begin(), bytes.end()}});
}

#ifdef TENON_WITH_GPU
llvm::Expected<std::string> emitGpu(ModuleOp module, const Request &request, KernelDescription &kernel) {
  KernelImage &image = kernel.image;
  if (request.emit == Emit::kLlvm)
    return emitGpuLlvm(module, *GpuTarget::find(request.target));
  llvm::Expected<std::string> ptx = emitPtx(module, *GpuTarget::find(request.target));
  if (!ptx || request.emit == Emit::kPtx)
    return ptx;
  for (LaunchPhase &phase : image.launch.phases) {
    auto function = module.lookupSymbol<LLVM::LLVMFuncOp>(phase.entry);
    if (auto threads = function->getAttrOfType<IntegerAttr>("tile.threads"))
      phase.threads = static_cast<uint32_t>(threads.getInt());
    if (auto bytes = function->getAttrOfType<IntegerAttr>("tile.shared_bytes"))
      phase.shared_bytes = static_cast<uint32_t>(bytes.getInt());
  }
  writeSchedules(kernel);
  addSection(image, SectionKind::kPtx, request.target,
             {reinterpret_cast<const std::byte *>(ptx->data()), ptx->size()});
  return serialized(image);
}
#endif

#ifdef TENON_WITH_HOST
llvm::Expected<std::string> emitHost(ModuleOp module, const Request &request, KernelDescription &kernel) {
  KernelImage &image = kernel.image;
  llvm::Expected<HostTarget> target = HostTarget::named(request.target);
  if (!target)
    return target.takeError();
  if (request.emit == Emit::kLlvm)
    return emitHostLlvm(module, *target);
  if (request.emit == Emit::kAsm)
    return emitHostAssembly(module, *target);
  llvm::Expected<HostCode> code = emitHostCode(module, *target);
  if (!code)
    return code.takeError();
  for (LaunchPhase &phase : image.launch.phases) {
    const HostEntryPoint &entry = *llvm::find_if(code->entries, [&](const HostEntryPoint &each) {
      return each.name == phase.entry;
    });
    phase.workspace.fixed_bytes = entry.workspaceBytes; // a thread's own, whatever the blocks
    phase.code_offset = entry.offset;
  }
  writeSchedules(kernel);
  addSection(image, SectionKind::kHostCode, request.target, code->bytes);
  return serialized(image);
}
#endif

} // namespace

// The phases that begin with a kernel, of launches of so many queries.
static void addClass(func::FuncOp kernel, LengthRange queries, const Request &request, KernelDescription &description) {
  LaunchDescription &launch = description.image.launch;
  std::string entry = description.image.kernel + (hasFewQueries(kernel) ? kFewQueriesSuffix.str() : "");
  Schedule schedule = *Schedule::of(kernel);
  size_t first = launch.phases.size();
  launch.phases.push_back(phaseOf(schedule, entry, schedule.tileQueries));
  launch.phases.back().when.queries = queries;
  if (schedule.chunkedQueries != 0)
    addChunkedPhases(kernel, schedule, launch);
  else if (schedule.chunkKeys != 0)
    addChunks(kernel, schedule, request.isGpu(), launch);
  description.classes.push_back({std::move(schedule), first});
}

std::string tenon::printed(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << '\n';
  return text;
}

llvm::Expected<KernelDescription> tenon::describeKernel(ModuleOp module, const Request &request) {
  // One function an entry, in their order.
  auto functions = llvm::to_vector(module.getOps<func::FuncOp>());
  if (functions.empty())
    return llvm::createStringError("there must be a kernel in the module");
  auto keyOf = [&](const Signature &signature) {
    return KernelKey({request.graph.hash(), signature.text(), request.target, request.options});
  };
  // A stage that shows one class of lengths has the names of the whole image.
  Signature whole = request.signature;
  whole.queries = QueryLengths::kAny;
  KernelDescription result;
  result.image.key = keyOf(request.signature).text();
  result.image.kernel = kernelName(functions.front(), request, keyOf(whole));
  LaunchDescription &launch = result.image.launch;
  addArguments(functions.front(), launch);
  const bool both = hasFewQueries(functions.front()) != hasFewQueries(functions.back());
  for (size_t next = 0; next < functions.size();) {
    func::FuncOp kernel = functions[next++];
    if (!shareArguments(kernel, functions.front()))
      return llvm::createStringError("the kernels of a module must take the same arguments");
    LengthRange queries;
    if (both)
      queries = hasFewQueries(kernel) ? LengthRange{0, kFewQueries} : LengthRange{kFewQueries + 1};
    addClass(kernel, queries, request, result);
    const std::string &entry = launch.phases[result.classes.back().firstPhase].entry, &last = launch.phases.back().entry;
    kernel.setName(entry);
    if (last == entry)
      continue;
    if (next == functions.size())
      return llvm::createStringError("the module must hold one kernel for each entry of the launch");
    functions[next++].setName(last);
  }
  return result;
}

llvm::Expected<std::string> tenon::emitDevice(ModuleOp module, const Request &request,
                                              KernelDescription &kernel) {
  if (request.emit == Emit::kNvvm)
    return printed(module);
#ifdef TENON_WITH_GPU
  if (request.isGpu())
    return emitGpu(module, request, kernel);
#endif
#ifdef TENON_WITH_HOST
  if (!request.isGpu())
    return emitHost(module, request, kernel);
#endif
  return llvm::createStringError("this compiler makes no code for " + request.target);
}
