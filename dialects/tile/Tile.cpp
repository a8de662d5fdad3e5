#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "tenon/KernelImage.h"

using namespace mlir;
using namespace tenon::tile;

/// 64x128xf16, as in a builtin tensor
static ParseResult parseShape(AsmParser &parser, SmallVector<int64_t> &shape, Type &element) {
  return failure(parser.parseDimensionList(shape, /*allowDynamic=*/false, /*withTrailingX=*/true) ||
                 parser.parseType(element));
}
static void printShape(AsmPrinter &printer, ArrayRef<int64_t> shape, Type element) {
  printer.printDimensionList(shape);
  printer << 'x' << element;
}

#include "dialects/tile/TileDialect.cpp.inc"
#include "dialects/tile/TileEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "dialects/tile/TileAttributes.cpp.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/tile/TileTypes.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/tile/TileOps.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/tile/ScheduleOps.cpp.inc"

void TileDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "dialects/tile/TileAttributes.cpp.inc"
      >();
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialects/tile/TileTypes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tile/TileOps.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "dialects/tile/ScheduleOps.cpp.inc"
      >();
}

static ArrayRef<int64_t> shapeOf(Type type) {
  if (auto shared = dyn_cast<SharedType>(type))
    return shared.getShape();
  return cast<RankedTensorType>(type).getShape();
}

LogicalResult TensorOp::verify() {
  if (getSlot() >= static_cast<uint32_t>(kMaxTensorArguments))
    return emitOpError("slot ") << getSlot() << " must be below " << kMaxTensorArguments;
  if (!getColumn() != !getRowWidth())
    return emitOpError("has a column and the width of a row, or neither");
  return success();
}

LogicalResult ScalarOp::verify() {
  if (getSlot() >= static_cast<uint32_t>(kMaxScalarArguments))
    return emitOpError("slot ") << getSlot() << " must be below " << kMaxScalarArguments;
  return success();
}

// What load, store and copy_async have in common.
template <typename Op> static LogicalResult verifyRowsInMemory(Op op, Type tile) {
  ArrayRef<int64_t> shape = shapeOf(tile);
  int64_t columns = shape.size() == 2 ? shape[1] : 1;
  if (static_cast<int64_t>(op.getWidth()) > columns)
    return op.emitOpError("width ") << op.getWidth() << " exceeds the tile's " << columns << " columns";
  if (op.getGroup() == 0)
    return op.emitOpError("group is 0, must be at least 1");
  return success();
}

LogicalResult LoadOp::verify() { return verifyRowsInMemory(*this, getResult().getType()); }

LogicalResult StoreOp::verify() { return verifyRowsInMemory(*this, getValue().getType()); }

LogicalResult GatherOp::verify() {
  if (auto tensor = getTensor().getDefiningOp<TensorOp>(); tensor && tensor.getColumn())
    return emitOpError("clamps indices to a whole tensor's sizes, was given one that begins at a column");
  if (getIndices().empty() || getIndices().size() > 4)
    return emitOpError("takes 1 to 4 indices, was given ") << getIndices().size();
  if (!isa<RankedTensorType>(getResult().getType())) {
    if (getGuard() || llvm::any_of(getIndices().getTypes(), llvm::IsaPred<RankedTensorType>))
      return emitOpError("gives a scalar only where all indices are scalars and there is no guard");
    return success();
  }
  ArrayRef<int64_t> shape = shapeOf(getResult().getType());
  for (Value index : getIndices())
    if (isa<RankedTensorType>(index.getType()) && shapeOf(index.getType()) != shape)
      return emitOpError("an index must be a scalar or have the result's shape");
  if (getGuard() && shapeOf(getGuard().getType()) != shape)
    return emitOpError("the guard must have the result's shape");
  return success();
}

LogicalResult DotOp::verify() {
  ArrayRef<int64_t> a = shapeOf(getA().getType()), b = shapeOf(getB().getType());
  ArrayRef<int64_t> c = shapeOf(getResult().getType());
  if (a.size() != 2 || b.size() != 2 || c.size() != 2)
    return emitOpError("takes tiles of rows and columns");
  int64_t inner = getTransposed() ? b[1] : b[0], columns = getTransposed() ? b[0] : b[1];
  if (a[1] != inner)
    return emitOpError("the inner sizes differ: ") << a[1] << " and " << inner;
  if (c[0] != a[0] || c[1] != columns)
    return emitOpError("the result must be ") << a[0] << "x" << columns;
  return success();
}

static LogicalResult verifyRows(Operation *op, Type matrix, Type vector) {
  ArrayRef<int64_t> m = shapeOf(matrix), v = shapeOf(vector);
  if (m.size() != 2 || v.size() != 1 || m[0] != v[0])
    return op->emitOpError("relates a tile to a vector with one element for each of its rows");
  return success();
}

LogicalResult ReduceOp::verify() {
  Type from = getElementTypeOrSelf(getSource()), to = getElementTypeOrSelf(getResult());
  if (from != to && !(getReduction() == Reduction::sum && to.isF32()))
    return emitOpError("keeps the element type, or sums in f32");
  return verifyRows(*this, getSource().getType(), getResult().getType());
}

LogicalResult ExpandOp::verify() {
  if (getElementTypeOrSelf(getSource()) != getElementTypeOrSelf(getResult()))
    return emitOpError("keeps the element type");
  return verifyRows(*this, getResult().getType(), getSource().getType());
}

LogicalResult SplatOp::verify() {
  if (getSource().getType() != getElementTypeOrSelf(getResult()))
    return emitOpError("keeps the element type");
  return success();
}

template <typename Op> static LogicalResult verifyNumbers(Op op) {
  ArrayRef<int64_t> shape = shapeOf(op.getResult().getType());
  if (shape.size() != 2 || shape[1] % 32 != 0)
    return op.emitOpError("the number of columns must be a multiple of 32");
  if (op.getGroup() == 0)
    return op.emitOpError("group is 0, must be at least 1");
  return success();
}

LogicalResult RandomOp::verify() { return verifyNumbers(*this); }

LogicalResult DropOp::verify() {
  if (getElementTypeOrSelf(getSource()).getIntOrFloatBitWidth() != 16)
    return emitOpError("takes elements of 16 bits");
  return verifyNumbers(*this);
}

LogicalResult SharedAllocOp::verify() {
  ArrayRef<int64_t> shape = shapeOf(getResult().getType());
  unsigned bits = getResult().getType().getElementType().getIntOrFloatBitWidth();
  if ((shape.size() != 2 && shape.size() != 3) || shape.back() * bits % 128 != 0)
    return emitOpError("takes rows of whole 16-byte chunks");
  return success();
}

LogicalResult StageOp::verify() {
  SharedType ring = getRing().getType(), tile = getResult().getType();
  if (ring.getShape().size() < 2 || ring.getShape().drop_front() != tile.getShape() ||
      ring.getElementType() != tile.getElementType() || ring.getConflicts() != tile.getConflicts())
    return emitOpError("takes a tile out of a ring of such tiles, not ") << tile << " out of " << ring;
  return success();
}

static LogicalResult verifyWidth(Operation *op, SharedType shared, int64_t width) {
  ArrayRef<int64_t> shape = shared.getShape();
  if (shape.size() != 2)
    return op->emitOpError("takes one tile, not a ring");
  if (width > shape[1])
    return op->emitOpError("width ") << width << " exceeds the tile's " << shape[1] << " columns";
  return success();
}

LogicalResult CopyAsyncOp::verify() { return verifyWidth(*this, getShared().getType(), getWidth()); }
LogicalResult CopyWholeOp::verify() { return verifyWidth(*this, getShared().getType(), getWidth()); }
LogicalResult StoreSharedOp::verify() { return verifyWidth(*this, getShared().getType(), getWidth()); }

static LogicalResult verifyTransfer(Operation *op, SharedType shared, RankedTensorType tile) {
  if (shared.getShape() != tile.getShape() || shared.getElementType() != tile.getElementType())
    return op->emitOpError("moves a tile between registers and shared memory unchanged: ")
           << shared << " and " << tile << " differ";
  return success();
}

LogicalResult ReadOp::verify() {
  return verifyTransfer(*this, getShared().getType(), cast<RankedTensorType>(getResult().getType()));
}

LogicalResult WriteOp::verify() {
  return verifyTransfer(*this, getShared().getType(), cast<RankedTensorType>(getValue().getType()));
}
