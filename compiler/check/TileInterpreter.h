/// Executes a function over tiles, block by block: what the operations of the tile dialect mean.
///
/// It is slow and plain: a tile is a vector of elements, an operation one small function of a table. It
/// runs what `kernels/` build and what the passes over tile IR make of it.
#pragma once

#include "tenon/KernelImage.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace tenon::check {

/// A launch: the argument block, whose tensors lie in host memory, and the extents of the grid.
struct TileLaunch {
  KernelArguments arguments{};
  int32_t grid[3] = {1, 1, 1};
};

/// Runs `kernel` for every block of the grid. Fails, with a diagnostic at the operation, on an operation
/// that no table holds and on an access that leaves a tensor.
mlir::LogicalResult runTileKernel(mlir::func::FuncOp kernel, const TileLaunch &launch);

/// The rows of the output that one block computes: those of the tiles that it stores.
int64_t tileQueries(mlir::func::FuncOp kernel);

} // namespace tenon::check
