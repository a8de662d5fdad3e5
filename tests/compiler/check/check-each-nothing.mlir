// A check that cannot be made is an error, and says why: silence would look like an answer.
// RUN: not tenon-opt %s --check-each --canonicalize --split-input-file -o /dev/null 2>&1 | FileCheck %s

// CHECK: error: check-each: the module holds neither a function of attention operations nor one that is marked tile.kernel
func.func @scalars(%a: f32) -> f32 {
  %0 = arith.addf %a, %a : f32
  return %0 : f32
}

// -----

// CHECK: error: check-each: the kernel stores nothing
func.func @kernel() attributes {tile.kernel} {
  return
}

// -----

// CHECK: error: check-each: the module holds 2 functions of attention operations; one at a time is checked
func.func @one(%a: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.exp %a : tensor<*xf32>
  return %0 : tensor<*xf32>
}
func.func @other(%a: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.exp %a : tensor<*xf32>
  return %0 : tensor<*xf32>
}
