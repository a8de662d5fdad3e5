#include "compiler/attention/PassOrder.h"

#include "compiler/attention/ChooseSchedule.h"
#include "dialects/attention/Attention.h"
#include "dialects/tile/Schedule.h"
#include "dialects/tile/Tile.h"

using namespace mlir;

namespace tenon {
namespace {

// The pass that makes a form, in the order of Form; a graph is what there is at first.
constexpr StringLiteral kMakers[] = {"",
                                     "fuse-attention",
                                     "choose-schedule",
                                     "tile-attention",
                                     "tenon-stage-shared-memory",
                                     "tenon-assign-layouts"};
constexpr StringLiteral kNames[] = {"a graph of attention operations", "a fused attention without a schedule",
                                    "a fused attention with a schedule", "a kernel whose tiles are not staged",
                                    "a kernel with tiles in shared memory", "a kernel with layouts"};

StringRef makerOf(Form form) { return kMakers[static_cast<int>(form)]; }
Form next(Form form) { return static_cast<Form>(static_cast<int>(form) + 1); }

template <class Test> bool holds(func::FuncOp function, Test test) {
  return function.walk([&](Operation *op) { return test(op) ? WalkResult::interrupt() : WalkResult::advance(); })
      .wasInterrupted();
}

// Whether a product reads what was loaded to registers: what staging moves to shared memory.
bool multipliesLoads(func::FuncOp function) {
  return holds(function, [](Operation *op) {
    return isa<tile::LoadOp>(op) && llvm::any_of(op->getUsers(), [](Operation *user) { return isa<tile::DotOp>(user); });
  });
}

// Whether it is shared memory that more than what a kernel itself writes goes to (kernels/GroupedQueries.cpp).
bool holdsCopies(Operation *op) {
  return isa<tile::SharedAllocOp, tile::StageOp>(op) && llvm::any_of(op->getUsers(), [](Operation *user) {
           return !isa<tile::StageOp, tile::ReadOp, tile::WriteOp>(user);
         });
}

// "fuse-attention, choose-schedule and tile-attention"
std::string passesBetween(Form from, Form to) {
  std::string text;
  for (Form form = next(from);; form = next(form)) {
    text += makerOf(form);
    if (form == to)
      return text;
    text += next(form) == to ? " and " : ", ";
  }
}

} // namespace

std::optional<Form> formOf(func::FuncOp function) {
  if (holds(function, [](Operation *op) { return isa<attention::FusedOp>(op); }))
    return Schedule::of(function) ? Form::kScheduled : Form::kFused;
  if (holds(function, [](Operation *op) { return isa_and_nonnull<attention::AttentionDialect>(op->getDialect()); }))
    return Form::kGraph;
  if (function->hasAttr(kThreadsAttribute))
    return Form::kLaidOut;
  if (holds(function, holdsCopies))
    return Form::kStaged;
  bool tiles = function->hasAttr("tile.kernel") ||
               holds(function, [](Operation *op) { return isa_and_nonnull<tile::TileDialect>(op->getDialect()); });
  return tiles ? std::optional(Form::kTiles) : std::nullopt;
}

LogicalResult checkOrder(func::FuncOp function, StringRef pass, Form first, Form last) {
  std::optional<Form> form = formOf(function);
  if (!form || (*form >= first && *form <= last))
    return success();
  if (first == Form::kStaged && *form == Form::kTiles && !multipliesLoads(function))
    return success();
  if (*form < first)
    return emitError(function.getLoc()) << pass << " finds " << kNames[static_cast<int>(*form)] << ": run "
                                << passesBetween(*form, first) << " before it";
  InFlightDiagnostic error = emitError(function.getLoc()) << pass << " finds " << kNames[static_cast<int>(*form)] << ": ";
  if (makerOf(*form) == pass)
    return error << "it has run already";
  return error << makerOf(*form) << " must not run before it";
}

LogicalResult checkKernels(ModuleOp module, StringRef pass, Form form) {
  bool found = false;
  for (auto function : module.getOps<func::FuncOp>()) {
    if (failed(checkOrder(function, pass, form, form)))
      return failure();
    found |= function->hasAttr("tile.kernel");
  }
  if (!found)
    return emitError(module.getLoc()) << pass << " finds no function that is marked tile.kernel: tile-attention makes one, "
                              << "and lowering takes it away";
  return success();
}

LogicalResult checkLowered(Operation *op, StringRef pass, StringRef lowering) {
  WalkResult result = op->walk([&](func::FuncOp function) {
    std::optional<Form> form = formOf(function);
    if (!form)
      return WalkResult::advance();
    std::string missing = *form < Form::kTiles ? passesBetween(*form, Form::kTiles) + ", then " : "";
    return WalkResult(emitError(function.getLoc()) << pass << " finds " << kNames[static_cast<int>(*form)] << ": run "
                                           << missing << lowering << " before it");
  });
  return failure(result.wasInterrupted());
}

} // namespace tenon
