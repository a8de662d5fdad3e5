// MLIR's tools know the dialects: the reducer keeps what a script finds interesting, the server starts.
// RUN: tenon-reduce %s --reduction-tree="traversal-mode=0 test=%S/Inputs/has-softmax.sh" | FileCheck %s
// RUN: tenon-lsp-server --help | FileCheck %s --check-prefix=SERVER

// SERVER: OVERVIEW
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
