/// Which tiles of a function are alive at the same time.
#pragma once

#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/ADT/BitVector.h"

namespace tenon::tile_unit {

/// Two tiles that must lie in one register, since the second takes the place of the first at `at`.
struct Tie {
  mlir::Operation *at;
  unsigned from, to;
};

/// The tiles of a function by number, in the order of the text, and what is to be known of each.
class TileLiveness {
public:
  /// Refuses what is no structured program over tiles, with a diagnostic at the operation.
  llvm::LogicalResult analyze(mlir::FunctionOpInterface function);

  unsigned size() const { return static_cast<unsigned>(tiles_.size()); }
  mlir::Value tile(unsigned number) const { return tiles_[number]; }
  mlir::Operation *definition(unsigned number) const; ///< or the one around its block
  /// The tiles that are alive where this one is defined, and those where it is alive when they are.
  const llvm::BitVector &interferences(unsigned number) const { return interferences_[number]; }
  /// In the order of the text.
  llvm::ArrayRef<Tie> ties() const { return ties_; }
  /// Of the text: where a tile is defined, and where it is read last.
  unsigned begin(unsigned number) const;
  unsigned end(unsigned number) const;
  /// The most tiles that are alive at once, and the first operation of the text at which they are.
  size_t most() const { return most_; }
  mlir::Operation *whereMost() const { return whereMost_; }

private:
  llvm::LogicalResult collect(mlir::FunctionOpInterface function);
  llvm::LogicalResult addOperation(mlir::Operation *op, mlir::Operation *function);
  llvm::LogicalResult addTies(mlir::Operation *op);
  void addTile(mlir::Value value);

  // Backwards: `live` holds what is alive behind an operation, then what is alive before it.
  void passBlock(mlir::Block &block, llvm::BitVector &live);
  void passOperation(mlir::Operation *op, llvm::BitVector &live);
  void passRegions(mlir::RegionBranchOpInterface op, llvm::BitVector &live);
  void read(mlir::Operation *op, llvm::BitVector &live);
  void define(mlir::Operation *at, mlir::ValueRange values, llvm::BitVector &live);

  mlir::SmallVector<mlir::Value> tiles_;
  llvm::DenseMap<mlir::Value, unsigned> numbers_;
  /// Operations of a block that have tiles, or regions with tiles.
  llvm::DenseMap<mlir::Block *, mlir::SmallVector<mlir::Operation *>> operations_;
  llvm::DenseMap<mlir::Operation *, unsigned> places_; ///< of these, in the text
  mlir::SmallVector<llvm::BitVector> interferences_;
  mlir::SmallVector<Tie> ties_;
  size_t most_ = 0;
  mlir::Operation *whereMost_ = nullptr;
  mlir::Operation *wiped_ = nullptr; ///< configures the registers while tiles are in them
};

} // namespace tenon::tile_unit
