/// The compiler's table of contents: which pass runs when, and why.
#pragma once

#include "dialects/TraitNames.h"

#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

#include <string>

namespace tenon {

/// How far to go: each stage's IR is what `--emit` of that name shows.
enum class Stage {
  kAttention, ///< attention.fused, with the bounds of its mask
  kTile,      ///< the tile kernel
  kDevice     ///< nvvm or llvm: nothing is left but emission
};

struct PipelineOptions {
  std::string target; ///< a name of tenon/Target.h
  int64_t tileQueries = 0, tileKeys = 0, queryGroups = 0, stages = 0, warps = 0; ///< 0: by the target's figures
  std::string rescaling;                             ///< nothing: by the score
  std::string shared;                                ///< nothing: by the length of rows
};

/// Errors: a target that no back end of this build makes code for.
llvm::Error buildPipeline(mlir::OpPassManager &passes, const PipelineOptions &options, Stage last);

/// The last part of it alone, from the tile kernel on.
llvm::Error buildDevicePipeline(mlir::OpPassManager &passes, llvm::StringRef target);

/// All dialects of all stages, and what translates the last of them to LLVM IR.
void registerDialects(mlir::DialectRegistry &registry);

/// Every entry of the pipeline by name, and `attention-pipeline`, the first stage as a whole, for tenon-opt.
void registerPasses();

} // namespace tenon
