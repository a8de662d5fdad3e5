/// The maximum of a row is taken before the scores are scaled: see ScaleAfterMaximum.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "compiler/gpu/ScaleAfterMaximum.h.inc"

} // namespace tenon
