#include "compiler/gpu/AssignLayouts.h"

#include "compiler/attention/PassOrder.h"
#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"

namespace tenon {
#define GEN_PASS_DEF_ASSIGNLAYOUTS
#include "compiler/gpu/AssignLayouts.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

constexpr int64_t kRowsOfFragment = 16; // of mma.m16n8
constexpr int64_t kLanes = 32;
constexpr int64_t kMaxWarps = 32;

/// Rows of the tiles that products make, or of any tile where there is no product.
int64_t rowsOfProducts(func::FuncOp function) {
  int64_t rows = 0, others = 0;
  function.walk([&](Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto tile = dyn_cast<RankedTensorType>(type))
        (isa<DotOp>(op) ? rows : others) = tile.getDimSize(0);
  });
  return rows ? rows : others;
}

struct AssignLayouts : tenon::impl::AssignLayoutsBase<AssignLayouts> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (failed(checkOrder(function, getArgument(), Form::kStaged, Form::kStaged)))
      return signalPassFailure();
    rows = 0;
    auto asked = function->getAttrOfType<IntegerAttr>(kWarpsAttribute);
    int64_t warps = asked ? asked.getInt() : rowsOfProducts(function) / kRowsOfFragment;
    if (warps < 1 || warps > kMaxWarps || !llvm::isPowerOf2_64(warps)) {
      function.emitError() << "a block needs 1, 2, 4 … " << kMaxWarps << " warps, not " << warps;
      return signalPassFailure();
    }
    function->setAttr(kThreadsAttribute,
                      IntegerAttr::get(IntegerType::get(&getContext(), 32), warps * kLanes));
    WalkResult result = function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      for (Value value : op->getResults())
        if (failed(assign(value, warps, op)))
          return WalkResult::interrupt();
      for (Region &region : op->getRegions())
        for (Value argument : region.getArguments())
          if (failed(assign(argument, warps, op)))
            return WalkResult::interrupt();
      if (auto constant = dyn_cast<arith::ConstantOp>(op))
        return WalkResult(encodeConstant(constant));
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  int64_t rows = 0; // of every tile in registers

  LogicalResult assign(Value value, int64_t warps, Operation *op) {
    auto tile = dyn_cast<RankedTensorType>(value.getType());
    if (!tile)
      return success();
    if (!rows)
      rows = tile.getDimSize(0);
    if (tile.getDimSize(0) != rows)
      return op->emitError() << tile << " has other rows than the kernel's tiles in registers, " << rows;
    if (tile.getRank() > 2 || rows % (kRowsOfFragment * warps) != 0 || !llvm::isPowerOf2_64(rows))
      return op->emitError() << tile << " cannot be dealt to " << warps << " warps in runs of "
                             << kRowsOfFragment << " rows";
    if (tile.getRank() == 2 && tile.getDimSize(1) % 16 != 0)
      return op->emitError() << tile << " must have a multiple of 16 columns";
    auto layout = LayoutAttr::get(&getContext(),
                                  tile.getRank() == 2 ? Holding::matrix : Holding::rows, warps);
    value.setType(RankedTensorType::get(tile.getShape(), tile.getElementType(), layout));
    return success();
  }

  LogicalResult encodeConstant(arith::ConstantOp constant) {
    auto tile = dyn_cast<RankedTensorType>(constant.getType());
    if (!tile)
      return success();
    auto elements = dyn_cast<DenseElementsAttr>(constant.getValue());
    if (!elements || !elements.isSplat())
      return constant.emitError("a constant tile must have equal elements");
    constant.setValueAttr(DenseElementsAttr::get(tile, elements.getSplatValue<Attribute>()));
    return success();
  }
};

} // namespace
