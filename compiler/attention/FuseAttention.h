/// Fusion of attention graphs: see FuseAttention.td.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace tenon {

#define GEN_PASS_DECL
#include "compiler/attention/FuseAttention.h.inc"
#define GEN_PASS_REGISTRATION
#include "compiler/attention/FuseAttention.h.inc"

} // namespace tenon
