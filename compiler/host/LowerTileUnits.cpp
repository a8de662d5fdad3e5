#include "compiler/host/LowerTileUnits.h"

#include "compiler/attention/PassOrder.h"
#include "compiler/host/EmulatedTiles.h"

#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Transforms/DialectConversion.h"

#include <array>

namespace tenon {
#define GEN_PASS_DEF_LOWERTILEUNITS
#include "compiler/host/LowerTileUnits.h.inc"
} // namespace tenon

using namespace mlir;
using namespace tenon;
using namespace tenon::tile_unit;

namespace {

int64_t numberOf(Value tile) { return *cast<TileType>(tile.getType()).getNumber(); }

/// What LDTILECFG reads.
constexpr std::array<uint8_t, kConfigurationBytes> configuration() {
  constexpr size_t kPalette = 0, kColumnBytes = 16 /* of 16 bits each */, kRowCounts = 48;
  std::array<uint8_t, kConfigurationBytes> bytes{};
  bytes[kPalette] = 1;
  for (size_t tile = 0; tile < kRegisters; ++tile) {
    bytes[kColumnBytes + 2 * tile] = kRowBytes;
    bytes[kRowCounts + tile] = kRows;
  }
  return bytes;
}

/// An operation without its tiles: `emit` makes what it does with the registers.
template <class Op> class WithoutTiles : public OpConversionPattern<Op> {
public:
  using Emit = std::function<void(ImplicitLocOpBuilder &, Op)>;
  WithoutTiles(const TypeConverter &types, MLIRContext *context, Emit emit)
      : OpConversionPattern<Op>(types, context), emit_(std::move(emit)) {}

  LogicalResult matchAndRewrite(Op op, OpConversionPattern<Op>::OneToNOpAdaptor,
                                ConversionPatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder builder(op.getLoc(), rewriter);
    emit_(builder, op);
    rewriter.replaceOpWithMultiple(op, SmallVector<ValueRange>(op->getNumResults()));
    return success();
  }

private:
  Emit emit_;
};

/// What becomes of each operation.
struct Rules {
  RewritePatternSet &patterns;
  const TypeConverter &types;

  template <class Op> void on(typename WithoutTiles<Op>::Emit emit) {
    patterns.add<WithoutTiles<Op>>(types, patterns.getContext(), std::move(emit));
  }
};

void call(ImplicitLocOpBuilder &b, StringRef name, ArrayRef<Value> tiles, ValueRange operands = {}) {
  SmallVector<Value> all;
  for (Value tile : tiles)
    all.push_back(LLVM::ConstantOp::create(b, b.getI8Type(), numberOf(tile)));
  llvm::append_range(all, operands);
  LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.x86." + name), all);
}

void configure(ImplicitLocOpBuilder &b, ConfigureOp op) {
  constexpr auto kBytes = configuration();
  auto type = VectorType::get({kConfigurationBytes}, b.getI8Type());
  Value bytes = LLVM::ConstantOp::create(b, type, DenseElementsAttr::get(type, ArrayRef(kBytes)));
  LLVM::StoreOp::create(b, bytes, op.getMemory(), kConfigurationBytes);
  call(b, "ldtilecfg", {}, op.getMemory());
}

void addInstructions(Rules rules) {
  rules.on<ConfigureOp>(configure);
  rules.on<ReleaseOp>([](ImplicitLocOpBuilder &b, ReleaseOp) { call(b, "tilerelease", {}); });
  rules.on<UndefinedOp>([](ImplicitLocOpBuilder &, UndefinedOp) {});
  rules.on<ZeroOp>([](ImplicitLocOpBuilder &b, ZeroOp op) { call(b, "tilezero", {op.getResult()}); });
  rules.on<LoadOp>([](ImplicitLocOpBuilder &b, LoadOp op) {
    call(b, op.getStreaming() ? "tileloaddt164" : "tileloadd64", {op.getResult()}, {op.getPointer(), op.getStride()});
  });
  rules.on<StoreOp>([](ImplicitLocOpBuilder &b, StoreOp op) {
    call(b, "tilestored64", {op.getTile()}, {op.getPointer(), op.getStride()});
  });
  rules.on<MultiplyOp>([](ImplicitLocOpBuilder &b, MultiplyOp op) {
    call(b, "tdpbf16ps", {op.getC(), op.getA(), op.getB()});
  });
}

void addEmulation(Rules rules, Value memory) {
  rules.on<ConfigureOp>([=](ImplicitLocOpBuilder &b, ConfigureOp) {
    for (int64_t tile = 0; tile < kRegisters; ++tile)
      EmulatedTiles(b, memory).zero(tile);
  });
  rules.on<ReleaseOp>([](ImplicitLocOpBuilder &, ReleaseOp) {});
  rules.on<UndefinedOp>([](ImplicitLocOpBuilder &, UndefinedOp) {});
  rules.on<ZeroOp>([=](ImplicitLocOpBuilder &b, ZeroOp op) { EmulatedTiles(b, memory).zero(numberOf(op.getResult())); });
  rules.on<LoadOp>([=](ImplicitLocOpBuilder &b, LoadOp op) {
    EmulatedTiles(b, memory).load(numberOf(op.getResult()), op.getPointer(), op.getStride());
  });
  rules.on<StoreOp>([=](ImplicitLocOpBuilder &b, StoreOp op) {
    EmulatedTiles(b, memory).store(numberOf(op.getTile()), op.getPointer(), op.getStride());
  });
  rules.on<MultiplyOp>([=](ImplicitLocOpBuilder &b, MultiplyOp op) {
    EmulatedTiles(b, memory).multiply(numberOf(op.getC()), numberOf(op.getA()), numberOf(op.getB()));
  });
}

struct LowerTileUnits : tenon::impl::LowerTileUnitsBase<LowerTileUnits> {
  using LowerTileUnitsBase::LowerTileUnitsBase;

  void runOnOperation() override {
    if (failed(checkLowered(getOperation(), getArgument(), "tenon-lower-tile-to-vector")))
      return signalPassFailure();
    WalkResult result = getOperation()->walk<WalkOrder::PreOrder>([&](Operation *op) {
      auto function = dyn_cast<FunctionOpInterface>(op);
      if (!function)
        return WalkResult::advance();
      return succeeded(lower(function)) ? WalkResult::skip() : WalkResult::interrupt();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  LogicalResult lower(FunctionOpInterface function) {
    bool any = false;
    WalkResult allocated = function.walk([&](Operation *op) {
      any |= isa_and_nonnull<TileUnitDialect>(op->getDialect());
      for (Value value : op->getResults())
        if (auto type = dyn_cast<TileType>(value.getType()); type && !type.getNumber())
          return WalkResult(op->emitOpError("has a tile without a register: run allocate-tile-registers before it"));
      return WalkResult::advance();
    });
    if (!any || allocated.wasInterrupted())
      return failure(allocated.wasInterrupted());

    TypeConverter types;
    types.addConversion([](Type type) { return type; });
    types.addConversion([](TileType, SmallVectorImpl<Type> &) { return success(); });
    RewritePatternSet patterns(&getContext());
    ConversionTarget target(getContext());
    target.addIllegalDialect<TileUnitDialect>();
    target.addLegalDialect<LLVM::LLVMDialect, arith::ArithDialect, math::MathDialect, vector::VectorDialect>();
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns, target);
    if (emulated)
      addEmulation({patterns, types}, memoryOf(function));
    else
      addInstructions({patterns, types});
    ConversionConfig config;
    config.allowPatternRollback = false;
    return applyPartialConversion(function, target, std::move(patterns), config);
  }

  Value memoryOf(FunctionOpInterface function) {
    ImplicitLocOpBuilder b(function.getLoc(), &getContext());
    b.setInsertionPointToStart(&function.getFunctionBody().front());
    Value bytes = LLVM::ConstantOp::create(b, b.getI64Type(), EmulatedTiles::kBytes);
    return LLVM::AllocaOp::create(b, LLVM::LLVMPointerType::get(&getContext()), b.getI8Type(), bytes, kRowBytes);
  }
};

} // namespace
