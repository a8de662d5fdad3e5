#include "dialects/attention/Attention.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/FoldInterfaces.h"

using namespace mlir;
using namespace tenon::attention;

// Products, softmax and the fused operation name their one type once.
template <typename... Types> static ParseResult parseSameType(OpAsmParser &parser, Types &...types) {
  Type type;
  if (parser.parseType(type))
    return failure();
  ((types = type), ...);
  return success();
}
template <typename... Types>
static void printSameType(OpAsmPrinter &printer, Operation *, Type type, Types...) {
  printer << type;
}

#include "dialects/attention/AttentionDialect.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/attention/AttentionOps.cpp.inc"

namespace {
/// Constants of a fused operation's regions stay there: what they capture are inputs.
struct FoldWithinRegions : DialectFoldInterface {
  using DialectFoldInterface::DialectFoldInterface;
  bool shouldMaterializeInto(Region *region) const final { return isa<FusedOp>(region->getParentOp()); }
};
} // namespace

void AttentionDialect::initialize() {
  addInterfaces<FoldWithinRegions>();
  addOperations<
#define GET_OP_LIST
#include "dialects/attention/AttentionOps.cpp.inc"
      >();
}

Operation *AttentionDialect::materializeConstant(OpBuilder &builder, Attribute value, Type type,
                                                 Location loc) {
  auto typed = dyn_cast<TypedAttr>(value);
  if (!typed || typed.getType() != type || isTensor(type))
    return nullptr;
  return ConstantOp::create(builder, loc, typed);
}

OpFoldResult ConstantOp::fold(FoldAdaptor) { return getValue(); }

// transpose(transpose(x)) => x
OpFoldResult TransposeOp::fold(FoldAdaptor) {
  if (auto inner = getOperand().getDefiningOp<TransposeOp>())
    return inner.getOperand();
  return {};
}

//===-- Verifiers ------------------------------------------------------------------------------===//

// The result's element kind is given by the operation; that it is a tensor, by its operands.
static LogicalResult verifyElementwise(Operation *op, Type element) {
  bool tensor = llvm::any_of(op->getOperandTypes(), isTensor);
  Type expected = tensor ? Type(UnrankedTensorType::get(element)) : element;
  if (op->getResult(0).getType() != expected)
    return op->emitOpError("gives ") << expected << ", not " << op->getResult(0).getType();
  return success();
}

static LogicalResult verifySameKind(Operation *op, Value a, Value b) {
  if (getElementTypeOrSelf(a) != getElementTypeOrSelf(b))
    return op->emitOpError("takes operands of one kind, was given ")
           << a.getType() << " and " << b.getType() << "; convert one of them";
  return success();
}

template <typename Op> static LogicalResult verifyBinary(Op op) {
  if (failed(verifySameKind(op, op.getA(), op.getB())))
    return failure();
  return verifyElementwise(op, getElementTypeOrSelf(op.getA()));
}

template <typename Op> static LogicalResult verifyComparison(Op op) {
  if (failed(verifySameKind(op, op.getA(), op.getB())))
    return failure();
  return verifyElementwise(op, IntegerType::get(op.getContext(), 1));
}

LogicalResult AddOp::verify() { return verifyBinary(*this); }
LogicalResult SubtractOp::verify() { return verifyBinary(*this); }
LogicalResult MultiplyOp::verify() { return verifyBinary(*this); }
LogicalResult DivideOp::verify() { return verifyBinary(*this); }
LogicalResult MinimumOp::verify() { return verifyBinary(*this); }
LogicalResult MaximumOp::verify() { return verifyBinary(*this); }
LogicalResult PowerOp::verify() { return verifyBinary(*this); }
LogicalResult FloorDivideOp::verify() { return verifyBinary(*this); }
LogicalResult ModuloOp::verify() { return verifyBinary(*this); }
LogicalResult AndOp::verify() { return verifyBinary(*this); }
LogicalResult OrOp::verify() { return verifyBinary(*this); }
LogicalResult EqualOp::verify() { return verifyComparison(*this); }
LogicalResult NotEqualOp::verify() { return verifyComparison(*this); }
LogicalResult LessOp::verify() { return verifyComparison(*this); }
LogicalResult LessEqualOp::verify() { return verifyComparison(*this); }
LogicalResult GreaterOp::verify() { return verifyComparison(*this); }
LogicalResult GreaterEqualOp::verify() { return verifyComparison(*this); }

LogicalResult WhereOp::verify() {
  if (failed(verifySameKind(*this, getA(), getB())))
    return failure();
  return verifyElementwise(*this, getElementTypeOrSelf(getA()));
}

LogicalResult ConvertOp::verify() {
  Type from = getElementTypeOrSelf(getOperand()), to = getElementTypeOrSelf(getResult());
  if (from.isF32() == to.isF32())
    return emitOpError("converts an index or a mask to a real, or a real to an index; not ")
           << from << " to " << to;
  return verifyElementwise(*this, to);
}

static LogicalResult verifyIndices(Operation *op, size_t indices) {
  if (indices < 1 || indices > 4)
    return op->emitOpError("takes 1 to 4 indices, was given ") << indices;
  return success();
}

LogicalResult LoadOp::verify() {
  if (failed(verifyIndices(*this, getIndices().size())))
    return failure();
  if (getResult().getType() != getTable().getType())
    return emitOpError("gives elements of its table's type ") << getTable().getType();
  return success();
}

LogicalResult ElementOp::verify() {
  if (failed(verifyIndices(*this, getIndices().size())))
    return failure();
  if (getResult().getType() != getElementTypeOrSelf(getTensor()))
    return emitOpError("gives one element of ") << getTensor().getType();
  return success();
}

static LogicalResult verifyRegion(FusedOp op, Region &region, StringRef name, bool takesScore,
                                  ArrayRef<Type> yields) {
  SmallVector<Type> arguments(takesScore ? 1 : 0, Float32Type::get(op.getContext()));
  arguments.append(4, IntegerType::get(op.getContext(), 32));
  if (!llvm::hasSingleElement(region))
    return op.emitOpError("region '") << name << "' must be one block";
  if (!llvm::equal(region.getArgumentTypes(), arguments))
    return op.emitOpError("region '") << name << "' must take (" << arguments << "), takes ("
                                      << region.getArgumentTypes() << ")";
  auto yield = dyn_cast<YieldOp>(region.front().getTerminator());
  if (!yield || !llvm::equal(yield.getOperandTypes(), yields))
    return op.emitOpError("region '") << name << "' must end in attention.yield of (" << yields << ")";
  return success();
}

LogicalResult FusedOp::verifyRegions() {
  Type real = Float32Type::get(getContext()), index = IntegerType::get(getContext(), 32);
  Type visible = IntegerType::get(getContext(), 1);
  if (failed(verifyRegion(*this, getMask(), "mask", false, {visible})) ||
      failed(verifyRegion(*this, getScore(), "score", true, {real})))
    return failure();
  if (getBounds().empty())
    return success();
  return verifyRegion(*this, getBounds(), "bounds", false, {index, index, index, index});
}
