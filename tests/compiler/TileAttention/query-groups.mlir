// Blocks of queries that share chunks of keys: the first of them computes all four, chunk by chunk. What a block has so far
// stays in places of its own; the last chunk leaves the result.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+amx}),tile-attention,canonicalize)" | FileCheck %s
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80 query-groups=2}))" 2>&1 | FileCheck %s --check-prefix=GPU
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+bf16 query-groups=2}))" 2>&1 | FileCheck %s --check-prefix=PAIRS
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host query-groups=9}))" 2>&1 | FileCheck %s --check-prefix=MANY

// CHECK: %[[KEYS:.*]] = tile.size key_length
// CHECK: %[[COMBINES:.*]] = arith.cmpi ne
// CHECK: %[[OUTPUTS:.*]] = tile.shared_alloc : !tile.shared<4x32x64xf32>
// CHECK: %[[BEGIN:.*]] = arith.muli
// CHECK: %[[LEFT:.*]] = arith.subi %[[KEYS]], %[[BEGIN]]
// CHECK: %[[OWN:.*]] = arith.minsi %{{.*}}, %[[LEFT]]
// CHECK: %[[LAST:.*]] = arith.addi %[[BEGIN]], %[[OWN]]
// CHECK: %[[END:.*]] = arith.select %[[COMBINES]], %[[BEGIN]], %[[LAST]]
// CHECK: %[[FAR:.*]] = arith.cmpi sge, %[[KEYS]], %c6144_i32
// CHECK: %[[CHUNK:.*]] = arith.select %[[FAR]], %c512_i32
// CHECK: %[[GROUPS:.*]] = arith.select %{{.*}}, %c4_i32, %c1_i32
// CHECK: arith.remui %{{.*}}, %[[GROUPS]]
// CHECK: scf.if
// CHECK: scf.for %[[AT:.*]] = %[[BEGIN]] to %{{.*}} step %[[CHUNK]]
// CHECK: scf.for %[[GROUP:.*]] = %c0_i32 to
// CHECK: tile.stage %[[OUTPUTS]][%[[GROUP]]]
// CHECK: %[[FIRST:.*]] = arith.cmpi eq, %[[AT]], %[[BEGIN]]
// CHECK: scf.if %[[FIRST]]
// CHECK-COUNT-3: tile.write
// CHECK-COUNT-3: tile.read
// CHECK: scf.for
// CHECK: arith.cmpi sge, %{{.*}}, %[[END]]
// CHECK: tile.store
// CHECK: else
// CHECK-COUNT-3: tile.write

// GPU: query-groups is 2, must be left out: it is for bfloat16 by tile units, the target is sm_80
// PAIRS: query-groups is 2, must be left out: it is for bfloat16 by tile units, the target is host:x86-64-v4+bf16
// MANY: query-groups is 9, must be 1 to 8
func.func @plain(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                 %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                 %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16}, %scale: f32) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %scaled = arith.mulf %score, %scale : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}
