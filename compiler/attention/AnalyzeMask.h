/// Bounds of the keys that a block of queries can see: see AnalyzeMask.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/AnalyzeMask.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/AnalyzeMask.h.inc"

} // namespace tenon
