// A planted wrong rewrite: the pass of the plugin turns >= into >, so that no query sees its own key. The
// first pass that changed the answer is named, with the inputs and the first element that differs.
// RUN: not tenon-opt %s --load-pass-plugin=%plugins/PlantedRewrite.so --check-each --pass-pipeline="builtin.module(func.func(simplify-attention,planted-rewrite,fuse-attention))" -o /dev/null 2>&1 | FileCheck %s

// CHECK-NOT: simplify-attention
// CHECK: error: check-each: 'planted-rewrite' changed the answer: element [0, 0, 0, 0] of result 0 was {{.*}}, is 0
// CHECK-SAME: (seed 0; inputs f32 [2, 2, 33, 16], f32 [2, 2, 70, 16], f32 [2, 2, 70, 16])
// CHECK-NOT: fuse-attention
func.func @causal(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                  %value: tensor<*xf32> {attention.width = 16 : i32}) -> tensor<*xf32> {
  %0 = attention.query_index : tensor<*xi32>
  %1 = attention.key_index : tensor<*xi32>
  %2 = attention.greater_equal %0, %1 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>
  %3 = attention.transpose %key : tensor<*xf32>
  %4 = attention.matmul %query, %3 : tensor<*xf32>
  %5 = attention.constant 0xFF800000 : f32
  %6 = attention.where %2, %4, %5 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %7 = attention.softmax %6 : tensor<*xf32>
  %8 = attention.matmul %7, %value : tensor<*xf32>
  return %8 : tensor<*xf32>
}
