#include "compiler/driver/Pipeline.h"

#include "compiler/attention/AnalyzeMask.h"
#include "compiler/attention/ChooseSchedule.h"
#include "compiler/attention/FuseAttention.h"
#include "compiler/attention/SimplifyAttention.h"
#include "compiler/attention/SplitQueries.h"
#include "compiler/attention/Targets.h"
#include "compiler/attention/TileAttention.h"
#include "dialects/attention/Attention.h"
#include "dialects/tile/Tile.h"
#include "dialects/tile_unit/TileUnit.h"

#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

#ifdef TENON_WITH_GPU
#include "compiler/gpu/GpuBackend.h"
#endif
#ifdef TENON_WITH_HOST
#include "compiler/host/HostBackend.h"
#endif

using namespace mlir;
using namespace tenon;

// The graph => one fused operation.
static void buildAttentionStage(OpPassManager &passes) {
  OpPassManager &onFunction = passes.nest<func::FuncOp>();
  // Constants are folded and scales gathered, so that the kernel multiplies each score once.
  onFunction.addPass(createSimplifyAttention());
  // Simplification may have made one expression twice: fusion follows uses.
  onFunction.addPass(createCSEPass());
  // All that lies between the two products becomes the mask and the score of one operation.
  onFunction.addPass(createFuseAttention());
  // Scalar code now: upstream folds it.
  onFunction.addPass(createCanonicalizerPass());
  onFunction.addPass(createCSEPass());
  // Which keys a block of queries visits, and which of these without mask code.
  onFunction.addPass(createAnalyzeMask());
  onFunction.addPass(createCanonicalizerPass());
  onFunction.addPass(createCSEPass());
}

// The fused operation => the tile kernel of a target.
static void buildTileStage(OpPassManager &passes, const PipelineOptions &options) {
  ChooseScheduleOptions schedule;
  schedule.target = options.target;
  schedule.tileQueries = options.tileQueries;
  schedule.tileKeys = options.tileKeys;
  schedule.queryGroups = options.queryGroups;
  schedule.stages = options.stages;
  schedule.warps = options.warps;
  schedule.rescaling = options.rescaling;
  schedule.shared = options.shared;
  // One kernel for many queries and one for few.
  passes.addPass(createSplitQueries());
  // Tiles by the target's figures.
  passes.addNestedPass<func::FuncOp>(createChooseSchedule(schedule));
  // The loops, with mask and score on tiles.
  passes.addPass(createTileAttention());
  // Constants and splats that the regions made more than once.
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
}

static llvm::Error unknownTarget(StringRef target) {
  return llvm::createStringError("this compiler makes no code for '" + target.str() +
                                 "'; its targets are " + targetFigureNames());
}

// The tile kernel => the dialect that is translated to LLVM IR.
llvm::Error tenon::buildDevicePipeline(OpPassManager &passes, StringRef target) {
#ifdef TENON_WITH_GPU
  if (target.starts_with("sm_")) {
    std::optional<GpuTarget> gpu = GpuTarget::find(target);
    if (!gpu)
      return unknownTarget(target);
    buildGpuPipeline(passes, *gpu);
    return llvm::Error::success();
  }
#endif
#ifdef TENON_WITH_HOST
  if (target.starts_with("host:")) {
    auto host = HostTarget::named(target);
    if (!host)
      return host.takeError();
    buildHostPipeline(passes, *host);
    return llvm::Error::success();
  }
#endif
  return unknownTarget(target);
}

llvm::Error tenon::buildPipeline(OpPassManager &passes, const PipelineOptions &options, Stage last) {
  if (!findTargetFigures(options.target))
    return unknownTarget(options.target);
  buildAttentionStage(passes);
  if (last == Stage::kAttention)
    return llvm::Error::success();
  buildTileStage(passes, options);
  if (last == Stage::kTile)
    return llvm::Error::success();
  return buildDevicePipeline(passes, options.target);
}

void tenon::registerDialects(DialectRegistry &registry) {
  registry.insert<attention::AttentionDialect, tile::TileDialect, tile_unit::TileUnitDialect, func::FuncDialect,
                  arith::ArithDialect, math::MathDialect, scf::SCFDialect, vector::VectorDialect, cf::ControlFlowDialect,
                  ub::UBDialect>();
#ifdef TENON_WITH_GPU
  registerGpuDialects(registry);
#endif
#ifdef TENON_WITH_HOST
  registerHostTranslations(registry);
#endif
}

void tenon::registerPasses() {
  void (*const registrations[])() = {
      registerSimplifyAttention, registerFuseAttention, registerAnalyzeMask, registerSplitQueries,
      registerChooseSchedule,    registerTileAttention, registerCanonicalizer, registerCSE,
      // Upstream's way from the last of ours to the llvm dialect.
      registerSCFToControlFlowPass, registerConvertMathToLLVMPass, registerConvertVectorToLLVMPass,
      registerConvertToLLVMPass, registerReconcileUnrealizedCastsPass,
#ifdef TENON_WITH_GPU
      registerGpuPasses,
#endif
#ifdef TENON_WITH_HOST
      registerHostPasses,
#endif
  };
  for (auto *registration : registrations)
    registration();
  static const PassPipelineRegistration<> attentionStage(
      "attention-pipeline", "The graph => one fused operation", buildAttentionStage);
}
