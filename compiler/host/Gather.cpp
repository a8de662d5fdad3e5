// Elements of a table, at indices that may differ from row to row.
#include "compiler/host/BlockProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

/// What a masked gather of x86 reads at once.
static constexpr int64_t kWordBytes = 4;

FailureOr<Values> BlockProgram::gather(GatherOp op, llvm::function_ref<Values(Value)> valuesOf) {
  TensorView tensor = view(op.getTensor());
  SmallVector<Values> indices;
  int64_t count = 1;
  for (Value index : op.getIndices()) {
    indices.push_back(valuesOf(index));
    count = std::max<int64_t>(count, indices.back().size());
  }
  Values guards = op.getGuard() ? valuesOf(op.getGuard()) : Values{};
  count = std::max<int64_t>(count, guards.size());

  Values results;
  for (int64_t i = 0; i < count; ++i) {
    Value uniform = i64(0), varying;
    for (auto [dimension, values] : llvm::enumerate(indices)) {
      Value index = values.size() == 1 ? values[0] : values[i];
      auto vector = dyn_cast<VectorType>(index.getType());
      int64_t lanes = vector ? vector.getNumElements() : 0;
      Type wide = vector ? Type(vector.clone(builder_.getI64Type())) : builder_.getI64Type();
      auto like = [&](Value scalar) { return vector ? broadcast(scalar, lanes) : scalar; };
      Value last = add(size(tensor, dimension), i32(-1));
      Value clamped = clamp(index, filled(index.getType(), 0), like(last));
      Value offset = multiply(arith::ExtSIOp::create(builder_, wide, clamped),
                              like(tensor.strides[dimension]));
      Value &sum = vector ? varying : uniform;
      sum = sum ? add(sum, offset) : offset;
    }
    Value guard = guards.empty() ? Value() : guards.size() == 1 ? guards[0] : guards[i];
    auto mask = guard ? dyn_cast<VectorType>(guard.getType()) : VectorType();
    if (!varying && !mask) {
      results.push_back(gatherElement(tensor, uniform, guard));
      continue;
    }
    int64_t lanes =
        varying ? cast<VectorType>(varying.getType()).getNumElements() : mask.getNumElements();
    Value offsets = broadcast(uniform, lanes);
    if (varying)
      offsets = add(offsets, varying);
    results.push_back(gatherVector(tensor, offsets, guard ? broadcast(guard, lanes) : Value()));
  }
  return results;
}

Value BlockProgram::gatherElement(const TensorView &tensor, Value offset, Value guard) {
  auto read = [&] {
    Value element = load(storageOf(tensor.element), byte(tensor.data, offset), tensor.bytes);
    return fromStorage(element, tensor.element);
  };
  if (!guard)
    return read();
  Type type =
      tensor.element.isF16() || tensor.element.isBF16() ? builder_.getF32Type() : tensor.element;
  auto branch = scf::IfOp::create(builder_, type, guard, /*withElseRegion=*/true);
  OpBuilder::InsertionGuard insertion(builder_);
  builder_.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(builder_, read());
  builder_.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(builder_, filled(type, 0));
  return branch.getResult(0);
}

// Smaller elements are read with the aligned word around them, which never crosses into another
// page.
Value BlockProgram::gatherVector(const TensorView &tensor, Value offsets, Value guard) {
  auto wide = cast<VectorType>(offsets.getType());
  int64_t lanes = wide.getNumElements();
  auto pointers = VectorType::get({lanes}, pointerType());
  auto words = VectorType::get({lanes}, builder_.getI32Type());
  if (!guard)
    guard = filled(VectorType::get({lanes}, builder_.getI1Type()), 1);
  bool isWord = tensor.bytes == kWordBytes;
  Value places, shift;
  if (isWord) {
    places = LLVM::GEPOp::create(builder_, pointers, builder_.getI8Type(), tensor.data, offsets);
  } else {
    Value base = LLVM::PtrToIntOp::create(builder_, builder_.getI64Type(), tensor.data);
    Value address = add(broadcast(base, lanes), offsets);
    Value within = arith::AndIOp::create(builder_, address, filled(wide, kWordBytes - 1));
    shift = arith::TruncIOp::create(builder_, words, multiply(within, filled(wide, 8)));
    Value aligned = arith::AndIOp::create(builder_, address, filled(wide, -kWordBytes));
    places = LLVM::IntToPtrOp::create(builder_, pointers, aligned);
  }
  Value word =
      LLVM::masked_gather::create(builder_, words, places, guard, ValueRange{filled(words, 0)},
                                  builder_.getI32IntegerAttr(kWordBytes));
  if (!isWord)
    word = arith::ShRUIOp::create(builder_, word, shift);
  return bitsToElement(word, tensor.element);
}

// The element in the lowest bits of each word.
Value BlockProgram::bitsToElement(Value word, Type stored) {
  auto words = cast<VectorType>(word.getType());
  if (stored.isInteger(32))
    return word;
  if (stored.isF32())
    return arith::BitcastOp::create(builder_, words.clone(stored), word);
  if (stored.isInteger(1)) {
    Value lowest = arith::AndIOp::create(builder_, word, filled(words, 0xff));
    return arith::CmpIOp::create(builder_, arith::CmpIPredicate::ne, lowest, filled(words, 0));
  }
  Value half = arith::TruncIOp::create(builder_, words.clone(builder_.getI16Type()), word);
  if (stored.isF16())
    half = arith::BitcastOp::create(builder_, words.clone(stored), half);
  return fromStorage(half, stored);
}
