#include "compiler/driver/SideBySide.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"

#include "tenon/FloatingPointMode.h"
#include "tenon/Parallel.h"

using namespace mlir;

namespace {

using Parts = SmallVector<OwningOpRef<ModuleOp>>;

Parts takeApart(ModuleOp module) {
  Parts parts;
  for (func::FuncOp function : llvm::make_early_inc_range(module.getOps<func::FuncOp>())) {
    parts.push_back(ModuleOp::create(module.getLoc()));
    function->moveBefore(parts.back()->getBody(), parts.back()->getBody()->end());
  }
  return parts;
}

void bringTogether(ModuleOp module, Parts &parts) {
  for (OwningOpRef<ModuleOp> &part : parts)
    for (Operation &op : llvm::make_early_inc_range(*part->getBody()))
      if (auto symbol = dyn_cast<SymbolOpInterface>(op); !symbol || !module.lookupSymbol(symbol.getNameAttr()))
        op.moveBefore(module.getBody(), module.getBody()->end());
}

// A context takes new dialects from one thread alone.
void loadDialects(MLIRContext *context, const OpPassManager &passes) {
  DialectRegistry needed;
  passes.getDependentDialects(needed);
  context->appendDialectRegistry(needed);
  for (StringRef name : needed.getDialectNames())
    context->getOrLoadDialect(name);
}

} // namespace

LogicalResult tenon::runSideBySide(ModuleOp module, const OpPassManager &passes,
                                   function_ref<void(PassManager &)> set) {
  MLIRContext *context = module.getContext();
  loadDialects(context, passes);
  context->enableMultithreading();
  Parts parts = takeApart(module);
  SmallVector<LogicalResult> results(parts.size(), failure());
  ParallelDiagnosticHandler diagnostics(context); // in the order of the functions
  parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t i) {
    const FloatingPointMode mode(Subnormals::kKept);
    diagnostics.setOrderIDForThread(i);
    PassManager apart(context);
    static_cast<OpPassManager &>(apart) = passes; // clones of them
    set(apart);
    results[i] = apart.run(*parts[i]);
    diagnostics.eraseOrderIDForThread();
  });
  bringTogether(module, parts);
  return success(llvm::all_of(results, [](LogicalResult result) { return succeeded(result); }));
}
