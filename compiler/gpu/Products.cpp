/// Products of tiles: on tensor cores for 16-bit operands, by multiply-add for float32.
#include "compiler/attention/GpuCost.h"
#include "compiler/gpu/ThreadProgram.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {
constexpr int64_t kInner = 16;       // of mma.m16n8k16
constexpr int64_t kInnerOfTurn = 4;  // float32: as many as a 16-byte load brings
constexpr int kColumnsOfHalfLine = 16; // float32
} // namespace

LogicalResult ThreadProgram::lowerDot(DotOp op) {
  Type a = getElementTypeOrSelf(op.getA().getType()), accumulator = getElementTypeOrSelf(op.getType());
  if (auto shared = dyn_cast<SharedType>(op.getA().getType()))
    a = shared.getElementType();
  auto b = dyn_cast<SharedType>(op.getB().getType());
  if (!b || !accumulator.isF32() || b.getElementType() != a)
    return op.emitError("a product takes a right operand in shared memory, of the left one's type, and "
                        "float32 accumulators");
  // Fragments of TF32 come in one order from shared memory, in another from registers: Tf32.cpp.
  if (a.isF32() && op.getTf32() && isa<SharedType>(op.getA().getType()) == op.getTransposed())
    return lowerDotInTf32(op);
  if (a.isF32() && isa<SharedType>(op.getA().getType()))
    return lowerDotInFloat32(op);
  if (a.isF16() || a.isBF16())
    return lowerDotOnTensorCores(op, a);
  return op.emitError("no product of ") << a << " from registers";
}

//===-- Tensor cores ---------------------------------------------------------------------------===//

/// Bytes from a tile's first element to the row of a matrix that the lane addresses.
Value ThreadProgram::matrixOffset(const SharedTile &tile, const Layout::MatrixAddresses &addresses) {
  Value row = arith::AndIOp::create(builder_, lane_, i32(7)), column;
  for (int index : {3, 4}) {
    auto [rows, columns] = addresses.bases[index];
    Value distance = multiply(bit(lane_, index), rows + columns); // along one of them
    if (rows != 0)
      row = add(row, distance);
    else
      column = column ? add(column, distance) : distance;
  }
  return offsetIn(tile, row, column);
}

/// Four words: the pairs of the eight registers whose first element is `element`.
Values ThreadProgram::loadMatrix(const SharedTile &tile, Value laneOffset, Element element,
                                 bool transpose) {
  Type word = builder_.getI32Type();
  auto four = LLVM::LLVMStructType::getLiteral(builder_.getContext(), {word, word, word, word});
  MLIRContext *context = builder_.getContext();
  Value words = NVVM::LdMatrixOp::create(
      builder_, four, beyond(tile, laneOffset, element), 4u,
      transpose ? NVVM::MMALayout::col : NVVM::MMALayout::row,
      NVVM::LdStMatrixShapeAttr::get(context, 8, 8), NVVM::LdStMatrixEltType::B16);
  Values result;
  for (int64_t i = 0; i < 4; ++i)
    result.push_back(unpack(words, i));
  return result;
}

void ThreadProgram::multiplyFragments(Type element, ArrayRef<Value> a, ArrayRef<Value> b,
                                      MutableArrayRef<Value> sums) {
  Type real = builder_.getF32Type();
  auto four = LLVM::LLVMStructType::getLiteral(builder_.getContext(), {real, real, real, real});
  auto kind = element.isF16() ? NVVM::MMATypes::f16 : NVVM::MMATypes::bf16;
  auto operands = [&](ArrayRef<Value> words) {
    return llvm::map_to_vector(words, [&](Value word) -> Value {
      return element.isF16() ? LLVM::BitcastOp::create(builder_, VectorType::get(2, element), word) : word;
    });
  };
  Value result = NVVM::MmaOp::create(
      builder_, four, operands(a), operands(b), Values(sums), ArrayRef<int64_t>{16, 8, kInner}, std::nullopt,
      std::nullopt, std::array<NVVM::MMATypes, 2>{kind, kind},
      std::array<NVVM::MMALayout, 2>{NVVM::MMALayout::row, NVVM::MMALayout::col});
  for (int i = 0; i < 4; ++i)
    sums[i] = unpack(result, i);
}

Value ThreadProgram::anew(Value offset) {
  return LLVM::InlineAsmOp::create(builder_, builder_.getI32Type(), ValueRange{offset}, "mov.b32 $0, $1;", "=r,r",
                                   /*has_side_effects=*/true, /*is_align_stack=*/false,
                                   LLVM::tailcallkind::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr())
      .getResult(0);
}

namespace {

/// Where the steps of a product of fragments begin, inner dimension and column, in the order in which they are made.
struct Extent {
  int64_t size, step;
};
SmallVector<std::pair<int, int>> productSteps(Extent inner, Extent columns, bool columnsFirst) {
  SmallVector<std::pair<int, int>> steps;
  auto [outerSize, outerStep] = columnsFirst ? columns : inner;
  auto [innerSize, innerStep] = columnsFirst ? inner : columns;
  for (int i = 0; i < outerSize; i += static_cast<int>(outerStep))
    for (int j = 0; j < innerSize; j += static_cast<int>(innerStep))
      steps.push_back(columnsFirst ? std::pair(j, i) : std::pair(i, j));
  return steps;
}

} // namespace

/// Scores of 16 keys are whole before those of the next 16 are begun where all of the query is in registers:
/// what follows can start. Otherwise, and in products that add to an output, 16 of the inner dimension come
/// first, so that a fragment of the left operand is read, or used up, once.
LogicalResult ThreadProgram::lowerDotOnTensorCores(DotOp op, Type element) {
  auto tile = cast<RankedTensorType>(op.getType());
  Layout layout = layoutOf(tile);
  SharedTile b = shared(op.getB());
  int64_t inner = op.getTransposed() ? b.columns() : b.rows(), columns = tile.getDimSize(1);
  Layout left = Layout::accumulator(tile.getDimSize(0), inner, warps_);
  int64_t blocks = tile.getDimSize(0) / warps_ / 16; // of 16 rows, a warp's

  // The left operand in words; where it lies in shared memory, read step by step.
  bool inRegisters = !isa<SharedType>(op.getA().getType());
  Values leftWords;
  SharedTile a;
  Value leftOffset;
  if (inRegisters) {
    leftWords = pairs(op.getA());
  } else {
    a = shared(op.getA());
    leftOffset = matrixOffset(a, *Layout::accumulator(16, 16, 1).matrixAddresses());
    a.pointer = at(a.pointer, builder_.getI8Type(), multiply(warpRow(), a.rowBytes()));
  }
  bool columnsFirst = op.getTransposed() && inRegisters;
  // One ldmatrix brings 16 of the inner dimension for 16 columns; or 32 for 8 columns, four chunks of a row of keys side
  // by side: of the bits that swizzled rows toggle only one is left to the steps, and two addresses serve all.
  bool deep = columnsFirst && inner % (2 * kInner) == 0;
  int64_t innerOfStep = deep ? 2 * kInner : kInner, columnsOfStep = deep ? kInner / 2 : kInner;
  Layout right = Layout::rightOperand(innerOfStep, deep ? columnsOfStep : columns);
  Layout inMemory = op.getTransposed() ? right.transposed() : right;
  Layout::MatrixAddresses addresses = *inMemory.matrixAddresses();
  Value rightOffset = matrixOffset(b, addresses);
  if (op->hasAttr(kAgainAttribute)) {
    rightOffset = anew(rightOffset);
    leftOffset = leftOffset ? anew(leftOffset) : leftOffset;
  }

  llvm::DenseMap<int, SmallVector<Values>> leftFragments; // by their place along the inner dimension
  auto leftOf = [&](int k) -> SmallVector<Values> & {
    SmallVector<Values> &fragments = leftFragments[k];
    for (int64_t block = fragments.size(); block < blocks; ++block) {
      if (!inRegisters) {
        fragments.push_back(loadMatrix(a, leftOffset, {int(block) * 16, k}, false));
        continue;
      }
      Values words;
      for (int columnHalf : {0, 8})
        for (int rowHalf : {0, 8})
          words.push_back(leftWords[left.find({int(block) * 16 + rowHalf, k + columnHalf})->registerIndex / 2]);
      fragments.push_back(std::move(words));
    }
    return fragments;
  };
  Values sums = registers(op.getAccumulator());
  for (auto [k, column] : productSteps({inner, innerOfStep}, {columns, columnsOfStep}, columnsFirst)) {
    Element first = op.getTransposed() ? Element{column, k} : Element{k, column};
    Values words = loadMatrix(b, rightOffset, first, addresses.transpose);
    for (int half : {0, 1}) {
      SmallVector<Values> &fragments = leftOf(deep ? k + half * int(kInner) : k);
      for (int64_t block = 0; block < blocks; ++block) {
        int index = layout.find({int(block) * 16, deep ? column : column + 8 * half})->registerIndex;
        multiplyFragments(element, fragments[block], ArrayRef(words).slice(2 * half, 2), MutableArrayRef(sums).slice(index, 4));
      }
    }
  }
  define(op, std::move(sums));
  return success();
}

/// A product with ones for each block of 16 rows. Two blocks could share accumulators, with ones in the even columns
/// for the first and in the odd ones for the second; but what is infinite or NaN in a row of one would be NaN in the
/// other's, by its product with 0.
LogicalResult ThreadProgram::lowerSumOnTensorCores(ReduceOp op) {
  Layout matrix = layoutOf(op.getSource().getType()), rows = layoutOf(op.getType());
  auto tile = cast<RankedTensorType>(op.getSource().getType());
  Type element = tile.getElementType();
  Values source = pairs(op.getSource()), result(rows.registers());
  Value ones = i32((element.isF16() ? 0x3C00 : 0x3F80) * 0x10001);
  for (int block = 0; block < tile.getDimSize(0) / warps_ / 16; ++block) {
    Values sums(4, zero(builder_.getF32Type()));
    for (int k = 0; k < tile.getDimSize(1); k += kInner) {
      Values words;
      for (int columnHalf : {0, 8})
        for (int rowHalf : {0, 8})
          words.push_back(source[matrix.find({block * 16 + rowHalf, k + columnHalf})->registerIndex / 2]);
      multiplyFragments(element, words, {ones, ones}, sums);
    }
    for (int half : {0, 1})
      result[rows.find({block * 16 + 8 * half, 0})->registerIndex] = sums[2 * half];
  }
  define(op, std::move(result));
  return success();
}

//===-- Float32 --------------------------------------------------------------------------------===//

/// Each lane forms its own accumulators. A product is summed from zero, then added at once to what is given: in one chain
/// with the blocks before, each of its additions would be rounded at the size of all of them. Its sums take registers
/// beside the accumulators, so that they come by groups of columns, each of which reads the left operand anew. Groups
/// take different halves of the lines of shared memory: of the bits that swizzled rows toggle each has half the patterns.
LogicalResult ThreadProgram::lowerDotInFloat32(DotOp op) {
  Layout layout = layoutOf(op.getType());
  Values sums = registers(op.getAccumulator());
  if (matchPattern(op.getAccumulator(), m_AnyZeroFloat())) {
    define(op, productInFloat32(op, llvm::to_vector(llvm::seq(layout.registers()))));
    return success();
  }
  int64_t columns = cast<RankedTensorType>(op.getType()).getDimSize(1);
  SmallVector<SmallVector<int>> groups(groupsOfFloat32(columns));
  for (int i = 0; i < layout.registers(); ++i)
    groups[layout.element({i, 0, 0}).column / kColumnsOfHalfLine % groups.size()].push_back(i);
  for (const SmallVector<int> &places : groups)
    for (auto [place, product] : llvm::zip_equal(places, productInFloat32(op, places)))
      sums[place] = addTo(sums[place], product);
  define(op, std::move(sums));
  return success();
}

/// x y + product, rounded once, where the sum is the product of x and y and may be contracted.
Value ThreadProgram::addTo(Value sum, Value product) {
  auto scaled = sum.getDefiningOp<arith::MulFOp>();
  if (scaled && arith::bitEnumContainsAll(scaled.getFastmath(), arith::FastMathFlags::contract))
    return LLVM::FMAOp::create(builder_, scaled.getLhs(), scaled.getRhs(), product);
  return arith::AddFOp::create(builder_, sum, product);
}

/// The product's elements at these registers. A loop over the inner dimension, so that the code stays small: 16-byte
/// loads of the left operand's rows, and of the right one's too where it lies transposed.
Values ThreadProgram::productInFloat32(DotOp op, ArrayRef<int> places) {
  SharedTile a = shared(op.getA()), b = shared(op.getB());
  Layout layout = layoutOf(op.getType());
  Type real = builder_.getF32Type();
  auto element = [&](Value vector, int64_t i) -> Value {
    return LLVM::ExtractElementOp::create(builder_, vector, i32(i));
  };
  auto loop = scf::ForOp::create(builder_, i32(0), i32(a.columns()), i32(kInnerOfTurn), Values(places.size(), zero(real)));
  OpBuilder::InsertionGuard guard(builder_);
  builder_.setInsertionPointToStart(loop.getBody());
  Values sums(loop.getRegionIterArgs());
  Value k = loop.getInductionVar();
  Value aHere = offsetIn(a, rowOfThread(), k);
  Value bHere = op.getTransposed() ? offsetIn(b, columnOfThread(), k) : offsetIn(b, k, columnOfThread());
  auto load = [&](const SharedTile &tile, Value offset, Element place, int64_t count) -> Value {
    return LLVM::LoadOp::create(builder_, VectorType::get(count, real), beyond(tile, offset, place), count * 4);
  };
  llvm::MapVector<int, Value> rows;
  llvm::MapVector<int, SmallVector<size_t>> columns; // sums of each column, or pair of columns
  for (auto [i, place] : llvm::enumerate(places)) {
    auto [row, column] = layout.element({place, 0, 0});
    if (!rows.contains(row))
      rows[row] = load(a, aHere, {row, 0}, kInnerOfTurn);
    columns[op.getTransposed() ? column : column & ~1].push_back(i);
  }
  for (const auto &[column, ofColumn] : columns) {
    Value right = op.getTransposed() ? load(b, bHere, {column, 0}, kInnerOfTurn) : Value();
    for (int64_t step = 0; step < kInnerOfTurn; ++step) {
      if (!op.getTransposed())
        right = load(b, bHere, {int(step), column}, 2);
      for (size_t i : ofColumn) {
        Element at = layout.element({places[i], 0, 0});
        Value factor = element(right, op.getTransposed() ? step : at.column & 1);
        sums[i] = LLVM::FMAOp::create(builder_, element(rows[at.row], step), factor, sums[i]);
      }
    }
  }
  scf::YieldOp::create(builder_, sums);
  return Values(loop.getResults());
}
