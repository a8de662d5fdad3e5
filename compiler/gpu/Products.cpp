/// Products of tiles: on tensor cores for 16-bit operands, by multiply-add for float32.
#include "compiler/gpu/ThreadProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {
constexpr int64_t kInner = 16;       // of mma.m16n8k16
constexpr int64_t kInnerOfTurn = 4;  // float32: as many as a 16-byte load brings
} // namespace

LogicalResult ThreadProgram::lowerDot(DotOp op) {
  Type a = getElementTypeOrSelf(op.getA().getType()), accumulator = getElementTypeOrSelf(op.getType());
  if (auto shared = dyn_cast<SharedType>(op.getA().getType()))
    a = shared.getElementType();
  auto b = dyn_cast<SharedType>(op.getB().getType());
  if (!b || !accumulator.isF32() || b.getElementType() != a)
    return op.emitError("a product takes a right operand in shared memory, of the left one's type, and "
                        "float32 accumulators");
  if (a.isF32() && isa<SharedType>(op.getA().getType()))
    return lowerDotInFloat32(op);
  if (a.isF16() || a.isBF16())
    return lowerDotOnTensorCores(op, a);
  return op.emitError("no product of ") << a << " from registers";
}

//===-- Tensor cores ---------------------------------------------------------------------------===//

/// Bytes from a tile's first element to the row of a matrix that the lane addresses.
Value ThreadProgram::matrixAddress(const SharedTile &tile, const Layout::MatrixAddresses &addresses) {
  Value offset = multiply(arith::AndIOp::create(builder_, lane_, i32(7)), tile.rowBytes());
  for (int index : {3, 4})
    offset = add(offset, multiply(bit(lane_, index), tile.offset(addresses.bases[index])));
  return LLVM::GEPOp::create(builder_, tile.pointer.getType(), builder_.getI8Type(), tile.pointer,
                             ArrayRef<LLVM::GEPArg>{offset});
}

/// Four words: the pairs of the eight registers whose first element is `element`.
Values ThreadProgram::loadMatrix(const SharedTile &tile, Value laneAddress, Element element,
                                 bool transpose) {
  Type word = builder_.getI32Type();
  auto four = LLVM::LLVMStructType::getLiteral(builder_.getContext(), {word, word, word, word});
  MLIRContext *context = builder_.getContext();
  Value words = NVVM::LdMatrixOp::create(
      builder_, four, at(laneAddress, tile.offset(element)), 4u,
      transpose ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8), NVVM::LdStMatrixEltType::B16);
  Values result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(unpack(words, i));
  return result;
}

LogicalResult ThreadProgram::lowerDotOnTensorCores(DotOp op, Type element) {
  auto tile = cast<RankedTensorType>(op.getType());
  Layout layout = layoutOf(tile);
  SharedTile b = shared(op.getB());
  int64_t inner = b.type.getShape()[op.getTransposed() ? 1 : 0], columns = tile.getDimSize(1);
  Layout left = Layout::accumulator(tile.getDimSize(0), inner, warps_);
  int64_t blocks = tile.getDimSize(0) / warps_ / 16; // of 16 rows, a warp's

  // The left operand in words; where it lies in shared memory, read step by step.
  bool inRegisters = !isa<SharedType>(op.getA().getType());
  Values leftWords;
  Value leftAddress;
  if (inRegisters) {
    leftWords = pairs(op.getA());
  } else {
    SharedTile a = shared(op.getA());
    leftAddress = matrixAddress(a, *Layout::accumulator(16, 16, 1).matrixAddresses());
    leftAddress = LLVM::GEPOp::create(builder_, leftAddress.getType(), builder_.getI8Type(), leftAddress,
                                      ArrayRef<LLVM::GEPArg>{multiply(warpRow(), a.rowBytes())});
  }
  Layout right = Layout::rightOperand(kInner, columns);
  Layout inMemory = op.getTransposed() ? right.transposed() : right;
  Layout::MatrixAddresses addresses = *inMemory.matrixAddresses();
  Value rightAddress = matrixAddress(b, addresses);

  Type mmaPair = element.isF16() ? Type(VectorType::get(2, element)) : builder_.getI32Type();
  auto operand = [&](Value word) -> Value {
    return element.isF16() ? LLVM::BitcastOp::create(builder_, mmaPair, word) : word;
  };
  auto kind = element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  Type real = builder_.getF32Type();
  auto four = LLVM::LLVMStructType::getLiteral(builder_.getContext(), {real, real, real, real});
  Values sums = registers(op.getAccumulator());
  for (int64_t k = 0; k < inner; k += kInner) {
    SmallVector<Values> a(blocks);
    for (int64_t block = 0; block < blocks; ++block) {
      if (!inRegisters) {
        a[block] = loadMatrix(shared(op.getA()), leftAddress, {int(block) * 16, int(k)}, false);
      } else {
        for (int64_t columnHalf : {0, 8})
          for (int64_t rowHalf : {0, 8})
            a[block].push_back(leftWords[left.find({int(block * 16 + rowHalf), int(k + columnHalf)})
                                             ->registerIndex / 2]);
      }
      for (Value &word : a[block])
        word = operand(word);
    }
    for (int group = 0; group < right.registers() / 8; ++group) {
      Element first = inMemory.element({8 * group, 0, 0});
      first = first ^ (op.getTransposed() ? Element{0, int(k)} : Element{int(k), 0});
      Values words = loadMatrix(b, rightAddress, first, addresses.transpose);
      for (Value &word : words)
        word = operand(word);
      for (int64_t block = 0; block < blocks; ++block)
        for (int half : {0, 1}) {
          int index = layout.find({int(block) * 16, 16 * group + 8 * half})->registerIndex;
          int64_t places[4];
          for (int i = 0; i < 4; ++i)
            places[i] = index + i;
          Values c = llvm::map_to_vector(places, [&](int64_t place) { return sums[place]; });
          Value result = NVVM::MmaOp::create(
              builder_, four, a[block], ArrayRef<Value>(words).slice(2 * half, 2), c,
              ArrayRef<int64_t>{16, 8, kInner}, std::nullopt, std::nullopt,
              std::array<NVVM::MMATypes, 2>{kind, kind},
              std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
          for (int i = 0; i < 4; ++i)
            sums[places[i]] = unpack(result, i);
        }
    }
  }
  define(op, std::move(sums));
  return success();
}

//===-- Float32 --------------------------------------------------------------------------------===//

/// Each lane forms its own accumulators. A loop over the inner dimension, so that the code stays small:
/// 16-byte loads of the left operand's rows, and of the right one's too where it lies transposed.
LogicalResult ThreadProgram::lowerDotInFloat32(DotOp op) {
  SharedTile a = shared(op.getA()), b = shared(op.getB());
  Layout layout = layoutOf(op.getType());
  int64_t inner = a.type.getShape()[1];
  Type real = builder_.getF32Type(), byte = builder_.getI8Type();
  auto element = [&](Value vector, int64_t i) -> Value {
    return LLVM::ExtractElementOp::create(builder_, vector, i32(i));
  };
  auto move = [&](Value pointer, Value bytes) -> Value {
    return LLVM::GEPOp::create(builder_, pointer.getType(), byte, pointer, ArrayRef<LLVM::GEPArg>{bytes});
  };
  Value aStart = move(a.pointer, multiply(rowOfThread(), a.rowBytes()));
  Value bStart = move(b.pointer, multiply(columnOfThread(),
                                          op.getTransposed() ? b.rowBytes() : b.elementBytes()));
  auto loop = scf::ForOp::create(builder_, i32(0), i32(inner), i32(kInnerOfTurn),
                                 registers(op.getAccumulator()));
  {
    OpBuilder::InsertionGuard guard(builder_);
    builder_.setInsertionPointToStart(loop.getBody());
    Values sums(loop.getRegionIterArgs());
    Value k = loop.getInductionVar();
    Value aHere = move(aStart, multiply(k, a.elementBytes()));
    Value bHere = move(bStart, multiply(k, op.getTransposed() ? b.elementBytes() : b.rowBytes()));
    auto load = [&](const SharedTile &tile, Value pointer, Element place, int64_t count) -> Value {
      return LLVM::LoadOp::create(builder_, VectorType::get(count, real),
                                  at(pointer, tile.offset(place)), count * 4);
    };
    auto accumulate = [&](Value &sum, Value x, Value y) {
      sum = LLVM::FMAOp::create(builder_, x, y, sum);
    };
    llvm::DenseMap<int, Value> rows;
    for (int i = 0; i < layout.registers(); ++i) {
      int row = layout.element({i, 0, 0}).row;
      if (!rows.contains(row))
        rows[row] = load(a, aHere, {row, 0}, kInnerOfTurn);
    }
    llvm::MapVector<int, SmallVector<int>> columns; // registers of each column, or pair of columns
    for (int i = 0; i < layout.registers(); ++i) {
      int column = layout.element({i, 0, 0}).column;
      columns[op.getTransposed() ? column : column & ~1].push_back(i);
    }
    for (auto &[column, places] : columns) {
      if (op.getTransposed()) {
        Value right = load(b, bHere, {column, 0}, kInnerOfTurn);
        for (int64_t step = 0; step < kInnerOfTurn; ++step)
          for (int place : places)
            accumulate(sums[place], element(rows[layout.element({place, 0, 0}).row], step),
                       element(right, step));
        continue;
      }
      for (int64_t step = 0; step < kInnerOfTurn; ++step) {
        Value right = load(b, bHere, {int(step), column}, 2);
        for (int place : places) {
          Element at = layout.element({place, 0, 0});
          accumulate(sums[place], element(rows[at.row], step), element(right, at.column & 1));
        }
      }
    }
    scf::YieldOp::create(builder_, sums);
  }
  define(op, Values(loop.getResults()));
  return success();
}
