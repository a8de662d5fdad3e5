// ALiBi adds slope * (key - query). Causal, the key a query sees last has its greatest bias, and keys are walked from
// there: a stale reference is rare, and open blocks take no maxima. Where all keys are visible the greatest bias is
// anywhere: each turn takes maxima, and the explanation says so.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(analyze-mask,choose-schedule{target=sm_80}))" | FileCheck %s

// CHECK-LABEL: @causal
// CHECK-SAME: no maximum in open blocks
// CHECK-SAME: rescaling = "by-row-sum"
func.func @causal(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                  %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %slope: f32) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.cmpi sle, %j, %i : i32
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %distance = arith.subi %j, %i : i32
    %real = arith.sitofp %distance : i32 to f32
    %bias = arith.mulf %real, %slope : f32
    %sum = arith.addf %score, %bias : f32
    attention.yield %sum : f32
  }
  return %0 : tensor<*xf32>
}

// CHECK-LABEL: @open
// CHECK-SAME: maxima each turn: the score depends on the key, and a stale reference would be common
// CHECK-SAME: rescaling = "every-turn"
func.func @open(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %slope: f32) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %distance = arith.subi %j, %i : i32
    %real = arith.sitofp %distance : i32 to f32
    %bias = arith.mulf %real, %slope : f32
    %sum = arith.addf %score, %bias : f32
    attention.yield %sum : f32
  }
  return %0 : tensor<*xf32>
}
