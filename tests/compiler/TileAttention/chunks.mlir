// Few queries, whose keys are cut in chunks of 288, six blocks of 48: each is a block of the grid, which leaves its
// output and m + log2 l in the workspace, as head chunk * heads + head. A second kernel takes the chunks in their order:
// the greatest of the log-sums first, then the sums of weights and of weighted outputs.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,canonicalize,cse)" | FileCheck %s

// CHECK: func.func @flash_forward
// CHECK-DAG: %[[KEYS:.*]] = arith.constant 288 : i32
// CHECK: %[[BLOCKS:.*]] = arith.divui %{{.*}}, %{{.*}} : i32
// CHECK: %[[CHUNK:.*]] = arith.divui %{{.*}}, %[[BLOCKS]] : i32
// CHECK: %[[BEGIN:.*]] = arith.muli %[[CHUNK]], %[[KEYS]] : i32
// CHECK: %[[END:.*]] = arith.addi %[[BEGIN]], %[[KEYS]] : i32
// CHECK: arith.minsi %{{.*}}, %[[END]] : i32
// CHECK: scf.for
// CHECK: scf.for
// CHECK: %[[LOG:.*]] = math.log2
// CHECK: %[[LOGSUM:.*]] = arith.addf %{{.*}}, %[[LOG]]
// CHECK: %[[HEADS:.*]] = tile.size  heads
// CHECK: arith.muli %[[CHUNK]], %[[HEADS]] : i32
// CHECK: tile.store %{{.*}} : tensor<16x64xf32>, !tile.tensor<f32>
// CHECK: tile.store %[[LOGSUM]], %{{.*}} : tensor<16xf32>, !tile.tensor<f32>

// CHECK: func.func @combine
// CHECK: %[[GREATEST:.*]] = scf.for
// CHECK:   arith.maxnumf
// CHECK: scf.for
// CHECK:   %[[OUTPUT:.*]] = tile.load
// CHECK:   math.exp2
// CHECK:   arith.mulf
// CHECK: arith.divf
// CHECK: tile.store
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
