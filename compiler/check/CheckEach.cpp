#include "compiler/check/CheckEach.h"

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/KernelSignature.h"
#include "compiler/attention/TileAttention.h"
#include "compiler/check/AttentionInterpreter.h"
#include "compiler/check/CheckInputs.h"
#include "compiler/check/TileInterpreter.h"
#include "dialects/attention/Attention.h"
#include "dialects/tile/Tile.h"
#include "kernels/Combine.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <cmath>

using namespace mlir;

namespace tenon::check {
namespace {

constexpr double kTolerance = 1e-4;       // of the row's size, between computations in float32
constexpr double kHalfTolerance = 2e-2;   // where probabilities and outputs are rounded to 16 bits

// The function under test, whatever the passes call it, and what it is.
struct Subject {
  func::FuncOp function;
  enum Form { kNone, kAttention, kTile, kLowered } form = kNone;
};

Subject subjectOf(Operation *op) {
  auto module = dyn_cast<ModuleOp>(op);
  if (!module)
    module = op->getParentOfType<ModuleOp>();
  Subject subject;
  if (!module)
    return subject;
  module.walk([&](func::FuncOp function) {
    if (function.isDeclaration())
      return WalkResult::advance();
    subject.function = function;
    bool tiles = function->hasAttr("tile.kernel");
    subject.form = tiles ? Subject::kTile : Subject::kLowered;
    function.walk([&](Operation *inner) {
      if (!tiles && isa_and_nonnull<attention::AttentionDialect>(inner->getDialect()))
        subject.form = Subject::kAttention;
    });
    return WalkResult::interrupt();
  });
  if (!subject.function)
    subject.form = Subject::kLowered;
  return subject;
}

std::string shapesOf(const std::vector<Tensor> &inputs) {
  std::string text;
  for (const Tensor &input : inputs)
    text += (text.empty() ? "" : ", ") + std::string(name(input.dtype())) + " " + to_string(input.shape());
  return text;
}

} // namespace

struct CheckState {
  uint64_t seed;
  bool unchanged = true, begun = false, saidLowered = false;
  CheckSizes sizes;
  AttentionLaunch launch;
  std::vector<Tensor> answer;
  bool halfPrecision = false;

  FailureOr<std::vector<Tensor>> answerOf(Subject subject);
  FailureOr<std::vector<Tensor>> runTiles(func::FuncOp kernel);
  void compare(Subject subject, StringRef pass, const std::vector<Tensor> &results);
};

namespace {

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

// The kernels of a launch, in their order.
SmallVector<func::FuncOp> phasesOf(func::FuncOp kernel) {
  return llvm::to_vector(kernel->getParentOfType<ModuleOp>().getOps<func::FuncOp>());
}

// The storage type and width that a kernel gives to a slot; 0 where it stores nothing there.
struct SlotUse {
  DataType dtype;
  int64_t width;
};
SlotUse useOfSlot(func::FuncOp kernel, uint32_t slot) {
  SlotUse use{DataType::kFloat32, 0};
  kernel.walk([&](tile::TensorOp op) {
    if (op.getSlot() != slot)
      return;
    Type type = cast<tile::TensorType>(op.getType()).getElementType();
    use.dtype = type.isF16() ? DataType::kFloat16 : type.isBF16() ? DataType::kBFloat16 : DataType::kFloat32;
    for (Operation *user : op->getUsers())
      if (auto store = dyn_cast<tile::StoreOp>(user))
        use.width = std::max<int64_t>(use.width, store.getColumn() + store.getWidth());
  });
  return use;
}

} // namespace

FailureOr<std::vector<Tensor>> CheckState::runTiles(func::FuncOp kernel) {
  auto slots = kernel->getAttrOfType<DenseI32ArrayAttr>(kTensorsAttribute);
  auto scalars = kernel->getAttrOfType<DenseI32ArrayAttr>(kScalarsAttribute);
  if (!slots || launch.inputs.empty())
    return kernel.emitError("check-each starts at a graph: a kernel alone does not say what its slots hold");
  TileLaunch tiles;
  KernelArguments &arguments = tiles.arguments;
  arguments.batch = static_cast<int32_t>(sizes.batch);
  arguments.heads = static_cast<int32_t>(sizes.heads());
  arguments.key_heads = static_cast<int32_t>(sizes.keyHeads);
  arguments.query_length = static_cast<int32_t>(sizes.queries);
  arguments.key_length = static_cast<int32_t>(sizes.keys);
  arguments.seed = launch.seed, arguments.offset = launch.offset;
  for (auto [i, input] : llvm::enumerate(scalars ? scalars.asArrayRef() : ArrayRef<int32_t>())) {
    const Tensor &scalar = launch.inputs[input];
    if (scalar.dtype() == DataType::kFloat32)
      arguments.scalars[i].real = static_cast<float>(scalar.item());
    else
      arguments.scalars[i].index = static_cast<int32_t>(scalar.item());
  }
  Schedule schedule = Schedule::of(kernel).value_or(Schedule{.tileQueries = tileQueries(kernel)});
  int64_t chunks = schedule.chunkKeys ? llvm::divideCeil(sizes.keys, schedule.chunkKeys) : 1;
  std::vector<Tensor> results(answer.size()), workspace;
  for (auto [i, input] : llvm::enumerate(slots.asArrayRef())) {
    if (input >= 0 && input < kFirstWorkspaceTensor) {
      arguments.tensors[i] = argumentOf(launch.inputs[input]);
      continue;
    }
    SlotUse use = useOfSlot(kernel, i);
    bool inWorkspace = input >= kFirstWorkspaceTensor;
    if (!inWorkspace && use.width == 0) // another phase stores it
      use = useOfSlot(phasesOf(kernel).back(), i);
    halfPrecision |= use.dtype != DataType::kFloat32;
    int64_t heads = sizes.heads() * (inWorkspace ? chunks : 1);
    Tensor made = Tensor::full({sizes.batch, heads, sizes.queries, use.width}, NAN, use.dtype).value();
    arguments.tensors[i] = argumentOf(made);
    (inWorkspace ? workspace.emplace_back() : results[-1 - input]) = made;
  }
  int64_t rows = schedule.tileQueries;
  for (func::FuncOp phase : phasesOf(kernel)) {
    tiles.grid[0] = static_cast<int32_t>(llvm::divideCeil(sizes.queries * schedule.packedHeads, rows) * chunks);
    tiles.grid[1] = static_cast<int32_t>(sizes.heads() / schedule.packedHeads), tiles.grid[2] = arguments.batch;
    if (failed(runTileKernel(phase, tiles)))
      return failure();
    rows = kernels::kCombineRows, chunks = 1;
  }
  return results;
}

FailureOr<std::vector<Tensor>> CheckState::answerOf(Subject subject) {
  if (subject.form == Subject::kTile)
    return runTiles(subject.function);
  return runAttention(subject.function, launch);
}

// Names the first element, in the order of its indices, that is not what it was.
void CheckState::compare(Subject subject, StringRef pass, const std::vector<Tensor> &results) {
  double tolerance = halfPrecision ? kHalfTolerance : kTolerance;
  for (size_t r = 0; r < answer.size(); ++r) {
    Tensor before = answer[r].to(DataType::kFloat32).value(), after = results[r].to(DataType::kFloat32).value();
    double largest = 1;
    for (int64_t i = 0; i < before.element_count(); ++i)
      if (std::isfinite(before.data_as<float>()[i]))
        largest = std::max<double>(largest, std::fabs(before.data_as<float>()[i]));
    for (int64_t i = 0; i < before.element_count(); ++i) {
      float was = before.data_as<float>()[i], is = after.data_as<float>()[i];
      if (was == is || (std::isnan(was) && std::isnan(is)) || std::fabs(was - is) <= tolerance * largest)
        continue;
      unchanged = false;
      std::vector<int64_t> index;
      for (int64_t rest = i, d = before.rank() - 1; d >= 0; --d) {
        index.insert(index.begin(), rest % before.shape()[d]);
        rest /= before.shape()[d];
      }
      subject.function.emitError() << "check-each: '" << pass << "' changed the answer: element " << to_string(index)
                                   << " of result " << r << " was " << was << ", is " << is << " (seed " << seed
                                   << "; inputs " << shapesOf(launch.inputs) << ")";
      return;
    }
  }
}

CheckEach::CheckEach(uint64_t seed) : state_(std::make_shared<CheckState>()) {
  state_->seed = seed;
  state_->launch.seed = seed;
  state_->launch.offset = 3;
}
CheckEach::~CheckEach() = default;

std::shared_ptr<const bool> CheckEach::unchanged() const { return {state_, &state_->unchanged}; }

void CheckEach::runBeforePass(Pass *, Operation *op) {
  if (state_->begun)
    return;
  Subject subject = subjectOf(op);
  if (subject.form != Subject::kAttention)
    return;
  state_->begun = true;
  state_->sizes = sizesFor(subject.function);
  state_->launch.inputs = inputsFor(subject.function, state_->sizes, state_->seed);
  auto answer = state_->answerOf(subject);
  if (failed(answer)) {
    state_->unchanged = false;
    return;
  }
  state_->answer = *answer;
}

void CheckEach::runAfterPass(Pass *pass, Operation *op) {
  if (!state_->begun || !state_->unchanged)
    return;
  Subject subject = subjectOf(op);
  if (subject.form == Subject::kLowered) {
    if (!state_->saidLowered)
      op->emitRemark("check-each: from '") << pass->getArgument() << "' on the IR is no longer executed";
    state_->saidLowered = true;
    return;
  }
  auto results = state_->answerOf(subject);
  if (failed(results)) {
    state_->unchanged = false;
    return;
  }
  state_->compare(subject, pass->getArgument(), *results);
}

} // namespace tenon::check
