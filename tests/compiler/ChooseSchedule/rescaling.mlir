// On a GPU a warp takes 32 queries of 16-bit rows. A score that is a product alone takes no maxima in open blocks; one
// that depends on the key does, unless the last key that a query sees is its own: keys are walked from there.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}))" | FileCheck %s
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80 rescaling=every-turn stages=1}))" | FileCheck %s --check-prefix=GIVEN
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80 rescaling=never}))" 2>&1 | FileCheck %s --check-prefix=WRONG

// CHECK-LABEL: @plain
// CHECK-SAME: rescaling = "by-row-sum", shared = "swizzled", stages = 2 : i32, threads = 128 : i32, tile_keys = 64 : i32, tile_queries = 128 : i32
// GIVEN: maxima each turn: given
// GIVEN-SAME: rescaling = "every-turn", shared = "swizzled", stages = 1 : i32
// WRONG: rescaling is 'never', must be every-turn, by-row-sum or by-lane-maxima
func.func @plain(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                 %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}

// Where the head is wide, lanes compare their own maxima: fewer registers, and exponentials under a longer product.
// CHECK-LABEL: @wide
// CHECK-SAME: lane maxima in open blocks
// CHECK-SAME: rescaling = "by-lane-maxima", shared = "swizzled", stages = 1 : i32, threads = 128 : i32, tile_keys = 48 : i32, tile_queries = 128 : i32
func.func @wide(%query: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16},
                %value: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %c = arith.constant 0.125 : f32
    %scaled = arith.mulf %score, %c : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}

// CHECK-LABEL: @by_key
// CHECK-SAME: the score depends on the key
// CHECK-SAME: rescaling = "every-turn"
func.func @by_key(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                  %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %distance = arith.sitofp %j : i32 to f32
    %sum = arith.addf %score, %distance : f32
    attention.yield %sum : f32
  }
  return %0 : tensor<*xf32>
}
