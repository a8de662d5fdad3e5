/// Loops whose turns load tiles that can be requested ahead: what StageSharedMemory stages.
#pragma once

#include "dialects/tile/Tile.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <optional>

namespace tenon::tile {

/// Whether products alone use what is loaded.
bool feedsDot(LoadOp load);

/// The first operation of the load's block that uses it, or holds one that does.
mlir::Operation *firstUser(LoadOp load);

/// The row of a load in a loop: the loop's variable, or the distance from it to `end`, a value from outside.
struct Row {
  mlir::Value end;
  bool operator==(const Row &) const = default;

  static std::optional<Row> of(LoadOp load, mlir::scf::ForOp loop);
  mlir::Value at(mlir::ImplicitLocOpBuilder &builder, mlir::Value turn) const;
};

/// A tile of each turn of a loop whose place can be named outside its turn.
struct TurnLoad {
  LoadOp load;
  Row row;
  bool continues(TurnLoad other);
};

struct TurnLoop {
  mlir::scf::ForOp loop;
  llvm::SmallVector<TurnLoad> loads; ///< by their first use
  bool nextIsWhole = true;           ///< tiles of the turn after any of this loop's
};

/// Loops of which each goes on where the one before ended, with the same tiles.
using Chain = llvm::SmallVector<TurnLoop>;

/// The chains of a function, in its order; `others` gets the loads of loops that cannot be named outside their turn.
llvm::SmallVector<Chain> findChains(mlir::func::FuncOp function, llvm::SmallVectorImpl<LoadOp> &others);

} // namespace tenon::tile
