// Rewrites of tile IR are checked too: the plugin's pass drops the mask of a tile kernel.
// RUN: not tenon-opt %s --load-pass-plugin=%plugins/PlantedRewrite.so --check-each --pass-pipeline="builtin.module(func.func(fuse-attention,analyze-mask,choose-schedule{target=host:x86-64-v3}),tile-attention,func.func(planted-tile-rewrite))" -o /dev/null 2>&1 | FileCheck %s

// CHECK-NOT: 'tile-attention' changed
// CHECK: error: check-each: 'planted-tile-rewrite' changed the answer
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
