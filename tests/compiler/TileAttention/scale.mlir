// exp(s · x) = 2^(log2(e) s · x): log2(e) is merged with the scale, here 0.125, so that a score is multiplied once.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,canonicalize)" | FileCheck %s

// CHECK-DAG: %[[SCALE:.*]] = arith.constant dense<0.180336878> : tensor<64x48xf32>
// CHECK: %[[PRODUCTS:.*]] = tile.dot
// CHECK: %[[SCORES:.*]] = arith.mulf %[[PRODUCTS]], %[[SCALE]] fastmath<contract>
// CHECK: tile.reduce  maximum %[[SCORES]]
func.func @plain(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                 %value: tensor<*xf32> {attention.width = 64 : i32}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %scale = arith.constant 0.125 : f32
    %scaled = arith.mulf %score, %scale : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}
