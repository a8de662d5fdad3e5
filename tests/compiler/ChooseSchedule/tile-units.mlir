// Tile units multiply 32 queries at a time, and rows of 32 terms: a width of 80 is padded to 96. Pairs need no more
// than whole vectors. Of keys and values that exceed three quarters of the second-level cache four blocks of queries share
// 512 at a time.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+amx}))" | FileCheck %s
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+bf16}))" | FileCheck %s --check-prefix=PAIRS

// CHECK: explanation = "32 queries, {{.*}}; products by tile units; no maximum in open blocks: {{[^;]*}}; from 4096 keys on{{[^;]*}}; up to 128 queries: chunks of 2048 keys,{{[^;]*}}", group_keys = 512 : i32, groups_from_keys = 4096 : i32, {{.*}}padded_value_width = 96 : i32, padded_width = 96 : i32
// CHECK-SAME: query_groups = 4 : i32, rescaling = "by-row-sum", {{.*}}tile_keys = 512 : i32, tile_queries = 32 : i32
// PAIRS: explanation = "64 queries, {{[^;]*; [^;]*; [^;]*}}; up to 128 queries: {{[^;]*}}", {{.*}}padded_value_width = 80 : i32, padded_width = 80 : i32
// PAIRS-SAME: tile_keys = 128 : i32, tile_queries = 64 : i32
func.func @plain(%query: tensor<*xf32> {attention.width = 80 : i32, attention.storage = bf16},
                 %key: tensor<*xf32> {attention.width = 80 : i32, attention.storage = bf16},
                 %value: tensor<*xf32> {attention.width = 80 : i32, attention.storage = bf16}) -> tensor<*xf32> {
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
