#include "compiler/host/TileUnits.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

#include <array>

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

/// What LDTILECFG reads.
constexpr std::array<uint8_t, 64> configuration() {
  constexpr size_t kPalette = 0, kColumnBytes = 16 /* of 16 bits each */, kRowCounts = 48;
  std::array<uint8_t, 64> bytes{};
  bytes[kPalette] = 1;
  for (size_t tile = 0; tile < TileUnits::kTiles; ++tile) {
    bytes[kColumnBytes + 2 * tile] = TileUnits::kRowBytes;
    bytes[kRowCounts + tile] = TileUnits::kRows;
  }
  return bytes;
}

class Amx : public TileUnits {
public:
  Amx(ImplicitLocOpBuilder &builder, Value scratch) : b(builder), scratch_(scratch) {}

  void configure() override {
    constexpr auto kBytes = configuration();
    auto type = VectorType::get({static_cast<int64_t>(kBytes.size())}, b.getI8Type());
    Value bytes = LLVM::ConstantOp::create(b, type, DenseElementsAttr::get(type, ArrayRef(kBytes)));
    LLVM::StoreOp::create(b, bytes, scratch_, kRowBytes);
    call("ldtilecfg", scratch_);
  }
  void release() override { call("tilerelease", {}); }
  void zero(int tile) override { call("tilezero", number(tile)); }
  void load(int tile, Value pointer, Value stride, bool streaming) override {
    call(streaming ? "tileloaddt164" : "tileloadd64", {number(tile), pointer, stride});
  }
  void store(int tile, Value pointer, Value stride) override {
    call("tilestored64", {number(tile), pointer, stride});
  }
  void multiply(int sum, int left, int right) override {
    call("tdpbf16ps", {number(sum), number(left), number(right)});
  }

private:
  Value number(int tile) { return LLVM::ConstantOp::create(b, b.getI8Type(), tile); }
  void call(StringRef name, ValueRange operands) {
    LLVM::CallIntrinsicOp::create(b, b.getStringAttr("llvm.x86." + name), operands);
  }

  ImplicitLocOpBuilder &b;
  Value scratch_;
};

} // namespace

std::unique_ptr<TileUnits> tile::makeTileUnits(ImplicitLocOpBuilder &builder, Value scratch) {
  return std::make_unique<Amx>(builder, scratch);
}
