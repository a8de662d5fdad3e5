// A slope depends on the head alone: a scalar, read before the loop. A document's number depends on the
// query: a vector, one element a row. What depends on the key is a tile, made in the loop.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,cse)" | FileCheck %s

// CHECK-LABEL: func.func @flash_forward
// CHECK-SAME: tile.tensors = array<i32: 0, 1, 2, -1, 3, 4>
// CHECK-DAG: tile.gather %{{.*}}[%{{.*}} : i32] {{{.*}}} : !tile.tensor<f32> -> f32
// CHECK-DAG: tile.gather %{{.*}}[%{{.*}} : i32, tensor<64xi32>] {{{.*}}} : !tile.tensor<i32> -> tensor<64xi32>
// CHECK: scf.for
// CHECK:   tile.dot
// CHECK:   %[[OTHER:.*]] = tile.gather %{{.*}}[%{{.*}} : i32, tensor<64x48xi32>] {{{.*}}} : !tile.tensor<i32> -> tensor<64x48xi32>
// CHECK:   %[[MINE:.*]] = tile.expand %{{.*}} : tensor<64xi32> -> tensor<64x48xi32>
// CHECK:   arith.cmpi eq, %[[MINE]], %[[OTHER]] : tensor<64x48xi32>
func.func @documents(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                     %value: tensor<*xf32> {attention.width = 64 : i32}, %slopes: tensor<*xf32>,
                     %documents: tensor<*xi32>) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %mine = attention.element %documents[%batch, %i] : tensor<*xi32> -> i32
    %other = attention.element %documents[%batch, %j] : tensor<*xi32> -> i32
    %same = arith.cmpi eq, %mine, %other : i32
    attention.yield %same : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %slope = attention.element %slopes[%head] : tensor<*xf32> -> f32
    %scaled = arith.mulf %score, %slope : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}
