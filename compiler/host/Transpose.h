/// Elements of four columns and any number of rows, transposed in registers.
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Value.h"

namespace tenon::tile {

/// Columns that are transposed at once: as many float32 as 128 bits hold, within which x86 shuffles
/// cheaply.
inline constexpr int64_t kTransposedColumns = 4;

/// Of four vectors, in each piece of 128 bits: element j of vector k becomes element k of vector j.
llvm::SmallVector<mlir::Value> transposePieces(mlir::ImplicitLocOpBuilder &builder,
                                               llvm::ArrayRef<mlir::Value> vectors);

/// One vector of a power of two of them.
mlir::Value concatenate(mlir::ImplicitLocOpBuilder &builder, llvm::ArrayRef<mlir::Value> pieces);

/// As many vectors as each has elements, 8 or 16: element j of vector i becomes element i of vector j.
llvm::SmallVector<mlir::Value> transposeSquare(mlir::ImplicitLocOpBuilder &builder, llvm::ArrayRef<mlir::Value> vectors);

} // namespace tenon::tile
