// A function for any number of queries becomes one for many and one for few; from both come kernels that take their
// arguments in the same slots: the workspace of the chunks is slots 4 and 5 of both.
//
// RUN: tenon-opt %s --split-queries | FileCheck %s
// RUN: tenon-opt %s --pass-pipeline="builtin.module(split-queries,func.func(choose-schedule{target=host:x86-64-v4}),tile-attention)" | FileCheck %s --check-prefix=KERNELS

// CHECK: func.func @attention(
// CHECK-NOT: any_queries
// CHECK-NOT: few_queries
// CHECK: func.func @attention_few(
// CHECK-SAME: attention.few_queries

// KERNELS: func.func @flash_forward() attributes
// KERNELS-SAME: tile.schedule = {{.*}}tile_queries = 64
// KERNELS-SAME: tile.tensors = array<i32: 0, 1, 2, -1, [[WORKSPACE:[0-9]+, [0-9]+, [0-9]+]]>
// KERNELS: func.func @flash_forward_few() attributes
// KERNELS-SAME: chunk_keys = 576
// KERNELS-SAME: packed_heads = 4
// KERNELS-SAME: tile_queries = 16
// KERNELS-SAME: tile.tensors = array<i32: 0, 1, 2, -1, [[WORKSPACE]]>
// KERNELS: func.func @combine_few() attributes
func.func @attention(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                     %value: tensor<*xf32> {attention.width = 64 : i32}) -> tensor<*xf32>
    attributes {attention.any_queries, attention.group = 4 : i32} {
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
