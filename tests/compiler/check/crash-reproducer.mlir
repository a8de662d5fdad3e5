// A pass that fails leaves a reproducer, and the reproducer alone fails again.
// RUN: not tenon-opt %s --mlir-pass-pipeline-crash-reproducer=%t --pass-pipeline="builtin.module(tile-attention)" 2>&1 | FileCheck %s
// RUN: not tenon-opt --run-reproducer %t 2>&1 | FileCheck %s

// CHECK: error: {{.*}}run fuse-attention before tile-attention
func.func @not_fused(%query: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.softmax %query : tensor<*xf32>
  return %0 : tensor<*xf32>
}
