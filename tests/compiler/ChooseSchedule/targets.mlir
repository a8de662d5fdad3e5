// Tiles by the target's figures: with rows of 256 float32 the tiles of sm_86, which has 99 KiB of shared memory,
// must be smaller than those of sm_90. On a host the scores of a block take the first-level cache, its keys and
// values half of the second.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_90}))" | FileCheck %s --check-prefix=SM90
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_86}))" | FileCheck %s --check-prefix=SM86
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4}))" | FileCheck %s --check-prefix=HOST
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4:l1=48K}))" | FileCheck %s --check-prefix=LARGE
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_90 tile-keys=16}))" | FileCheck %s --check-prefix=GIVEN
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_90 tile-keys=24}))" 2>&1 | FileCheck %s --check-prefix=WRONG

// SM90: threads = 128 : i32, tile_keys = 16 : i32, tile_queries = 64 : i32
// SM86: threads = 64 : i32, tile_keys = 16 : i32, tile_queries = 32 : i32
// HOST: threads = 1 : i32, tile_keys = 128 : i32, tile_queries = 64 : i32
// LARGE: 192 keys: 48 KiB of scores, a first-level cache has 48; 384 KiB of keys and values, a second-level cache has 1024
// GIVEN: tile_keys = 16 : i32
// WRONG: tile-keys is 24, must be a multiple of 16 up to 1024
func.func @plain(%query: tensor<*xf32> {attention.width = 256 : i32}, %key: tensor<*xf32> {attention.width = 256 : i32},
                 %value: tensor<*xf32> {attention.width = 256 : i32}) -> tensor<*xf32> {
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
