/// What operations of the tile dialect on global and shared memory do: one function an operation.
#pragma once

#include "compiler/check/TileBlock.h"

namespace tenon::check::memory {

LogicalResult load(Operation *op, TileBlock &block);
LogicalResult store(Operation *op, TileBlock &block);
LogicalResult loadTile(Operation *op, TileBlock &block);
LogicalResult storeTile(Operation *op, TileBlock &block);
LogicalResult storeShared(Operation *op, TileBlock &block);
LogicalResult gather(Operation *op, TileBlock &block);
LogicalResult sharedAlloc(Operation *op, TileBlock &block);
LogicalResult stage(Operation *op, TileBlock &block);
LogicalResult copyAsync(Operation *op, TileBlock &block);
LogicalResult copyWhole(Operation *op, TileBlock &block);
LogicalResult commit(Operation *op, TileBlock &block);
LogicalResult wait(Operation *op, TileBlock &block);
LogicalResult read(Operation *op, TileBlock &block);
LogicalResult write(Operation *op, TileBlock &block);

} // namespace tenon::check::memory
