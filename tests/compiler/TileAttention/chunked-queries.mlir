// On the host one kernel serves launches of any number of queries. Of up to 128 the keys are cut in chunks, of more all keys
// are one. A block leaves what it has of its chunk, and stores no result; in the second phase it visits no key, and adds up
// what the chunks left.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4}),tile-attention,canonicalize,cse)" | FileCheck %s

// CHECK: func.func @flash_forward()
// CHECK-SAME: chunk_keys = 2048 : i32, chunked_queries = 128 : i32
// CHECK-SAME: tile.workspace = array<i32: 4224>
// CHECK: %[[X:.*]] = tile.program_id  x
// CHECK: %[[BLOCKS:.*]] = arith.divui %{{.*}}, %c64_i32 : i32
// CHECK: %[[CHUNK:.*]] = arith.divui %[[X]], %[[BLOCKS]] : i32
// CHECK: arith.remui %[[X]], %[[BLOCKS]] : i32
// CHECK: %[[PHASE:.*]] = tile.phase
// CHECK: %[[COMBINES:.*]] = arith.cmpi ne, %[[PHASE]], %c0_i32
// CHECK: %[[ISCUT:.*]] = arith.cmpi sle, %{{.*}}, %c128_i32
// CHECK: %[[KEYS:.*]] = arith.select %[[ISCUT]], %{{.*}}, %[[LENGTH:.*]] : i32
// CHECK: %[[BEGIN:.*]] = arith.muli %[[CHUNK]], %[[KEYS]]
// CHECK: arith.select %[[COMBINES]], %[[BEGIN]], %{{.*}} : i32
// CHECK: %[[VISITED:.*]]:3 = scf.for
// CHECK: %[[CHUNKS:.*]] = arith.select %[[COMBINES]], %{{.*}}, %c0_i32
// CHECK: scf.for %[[LEFT:.*]] = %c0_i32 to %[[CHUNKS]]
// CHECK: arith.muli %[[LEFT]], %[[BLOCKS]]
// CHECK-COUNT-3: tile.load_tile
// CHECK: %[[OTHERS:.*]] = arith.cmpi sgt, %[[LENGTH]], %[[KEYS]]
// CHECK: %[[PART:.*]] = arith.select %[[COMBINES]], %false, %[[OTHERS]]
// CHECK: scf.if %[[PART]]
// CHECK-COUNT-3: tile.store_tile
// CHECK: %[[ROWS:.*]] = arith.select %[[PART]], %c0_i32
// CHECK: tile.store {{.*}} rows %[[ROWS]]
func.func @attention(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                     %value: tensor<*xf32> {attention.width = 64 : i32}) -> tensor<*xf32> {
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
