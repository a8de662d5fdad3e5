// A pass that comes too early says which one must run before it.
//
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(analyze-mask))" 2>&1 | FileCheck %s --check-prefix=MASK
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule))" 2>&1 | FileCheck %s --check-prefix=SCHEDULE
// RUN: not tenon-opt %s --tile-attention 2>&1 | FileCheck %s --check-prefix=TILE

// MASK: there is no fused attention; run fuse-attention before analyze-mask
// SCHEDULE: there is no fused attention; run fuse-attention before choose-schedule
// TILE: there is no fused attention; run fuse-attention before tile-attention
func.func @graph(%query: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.softmax %query : tensor<*xf32>
  return %0 : tensor<*xf32>
}
