#include "compiler/driver/Emission.h"

#include "compiler/attention/ChooseSchedule.h"
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

// Chunks of keys run side by side, and leave their outputs in the workspace to the phase after.
void addChunks(func::FuncOp kernel, const Schedule &schedule, const std::string &entry, LaunchDescription &launch) {
  auto chunk = static_cast<uint32_t>(schedule.chunkKeys);
  launch.phases[0].grid[0].times = Dimension::kKeyLength;
  launch.phases[0].grid[0].times_divisor = chunk;
  launch.phases.push_back(phaseOf(schedule, entry + "_combine", kernels::kCombineRows));
  GridExtent heads{Dimension::kHeads, 1, 1, Dimension::kKeyLength, chunk};
  for (int32_t width : kernel->getAttrOfType<DenseI32ArrayAttr>(kWorkspaceAttribute).asArrayRef())
    launch.workspace_tensors.push_back({{{Dimension::kBatch, 1}, heads, {Dimension::kQueryLength, 1}},
                                        static_cast<uint32_t>(width)});
}

LaunchDescription launchOf(func::FuncOp kernel, const Schedule &schedule, const std::string &entry) {
  LaunchDescription launch;
  launch.phases.push_back(phaseOf(schedule, entry, schedule.tileQueries));
  if (schedule.chunkKeys != 0)
    addChunks(kernel, schedule, entry, launch);
  for (int32_t slot : kernel->getAttrOfType<DenseI32ArrayAttr>(kTensorsAttribute).asArrayRef())
    launch.tensors.push_back(slotOf(slot));
  auto scalars = kernel->getAttrOfType<DenseI32ArrayAttr>(kScalarsAttribute).asArrayRef();
  launch.scalars.assign(scalars.begin(), scalars.end());
  launch.uses_dropout = kernel->hasAttr(kDropoutAttribute);
  return launch;
}

std::string scheduleText(const Schedule &schedule, uint32_t threads, uint32_t sharedBytes, uint64_t workspace) {
  llvm::json::Object object{{"tile_queries", schedule.tileQueries},
                            {"tile_keys", schedule.tileKeys},
                            {"padded_width", schedule.paddedWidth},
                            {"padded_value_width", schedule.paddedValueWidth},
                            {"threads", static_cast<int64_t>(threads)},
                            {"warps", static_cast<int64_t>(threads + kLanesOfWarp - 1) / kLanesOfWarp},
                            {"stages", schedule.stages},
                            {"rescaling", schedule.rescaling},
                            {"shared_bytes", static_cast<int64_t>(sharedBytes)},
                            {"workspace_bytes", static_cast<int64_t>(workspace)},
                            {"explanation", schedule.explanation}};
  if (schedule.chunkKeys != 0) {
    object["chunk_keys"] = schedule.chunkKeys;
    object["packed_heads"] = schedule.packedHeads;
  }
  std::string text;
  llvm::raw_string_ostream(text) << llvm::json::Value(std::move(object));
  return text;
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
llvm::Expected<std::string> emitGpu(ModuleOp module, const Request &request, const Schedule &schedule,
                                    KernelImage &image) {
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
  const LaunchPhase &phase = image.launch.phases.front();
  image.schedule = scheduleText(schedule, phase.threads, phase.shared_bytes, 0);
  addSection(image, SectionKind::kPtx, request.target,
             {reinterpret_cast<const std::byte *>(ptx->data()), ptx->size()});
  return serialized(image);
}
#endif

#ifdef TENON_WITH_HOST
llvm::Expected<std::string> emitHost(ModuleOp module, const Request &request, const Schedule &schedule,
                                     KernelImage &image) {
  llvm::Expected<HostTarget> target = HostTarget::named(request.target);
  if (!target)
    return target.takeError();
  llvm::Expected<HostCode> code = emitHostCode(module, *target, request.emit == Emit::kAsm);
  if (!code)
    return code.takeError();
  if (request.emit == Emit::kAsm)
    return std::move(code->assembly);
  LaunchPhase &phase = image.launch.phases.front();
  phase.workspace.bytes_per_block = code->workspaceBytes;
  phase.code_offset = code->entryOffset;
  image.schedule = scheduleText(schedule, 1, 0, code->workspaceBytes);
  addSection(image, SectionKind::kHostCode, request.target, code->bytes);
  return serialized(image);
}
#endif

} // namespace

std::string tenon::printed(ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << '\n';
  return text;
}

llvm::Expected<KernelDescription> tenon::describeKernel(ModuleOp module, const Request &request) {
  // One function a phase, in their order.
  auto functions = llvm::to_vector(module.getOps<func::FuncOp>());
  if (functions.empty())
    return llvm::createStringError("there must be a kernel in the module");
  func::FuncOp kernel = functions.front();
  KernelKey key({request.graph.hash(), request.signature.text(), request.target, request.options});
  KernelDescription result{{}, *Schedule::of(kernel)};
  result.image.key = key.text();
  result.image.kernel = kernelName(kernel, request, key);
  result.image.launch = launchOf(kernel, result.schedule, result.image.kernel);
  if (functions.size() != result.image.launch.phases.size())
    return llvm::createStringError("the module must hold one kernel for each phase of the launch");
  for (auto [function, phase] : llvm::zip_equal(functions, result.image.launch.phases))
    function.setName(phase.entry);
  return result;
}

llvm::Expected<std::string> tenon::emitDevice(ModuleOp module, const Request &request,
                                              KernelDescription &kernel) {
  if (request.emit == Emit::kNvvm || request.emit == Emit::kLlvm)
    return printed(module);
#ifdef TENON_WITH_GPU
  if (request.isGpu())
    return emitGpu(module, request, kernel.schedule, kernel.image);
#endif
#ifdef TENON_WITH_HOST
  if (!request.isGpu())
    return emitHost(module, request, kernel.schedule, kernel.image);
#endif
  return llvm::createStringError("this compiler makes no code for " + request.target);
}
