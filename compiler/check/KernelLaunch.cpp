#include "compiler/check/KernelLaunch.h"

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/TileAttention.h"
#include "compiler/check/Elements.h"
#include "compiler/check/TileInterpreter.h"
#include "dialects/tile/Schedule.h"
#include "dialects/tile/Tile.h"
#include "kernels/Combine.h"

#include "mlir/IR/Matchers.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace tenon::tile;

namespace tenon::check {
namespace {

// Whether what `value` is computed from, outside of loops, holds the length of the key.
bool dependsOnKeyLength(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return false;
  if (auto size = dyn_cast<SizeOp>(op))
    return size.getSize() == Size::key_length;
  return llvm::any_of(op->getOperands(), dependsOnKeyLength);
}

int64_t constantOf(Value value) {
  APInt number;
  return matchPattern(value, m_ConstantInt(&number)) ? number.getSExtValue() : 0;
}

TensorArgument argumentOf(Tensor tensor) {
  while (tensor.rank() < 4) // tables keep their leading dimensions, as `load` indexes them
    tensor = tensor.unsqueeze(-1).value();
  TensorArgument argument{tensor.data(), {}, {}};
  for (int i = 0; i < 4; ++i) {
    argument.strides[i] = tensor.size(i) == 1 ? 0 : tensor.strides()[i];
    argument.sizes[i] = static_cast<int32_t>(tensor.size(i));
  }
  return argument;
}

bool isInput(int32_t tensor) { return tensor >= 0 && tensor < kFirstWorkspaceTensor; }
bool isWorkspace(int32_t tensor) { return tensor >= kFirstWorkspaceTensor; }

SmallVector<int32_t> slotsOf(func::FuncOp kernel, StringRef name) {
  auto slots = kernel->getAttrOfType<DenseI32ArrayAttr>(name);
  return slots ? SmallVector<int32_t>(slots.asArrayRef()) : SmallVector<int32_t>();
}

template <class Op> uint32_t slotsNamed(ArrayRef<func::FuncOp> phases) {
  uint32_t count = 0;
  for (func::FuncOp phase : phases)
    phase->walk([&](Op op) { count = std::max<uint32_t>(count, op.getSlot() + 1); });
  return count;
}

} // namespace

KernelLaunch::KernelLaunch(SmallVector<func::FuncOp> phases)
    : phases_(std::move(phases)), tensors_(slotsOf(phases_.front(), kTensorsAttribute)),
      scalars_(slotsOf(phases_.front(), kScalarsAttribute)) {
  if (phases_.front()->hasAttr(kTensorsAttribute))
    return;
  int32_t results = 0;
  for (uint32_t slot = 0; slot < slotsNamed<TensorOp>(phases_); ++slot)
    tensors_.push_back(useOf(slot).isWritten ? -1 - results++ : static_cast<int32_t>(slot));
  for (uint32_t slot = 0; slot < slotsNamed<ScalarOp>(phases_); ++slot)
    scalars_.push_back(static_cast<int32_t>(tensors_.size() + slot));
}

size_t KernelLaunch::results() const {
  return tensors_.empty() ? 0 : static_cast<size_t>(std::max(0, -*llvm::min_element(tensors_)));
}

bool KernelLaunch::isHalfPrecision() const {
  auto isHalf = [](Type type) {
    Type element = getElementTypeOrSelf(type);
    return element.isF16() || element.isBF16();
  };
  bool half = false;
  for (func::FuncOp phase : phases_)
    phase->walk([&](Operation *op) {
      half |= llvm::any_of(op->getResultTypes(), isHalf);
      if (auto tensor = dyn_cast<TensorOp>(op))
        half |= isHalf(cast<tile::TensorType>(tensor.getType()).getElementType());
    });
  return half;
}

KernelLaunch::SlotUse KernelLaunch::useOf(uint32_t slot) const {
  SlotUse use;
  auto rows = [&](auto op) {
    auto tensor = op.getTensor().template getDefiningOp<TensorOp>();
    use.width = std::max<int64_t>(use.width, tensor.getRowWidth().value_or(op.getWidth()));
  };
  auto below = [&](Value limit) {
    use.isRead = true;
    use.ofKeys |= dependsOnKeyLength(limit);
    use.limit = std::max(use.limit, constantOf(limit));
  };
  auto visit = [&](Operation *user) {
    TypeSwitch<Operation *>(user)
        .Case<LoadOp, CopyAsyncOp>([&](auto op) { rows(op), below(op.getLimit()); })
        .Case<CopyWholeOp>([&](auto op) { rows(op), use.isRead = true; })
        .Case<StoreOp, StoreSharedOp>([&](auto op) { rows(op), use.isWritten = true; })
        .Case<LoadTileOp>([&](auto op) { use.isRead = use.ofBlocks = true; })
        .Case<StoreTileOp>([&](auto op) { use.isWritten = use.ofBlocks = true; })
        .Case<GatherOp>([&](auto op) { use.indices = op.getIndices().size(), use.isRead = true; });
  };
  for (func::FuncOp phase : phases_)
    phase->walk([&](TensorOp op) {
      if (op.getSlot() != slot)
        return;
      use.width = std::max<int64_t>(use.width, op.getRowWidth().value_or(0));
      use.dtype = dataTypeOf(cast<tile::TensorType>(op.getType()).getElementType());
      llvm::for_each(op->getUsers(), visit);
    });
  return use;
}

// Rows of queries and of keys are as many as the sizes say; where the kernel says it by a number, as many as that.
Shape KernelLaunch::shapeOf(const SlotUse &use, const CheckSizes &sizes) const {
  if (use.width == 0 && use.indices < 4)
    return Shape(use.indices, kTableSize);
  if (use.width == 0)
    return {sizes.batch, sizes.heads(), sizes.queries, sizes.keys};
  int64_t rows = use.limit ? use.limit : use.ofKeys ? sizes.keys : sizes.queries;
  return {sizes.batch, use.ofKeys ? sizes.keyHeads : sizes.heads(), rows, use.width};
}

Tensor KernelLaunch::randomScalar(uint32_t slot, const CheckSizes &sizes, uint64_t seed) const {
  bool isReal = true;
  for (func::FuncOp phase : phases_)
    phase->walk([&](ScalarOp op) {
      if (op.getSlot() == slot)
        isReal = op.getType().isF32();
    });
  return randomNumber(isReal, sizes, seed);
}

std::vector<Tensor> KernelLaunch::inputs(const CheckSizes &sizes, uint64_t seed) const {
  int32_t count = 0;
  for (int32_t input : llvm::concat<const int32_t>(tensors_, scalars_))
    if (isInput(input))
      count = std::max(count, input + 1);
  std::vector<Tensor> inputs(count, Tensor::full({}, 0, DataType::kFloat32).value());
  for (auto [slot, input] : llvm::enumerate(tensors_)) {
    if (!isInput(input))
      continue;
    SlotUse use = useOf(slot);
    Shape shape = shapeOf(use, sizes);
    if (const Shape &other = inputs[input].shape(); other.size() == shape.size()) // in two slots
      llvm::transform(llvm::zip(shape, other), shape.begin(), [](auto two) { return std::max(std::get<0>(two), std::get<1>(two)); });
    inputs[input] = randomTensor(std::move(shape), use.dtype, seed * 1000 + input);
  }
  for (auto [slot, input] : llvm::enumerate(scalars_))
    inputs[input] = randomScalar(slot, sizes, seed * 1000 + input);
  return inputs;
}

void KernelLaunch::setScalars(KernelArguments &arguments, const AttentionLaunch &launch) const {
  for (auto [slot, input] : llvm::enumerate(scalars_)) {
    const Tensor &scalar = launch.inputs[input];
    if (scalar.dtype() == DataType::kFloat32)
      arguments.scalars[slot].real = static_cast<float>(scalar.item());
    else
      arguments.scalars[slot].index = static_cast<int32_t>(scalar.item());
  }
}

FailureOr<std::vector<Tensor>> KernelLaunch::run(const CheckSizes &sizes, const AttentionLaunch &launch) const {
  TileLaunch tiles;
  KernelArguments &arguments = tiles.arguments;
  arguments.batch = static_cast<int32_t>(sizes.batch);
  arguments.heads = static_cast<int32_t>(sizes.heads());
  arguments.key_heads = static_cast<int32_t>(sizes.keyHeads);
  arguments.query_length = static_cast<int32_t>(sizes.queries);
  arguments.key_length = static_cast<int32_t>(sizes.keys);
  arguments.seed = launch.seed, arguments.offset = launch.offset;
  setScalars(arguments, launch);
  Schedule unscheduled;
  unscheduled.tileQueries = tileQueries(phases_.front());
  Schedule schedule = Schedule::of(phases_.front()).value_or(unscheduled);
  const bool isCut = schedule.chunkKeys != 0 && (!schedule.chunkedQueries || sizes.queries <= schedule.chunkedQueries);
  int64_t chunks = isCut ? llvm::divideCeil(sizes.keys, schedule.chunkKeys) : 1;
  if (schedule.mostChunks && chunks > schedule.mostChunks)
    chunks = llvm::divideCeil(chunks, llvm::divideCeil(chunks, schedule.mostChunks));
  int64_t rows = schedule.tileQueries, headBlocks = sizes.heads() / schedule.packedHeads;
  const int64_t blocks = llvm::divideCeil(sizes.queries * schedule.packedHeads, rows);
  std::vector<Tensor> results(this->results()), workspace;
  int64_t columnBlocks = 1; // of the phase that combines, on a GPU
  for (auto [slot, tensor] : llvm::enumerate(tensors_)) {
    if (isInput(tensor)) {
      arguments.tensors[slot] = argumentOf(launch.inputs[tensor]);
      continue;
    }
    SlotUse use = useOf(slot);
    const int64_t rowsOfTensor = (use.ofBlocks ? blocks : sizes.queries) * (isWorkspace(tensor) ? chunks : 1);
    if (isWorkspace(tensor) && workspace.empty() && schedule.threads > 1)
      columnBlocks = kernels::combineColumnBlocks(use.width);
    Tensor made = Tensor::full({sizes.batch, sizes.heads(), rowsOfTensor, use.width}, NAN, use.dtype).value();
    arguments.tensors[slot] = argumentOf(made);
    (isWorkspace(tensor) ? workspace.emplace_back() : results[-1 - tensor]) = made;
  }
  SmallVector<func::FuncOp> phases = phases_;
  if (schedule.chunkedQueries && chunks > 1) // the same kernel adds up what the chunks left
    phases.push_back(phases.front());
  for (func::FuncOp phase : phases) {
    tiles.grid[0] = static_cast<int32_t>(llvm::divideCeil(sizes.queries * schedule.packedHeads, rows) * chunks);
    tiles.grid[1] = static_cast<int32_t>(headBlocks), tiles.grid[2] = arguments.batch;
    if (failed(runTileKernel(phase, tiles)))
      return failure();
    rows = schedule.chunkedQueries ? rows : kernels::kCombineRows;
    chunks = 1, headBlocks *= columnBlocks, ++arguments.phase;
  }
  return results;
}

} // namespace tenon::check
