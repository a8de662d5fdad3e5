// Few queries, whose keys are cut in chunks of 256, four blocks of 64: each is a block of the grid, which leaves its
// output, m and l in the workspace, as row chunk * queries + query. A second kernel takes the chunks in their order: the
// greatest m first, then the sums of weights l 2^(m - L) and of weighted outputs, eight chunks at a time for 32
// columns, which are a block's: head · 2 + half is its place along the second axis, and one program serves both halves.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,canonicalize,cse)" | FileCheck %s

// CHECK: func.func @flash_forward
// CHECK-DAG: %[[KEYS:.*]] = arith.constant 256 : i32
// CHECK: %[[BLOCKS:.*]] = arith.divui %{{.*}}, %{{.*}} : i32
// CHECK: %[[CHUNK:.*]] = arith.divui %{{.*}}, %[[BLOCKS]] : i32
// CHECK: %[[BEGIN:.*]] = arith.muli %[[CHUNK]], %[[KEYS]] : i32
// CHECK: %[[END:.*]] = arith.addi %[[BEGIN]], %[[KEYS]] : i32
// CHECK: arith.minsi %{{.*}}, %[[END]] : i32
// CHECK: scf.for
// CHECK: %[[LAST:.*]]:3 = scf.for
// CHECK-NOT: math.log2
// CHECK: %[[BEFORE:.*]] = arith.muli %[[CHUNK]], %{{.*}} : i32
// CHECK: arith.addi %[[BEFORE]], %{{.*}} : i32
// CHECK: tile.store %{{.*}} : tensor<16x64xf32>, !tile.tensor<f32>
// CHECK: tile.store %[[LAST]]#0, %{{.*}} : tensor<16xf32>, !tile.tensor<f32>
// CHECK: tile.store %[[LAST]]#1, %{{.*}} : tensor<16xf32>, !tile.tensor<f32>

// CHECK: func.func @combine
// CHECK: %[[Y:.*]] = tile.program_id y
// CHECK: %[[HALF:.*]] = arith.remui %[[Y]], %{{.*}} : i32
// CHECK: arith.divui %[[Y]], %{{.*}} : i32
// CHECK: %[[GREATEST:.*]] = scf.for
// CHECK-COUNT-8: arith.maxnumf
// CHECK: %[[FIRST:.*]] = arith.muli %[[HALF]], %{{.*}} : i32
// CHECK: scf.for
// CHECK: %[[CHUNKS:.*]] = tile.tensor {{[0-9]+}} from %[[FIRST]] of 64 : !tile.tensor<f32>
// CHECK-COUNT-8: tile.load %[[CHUNKS]]{{.*}} -> tensor<16x32xf32>
// CHECK-COUNT-8: math.exp2
// CHECK: arith.divf
// CHECK: %[[OUTPUT:.*]] = tile.tensor {{[0-9]+}} from %[[FIRST]] of 64 : !tile.tensor<f32>
// CHECK: tile.store %{{.*}}, %[[OUTPUT]]{{.*}} : tensor<16x32xf32>
// CHECK-NOT: tile.store
func.func @decode(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                  %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}) -> tensor<*xf32>
    attributes {attention.few_queries, attention.group = 1 : i32} {
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
