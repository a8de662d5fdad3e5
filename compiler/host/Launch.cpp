// What the launch gives, and short forms.
#include "compiler/host/BlockProgram.h"
#include "tenon/KernelImage.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

static constexpr int64_t kWordBytes = 4;

Value BlockProgram::i32(int64_t value) {
  return arith::ConstantOp::create(builder_, builder_.getI32IntegerAttr(value));
}
Value BlockProgram::i64(int64_t value) {
  return arith::ConstantOp::create(builder_, builder_.getI64IntegerAttr(value));
}
Value BlockProgram::add(Value a, Value b) {
  return builder_.createOrFold<arith::AddIOp>(a, b);
}
Value BlockProgram::multiply(Value a, Value b) {
  return builder_.createOrFold<arith::MulIOp>(a, b);
}
Value BlockProgram::minimum(Value a, Value b) {
  return builder_.createOrFold<arith::MinSIOp>(a, b);
}
Value BlockProgram::clamp(Value value, Value low, Value high) {
  return minimum(builder_.createOrFold<arith::MaxSIOp>(value, low), high);
}
Value BlockProgram::widen(Value i32) {
  return builder_.createOrFold<arith::ExtSIOp>(builder_.getI64Type(), i32);
}
Type BlockProgram::pointerType() {
  return LLVM::LLVMPointerType::get(builder_.getContext());
}

Value BlockProgram::byte(Value pointer, Value offset) {
  return LLVM::GEPOp::create(builder_, pointerType(), builder_.getI8Type(), pointer, offset);
}
Value BlockProgram::byte(Value pointer, int64_t offset) {
  if (offset == 0)
    return pointer;
  return LLVM::GEPOp::create(builder_, pointerType(), builder_.getI8Type(), pointer,
                             LLVM::GEPArg(static_cast<int32_t>(offset)));
}
Value BlockProgram::load(Type type, Value pointer, int64_t alignment) {
  return LLVM::LoadOp::create(builder_, type, pointer, alignment);
}
void BlockProgram::store(Value value, Value pointer, int64_t alignment) {
  LLVM::StoreOp::create(builder_, value, pointer, alignment);
}

Value BlockProgram::broadcast(Value scalar, int64_t lanes) {
  if (isa<VectorType>(scalar.getType()))
    return scalar;
  return vector::BroadcastOp::create(builder_, VectorType::get({lanes}, scalar.getType()), scalar);
}

Value BlockProgram::filled(Type type, double value) {
  Type element = getElementTypeOrSelf(type);
  TypedAttr attribute =
      isa<FloatType>(element)
          ? TypedAttr(builder_.getFloatAttr(element, value))
          : TypedAttr(builder_.getIntegerAttr(element, static_cast<int64_t>(value)));
  if (auto vector = dyn_cast<VectorType>(type))
    attribute = DenseElementsAttr::get(vector, Attribute(attribute));
  return arith::ConstantOp::create(builder_, attribute);
}

void BlockProgram::loop(Value begin, Value end, int64_t step,
                        llvm::function_ref<void(Value)> body) {
  loop(begin, end, step, ValueRange(), [&](Value index, ValueRange) {
    body(index);
    return Values();
  });
}

Values BlockProgram::loop(Value begin, Value end, int64_t step, ValueRange carried,
                          llvm::function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(builder_, begin, end, i64(step), carried);
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty()) // otherwise the loop came with its terminator
    scf::YieldOp::create(builder_, next);
  return Values(loop.getResults());
}

int64_t BlockProgram::lanesOf(int64_t rows) const {
  int64_t lanes = onlyFirstRows_ ? kStripRows : registers_.lanes;
  while (rows % lanes != 0)
    lanes /= 2;
  return lanes;
}
int64_t BlockProgram::vectorsOf(Type tile) const {
  return vectorsOf(cast<RankedTensorType>(tile).getDimSize(0));
}
int64_t BlockProgram::vectorsOf(int64_t rows) const {
  return onlyFirstRows_ ? 1 : rows / lanesOf(rows);
}
VectorType BlockProgram::vectorOf(Type element, int64_t rows) const {
  return VectorType::get({lanesOf(rows)}, element);
}

// The argument block does not change while the kernel runs.
Value BlockProgram::argument(Type type, int64_t offset) {
  auto load = LLVM::LoadOp::create(builder_, type, byte(arguments_, offset));
  load.setInvariant(true);
  return load;
}

LogicalResult BlockProgram::lowerTensor(TensorOp op) {
  int64_t slot = op.getSlot();
  int64_t start = offsetof(KernelArguments, tensors) + slot * sizeof(TensorArgument);
  TensorView view{slot, op.getResult().getType().getElementType(), {}, {}, 0};
  if (!view.element.isF32() && !view.element.isF16() && !view.element.isBF16() &&
      !view.element.isInteger(32) && !view.element.isInteger(1))
    return op.emitOpError("has elements that the host does not read: ") << view.element;
  view.bytes = llvm::divideCeil(view.element.getIntOrFloatBitWidth(), 8);
  view.data = argument(pointerType(), start + offsetof(TensorArgument, data));
  for (int i = 0; i < 4; ++i) {
    Value stride = argument(builder_.getI64Type(),
                            start + offsetof(TensorArgument, strides) + i * sizeof(int64_t));
    view.strides.push_back(multiply(stride, i64(view.bytes)));
  }
  if (Value column = op.getColumn())
    view.data = byte(view.data, multiply(widen(scalars_.lookup(column)), view.strides[3]));
  bool gathers = llvm::any_of(op->getUsers(), [](Operation *user) { return isa<GatherOp>(user); });
  if (gathers && view.bytes < kWordBytes)
    findWords(view);
  tensors_[op.getResult()] = std::move(view);
  return success();
}

// A table of fewer bytes than a word is copied to where a word may be read.
void BlockProgram::findWords(TensorView &view) {
  Value lowest = i64(0), highest = i64(0), least = i64(1); // of the sizes: 0 of a table without elements
  for (int i = 0; i < 4; ++i) {
    Value elements = widen(size(view, i));
    least = minimum(least, elements);
    Value last = multiply(builder_.createOrFold<arith::MaxSIOp>(add(elements, i64(-1)), i64(0)), view.strides[i]);
    lowest = add(lowest, minimum(last, i64(0)));
    highest = add(highest, builder_.createOrFold<arith::MaxSIOp>(last, i64(0)));
  }
  Value first = byte(view.data, lowest), place = buffer(workspace_.allocate(kWordBytes));
  Value count = multiply(add(builder_.createOrFold<arith::SubIOp>(highest, lowest), i64(view.bytes)), least);
  Value tiny = arith::CmpIOp::create(builder_, arith::CmpIPredicate::slt, count, i64(kWordBytes));
  loop(i64(0), arith::SelectOp::create(builder_, tiny, count, i64(0)), 1, [&](Value i) {
    store(load(builder_.getI8Type(), byte(first, i), 1), byte(place, i), 1);
  });
  Value words = arith::SelectOp::create(builder_, tiny, place, first);
  view.firstWord = LLVM::PtrToIntOp::create(builder_, builder_.getI64Type(), words);
  view.begin = builder_.createOrFold<arith::SubIOp>(view.firstWord, lowest);
  Value behind = builder_.createOrFold<arith::MaxSIOp>(add(count, i64(-kWordBytes)), i64(0));
  view.lastWord = add(view.firstWord, behind);
}

Value BlockProgram::size(const TensorView &tensor, int dimension) {
  return argument(builder_.getI32Type(),
                  offsetof(KernelArguments, tensors) + tensor.slot * sizeof(TensorArgument) +
                      offsetof(TensorArgument, sizes) + dimension * sizeof(int32_t));
}

LogicalResult BlockProgram::lowerSize(SizeOp op) {
  constexpr int64_t kOffsets[] = {
      offsetof(KernelArguments, batch), offsetof(KernelArguments, heads),
      offsetof(KernelArguments, key_heads), offsetof(KernelArguments, query_length),
      offsetof(KernelArguments, key_length)};
  scalars_[op.getResult()] =
      argument(builder_.getI32Type(), kOffsets[static_cast<uint32_t>(op.getSize())]);
  return success();
}

LogicalResult BlockProgram::lowerPhase(PhaseOp op) {
  scalars_[op.getResult()] = argument(builder_.getI32Type(), offsetof(KernelArguments, phase));
  return success();
}

LogicalResult BlockProgram::lowerScalar(ScalarOp op) {
  scalars_[op.getResult()] =
      argument(op.getType(),
               offsetof(KernelArguments, scalars) + op.getSlot() * sizeof(KernelArguments::Scalar));
  return success();
}

LogicalResult BlockProgram::lowerProgramId(ProgramIdOp op) {
  scalars_[op.getResult()] = programIds_[static_cast<uint32_t>(op.getAxis())];
  return success();
}

// *pointer where there is one, else the value in the block itself: one load from either address.
static Value pointerOr(ImplicitLocOpBuilder &builder, Value pointer, Value field) {
  Value null = LLVM::ZeroOp::create(builder, pointer.getType());
  Value given = LLVM::ICmpOp::create(builder, LLVM::ICmpPredicate::ne, pointer, null);
  return LLVM::SelectOp::create(builder, given, pointer, field);
}

LogicalResult BlockProgram::lowerSeed(SeedOp op) {
  Value pointer = argument(pointerType(), offsetof(KernelArguments, seed_pointer));
  Value field = byte(arguments_, offsetof(KernelArguments, seed));
  scalars_[op.getResult()] = load(builder_.getI64Type(), pointerOr(builder_, pointer, field), 8);
  return success();
}

LogicalResult BlockProgram::lowerOffset(OffsetOp op) {
  Value pointer = argument(pointerType(), offsetof(KernelArguments, offset_pointer));
  Value field = byte(arguments_, offsetof(KernelArguments, offset));
  scalars_[op.getResult()] = load(builder_.getI32Type(), pointerOr(builder_, pointer, field));
  return success();
}
