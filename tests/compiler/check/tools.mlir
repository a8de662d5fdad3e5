// The reducer knows the dialects, and keeps what a script finds interesting. The server: server.test.
// RUN: tenon-reduce %s --reduction-tree="traversal-mode=0 test=%S/Inputs/has-softmax.sh" | FileCheck %s

// CHECK: attention.softmax
// CHECK-NOT: @other
func.func @other(%x: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.exp %x : tensor<*xf32>
  return %0 : tensor<*xf32>
}
func.func @interesting(%x: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.softmax %x : tensor<*xf32>
  return %0 : tensor<*xf32>
}
