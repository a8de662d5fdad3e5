// A file with tile IR is as good a start as a graph: the kernel says by what it reads which inputs it takes.
// RUN: tenon-opt %s --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o %t.tiles
// RUN: tenon-opt %t.tiles --check-each --pass-pipeline="builtin.module(func.func(tenon-scale-after-maximum,tenon-stage-shared-memory))" -o %t.staged
// RUN: tenon-opt %t.staged --check-each --tenon-assign-layouts -o /dev/null
// RUN: not tenon-opt %t.tiles --load-pass-plugin=%plugins/PlantedRewrite.so --check-each --pass-pipeline="builtin.module(func.func(planted-tile-rewrite))" -o /dev/null 2>&1 | FileCheck %s
// RUN: not tenon-opt %t.staged --load-pass-plugin=%plugins/PlantedRewrite.so --check-each --pass-pipeline="builtin.module(func.func(planted-tile-rewrite))" -o /dev/null 2>&1 | FileCheck %s

// CHECK: error: check-each: 'planted-tile-rewrite' changed the answer
// CHECK-SAME: (seed 0; inputs f32 [2, 2, 33, 16], f32 [2, 2, 70, 16], f32 [2, 2, 70, 16], f32 [40], f32 [])
func.func @causal(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                  %value: tensor<*xf32> {attention.width = 16 : i32}, %slopes: tensor<*xf32>, %scale: f32) -> tensor<*xf32> {
  %0 = attention.query_index : tensor<*xi32>
  %1 = attention.key_index : tensor<*xi32>
  %2 = attention.greater_equal %0, %1 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>
  %3 = attention.transpose %key : tensor<*xf32>
  %4 = attention.matmul %query, %3 : tensor<*xf32>
  %5 = attention.multiply %4, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>
  %6 = attention.load %slopes[%1] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>
  %7 = attention.add %5, %6 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %8 = attention.constant 0xFF800000 : f32
  %9 = attention.where %2, %7, %8 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %10 = attention.softmax %9 : tensor<*xf32>
  %11 = attention.matmul %10, %value : tensor<*xf32>
  return %11 : tensor<*xf32>
}
