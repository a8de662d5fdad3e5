/// The eight tile registers of AMX, by number: who emits a product decides what each holds.
///
/// LLVM's register allocator does not get them round a loop, so that instructions with the tile's number in them are
/// made. Intel SDM volume 1, chapter 18: a tile is 16 rows of 64 bytes. multiply(c, a, b), TDPBF16PS:
///
///     c[m][n] += Σ over k below 16 of  a[m][2k] b[k][2n] + a[m][2k + 1] b[k][2n + 1]
///
/// a: 16 rows of 32 terms of bfloat16; b: of two terms each, 16 rows of 16 columns; c: 16 × 16 of float32.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <memory>

namespace tenon::tile {

class TileUnits {
public:
  static constexpr int64_t kRows = 16, kRowBytes = 64, kTiles = 8;
  static constexpr int64_t kTerms = 32; ///< of a sum in one product
  static constexpr int64_t kBytes = kRows * kRowBytes;
  /// Of memory, in cache lines, that the code uses while tiles are in use.
  static constexpr int64_t kScratchBytes = kTiles * kBytes;

  virtual ~TileUnits() = default;
  /// All tiles whole, and zero.
  virtual void configure() = 0;
  virtual void release() = 0;
  virtual void zero(int tile) = 0;
  /// Rows from `pointer`, `stride` bytes (i64) apart. Streaming: what is read once or twice does not displace what
  /// lies in the first-level cache.
  virtual void load(int tile, mlir::Value pointer, mlir::Value stride, bool streaming = false) = 0;
  virtual void store(int tile, mlir::Value pointer, mlir::Value stride) = 0;
  virtual void multiply(int sum, int a, int b) = 0;
};

/// Emits where the builder stands.
std::unique_ptr<TileUnits> makeTileUnits(mlir::ImplicitLocOpBuilder &builder, mlir::Value scratch);

/// What the same instructions do by Intel's description, by those of vectors, on any machine with AVX-512: for tests.
std::unique_ptr<TileUnits> makeEmulatedTileUnits(mlir::ImplicitLocOpBuilder &builder, mlir::Value scratch);

} // namespace tenon::tile
