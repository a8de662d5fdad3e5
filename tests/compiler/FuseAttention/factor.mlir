// A factor of the output that is one number for the whole launch stays with the fused operation: the kernel
// multiplies before it stores. Wherever it was written, of the probabilities or the values, it comes out so.
//
// RUN: tenon-opt %s --check-each --pass-pipeline="builtin.module(func.func(simplify-attention,fuse-attention))" | FileCheck %s
// RUN: tenon-opt %s --check-each --simplify-attention --fuse-attention --choose-schedule=target=sm_80 --tile-attention | FileCheck %s --check-prefix=TILE

// CHECK-LABEL: func.func @gated
// CHECK-SAME: %[[GATE:[a-z0-9]+]]: f32)
// CHECK: %[[OUTPUT:.*]] = attention.fused
// CHECK: %[[HALVED:.*]] = attention.multiply %[[OUTPUT]], %{{.*}} : (tensor<*xf32>, f32) -> tensor<*xf32>
// CHECK: %[[GATED:.*]] = attention.multiply %[[HALVED]], %[[GATE]]
// CHECK: return %[[GATED]]

// TILE: %[[GATE:.*]] = tile.scalar 0 : f32
// TILE: %[[FACTOR:.*]] = arith.mulf %{{.*}}, %[[GATE]] : f32
// TILE: %[[ROWS:.*]] = tile.splat %[[FACTOR]]
// TILE: arith.mulf %{{.*}}, %[[ROWS]]
// TILE: tile.store
func.func @gated(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}, %gate: f32) -> tensor<*xf32> {
  %half = attention.constant 0.5 : f32
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.multiply %value, %half : (tensor<*xf32>, f32) -> tensor<*xf32>
  %4 = attention.matmul %2, %3 : tensor<*xf32>
  %5 = attention.multiply %gate, %4 : (f32, tensor<*xf32>) -> tensor<*xf32>
  return %5 : tensor<*xf32>
}
