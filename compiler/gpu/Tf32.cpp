/// Products of float32 on tensor cores, operands rounded to TF32: mma.m16n8k8.
///
/// Lane 4g + t holds of the left fragment columns t and t + 4 in rows g and g + 8, and of the right one rows t and
/// t + 4 in column g (PTX ISA, "Matrix Fragments for mma.m16n8k8"). A word of ldmatrix is one element of float32, so
/// that four matrices of 8 x 8 halves are such a fragment. Probabilities stay in registers: lane 4g + t has columns
/// 2t and 2t + 1 of each eight. The order of the inner dimension is free, as long as both operands have the same:
/// columns 2t and 2t + 1 take the places t and t + 4, and so do the rows of the right operand.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {
constexpr int kInner = 8;        // of mma.m16n8k8
constexpr int kRows = 16;        // its rows
constexpr int kColumnsAtOnce = 16; // of two of them: what one ldmatrix brings
} // namespace

/// To nearest, ties away from zero: without it the tensor core would cut bits off.
Value ThreadProgram::toTf32(Value real) {
  return NVVM::ConvertFloatToTF32Op::create(builder_, builder_.getI32Type(), real, NVVM::FPRoundingMode::RNA,
                                            NVVM::SaturationMode::NONE, /*relu=*/false);
}

/// Four words of shared memory by ldmatrix, rounded.
Values ThreadProgram::loadTf32(Value address) {
  Type word = builder_.getI32Type();
  MLIRContext *context = builder_.getContext();
  auto four = LLVM::LLVMStructType::getLiteral(context, {word, word, word, word});
  Value words = NVVM::LdMatrixOp::create(builder_, four, address, 4u, NVVM::MMALayout::row,
                                         NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                                         NVVM::LdStMatrixEltType::B16);
  Values result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(toTf32(LLVM::BitcastOp::create(builder_, builder_.getF32Type(), unpack(words, i))));
  return result;
}

void ThreadProgram::multiplyTf32(ArrayRef<Value> a, ArrayRef<Value> b, MutableArrayRef<Value> sums) {
  Type real = builder_.getF32Type();
  auto four = LLVM::LLVMStructType::getLiteral(builder_.getContext(), {real, real, real, real});
  Value result = NVVM::MmaOp::create(
      builder_, four, a, b, Values(sums), ArrayRef<int64_t>{kRows, 8, kInner}, std::nullopt, std::nullopt,
      std::array<NVVM::MMATypes, 2>{NVVM::MMATypes::tf32, NVVM::MMATypes::tf32},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int i = 0; i < 4; ++i)
    sums[i] = unpack(result, i);
}

/// Fragments of the left operand: of each block of 16 rows of the warp, for eight of the inner dimension.
SmallVector<Values> ThreadProgram::leftTf32(DotOp op, int64_t blocks, int k) {
  SmallVector<Values> fragments(blocks);
  if (auto type = dyn_cast<RankedTensorType>(op.getA().getType())) {
    Layout left = layoutOf(type);
    Values values = registers(op.getA());
    for (int64_t block = 0; block < blocks; ++block)
      for (int column : {0, 1})
        for (int rowHalf : {0, 8})
          fragments[block].push_back(
              toTf32(values[left.find({int(block) * kRows + rowHalf, k + column})->registerIndex]));
    return fragments;
  }
  SharedTile a = shared(op.getA());
  // Lanes address rows 0 to 15 of columns 0 to 3, then of 4 to 7.
  Value row = add(warpRow(), arith::AndIOp::create(builder_, lane_, i32(kRows - 1)));
  Value right = arith::ShRUIOp::create(builder_, lane_, i32(4));
  Value offset = offsetIn(a, row, multiply(right, 4));
  for (int64_t block = 0; block < blocks; ++block)
    fragments[block] = loadTf32(beyond(a, offset, {int(block) * kRows, k}));
  return fragments;
}

/// Fragments of the right operand for 16 columns of the result: two words for each eight.
Values ThreadProgram::rightTf32(DotOp op, int k, int column) {
  SharedTile b = shared(op.getB());
  auto lanes = [&](int shift, int count) -> Value {
    Value shifted = arith::ShRUIOp::create(builder_, lane_, i32(shift));
    return arith::AndIOp::create(builder_, shifted, i32(count - 1));
  };
  if (op.getTransposed()) {
    // Lanes address eight rows of columns 0 to 3, of 4 to 7, and the same of the next eight rows.
    Value row = add(lanes(0, 8), multiply(lanes(4, 2), 8));
    return loadTf32(beyond(b, offsetIn(b, row, multiply(lanes(3, 2), 4)), {column, k}));
  }
  Value offset = offsetIn(b, multiply(lanes(0, 4), 2), lanes(2, 8));
  Values words;
  for (int right : {0, 8})
    for (int row : {0, 1})
      words.push_back(toTf32(LLVM::LoadOp::create(builder_, builder_.getF32Type(),
                                                  beyond(b, offset, {k + row, column + right}))));
  return words;
}

LogicalResult ThreadProgram::lowerDotInTf32(DotOp op) {
  auto tile = cast<RankedTensorType>(op.getType());
  Layout layout = layoutOf(tile);
  ArrayRef<int64_t> shape = cast<SharedType>(op.getB().getType()).getShape();
  int64_t inner = shape[op.getTransposed() ? 1 : 0], blocks = tile.getDimSize(0) / warps_ / kRows;
  Values sums = registers(op.getAccumulator());
  for (int k = 0; k < inner; k += kInner) {
    SmallVector<Values> left = leftTf32(op, blocks, k);
    for (int column = 0; column < tile.getDimSize(1); column += kColumnsAtOnce) {
      Values right = rightTf32(op, k, column);
      for (int64_t block = 0; block < blocks; ++block)
        for (int half : {0, 1}) {
          int index = layout.find({int(block) * kRows, column + 8 * half})->registerIndex;
          multiplyTf32(left[block], ArrayRef(right).slice(2 * half, 2), MutableArrayRef(sums).slice(index, 4));
        }
    }
  }
  define(op, std::move(sums));
  return success();
}
