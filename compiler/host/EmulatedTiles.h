/// Tiles in memory, a place for each register: what AMX's instructions do, by those of vectors.
#pragma once

#include "dialects/tile_unit/TileUnit.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace tenon::tile_unit {

/// Emits where the builder stands.
class EmulatedTiles {
public:
  static constexpr int64_t kBytes = kRegisters * kTileBytes;

  /// `memory`: that many bytes, in whole cache lines.
  EmulatedTiles(mlir::ImplicitLocOpBuilder &builder, mlir::Value memory)
      : b(builder), memory_(memory), words_(mlir::VectorType::get({kRows}, b.getI32Type())),
        floats_(words_.clone(b.getF32Type())) {}

  void zero(int64_t tile);
  void load(int64_t tile, mlir::Value pointer, mlir::Value stride);
  void store(int64_t tile, mlir::Value pointer, mlir::Value stride);
  void multiply(int64_t sum, int64_t left, int64_t right);

private:
  using Values = mlir::SmallVector<mlir::Value>;
  mlir::Value i64(int64_t value);
  mlir::Value at(mlir::Value pointer, mlir::Value bytes);
  mlir::Value of(int64_t tile) { return at(memory_, i64(tile * kTileBytes)); }
  mlir::Value place(mlir::Value pointer, mlir::Value row, mlir::Value stride);
  mlir::Value read(mlir::Type type, mlir::Value pointer);
  void write(mlir::Value value, mlir::Value pointer);
  mlir::Value constant(int64_t word);
  // The terms of each word as float32.
  mlir::Value first(mlir::Value words);
  mlir::Value second(mlir::Value words);
  void copy(mlir::Value source, mlir::Value sourceStride, mlir::Value target, mlir::Value targetStride);
  Values forEachRow(mlir::ValueRange carried, llvm::function_ref<Values(mlir::Value, mlir::ValueRange)> body);

  mlir::ImplicitLocOpBuilder &b;
  mlir::Value memory_;
  mlir::VectorType words_, floats_;
};

} // namespace tenon::tile_unit
