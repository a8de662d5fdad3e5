// The four heads of a group share a tile's rows where there are few queries: row r is query r / 4 of head r mod 4 of the
// group, so that the group's keys and values, of its one head, are read once.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,canonicalize,cse)" | FileCheck %s

// CHECK: func.func @flash_forward
// CHECK-SAME: the 4 heads of a group share a tile's rows
// CHECK-SAME: packed_heads = 4 : i32
// CHECK-DAG: %[[QUERIES:.*]] = tile.size  query_length
// CHECK-DAG: %[[KEYS:.*]] = tile.size  key_length
// CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : i32
// CHECK: %[[BATCH:.*]] = tile.program_id  z
// CHECK: %[[GROUP:.*]] = tile.program_id  y
// CHECK: %[[ROWS:.*]] = arith.muli %[[QUERIES]], %[[FOUR]] : i32
// CHECK: %[[HEAD:.*]] = arith.muli %[[GROUP]], %[[FOUR]] : i32
// CHECK: tile.load %{{.*}}[%[[BATCH]], %[[HEAD]], %{{.*}}] rows %[[ROWS]] width 64 layout 0 {group = 4 : i32}
// CHECK: scf.for
// CHECK: tile.load %{{.*}}[%[[BATCH]], %[[GROUP]], %{{.*}}] rows %[[KEYS]] width 64 layout 0 : !tile.tensor<f16>
func.func @decode(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                  %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}) -> tensor<*xf32>
    attributes {attention.few_queries, attention.group = 4 : i32} {
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
