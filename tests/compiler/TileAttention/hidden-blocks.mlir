// On the host a block of keys that a table hides from all queries of a tile is left out: it is computed where any element
// of a mask is set, or of a bias is not -inf. So does the kernel for few queries.
//
// RUN: tenon-opt %s --split-input-file --pass-pipeline="builtin.module(split-queries,func.func(choose-schedule{target=host:x86-64-v4}),tile-attention,canonicalize)" | FileCheck %s
// RUN: tenon-opt %s --split-input-file --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention)" | FileCheck %s --check-prefix=GPU

// CHECK-LABEL: func.func @flash_forward()
// CHECK-SAME: hide from all these queries are left out
// CHECK: scf.for {{.*}} iter_args(%[[M:.*]] = %{{.*}}, %[[L:.*]] = %{{.*}}, %[[O:.*]] = %{{.*}})
// CHECK: %[[MASK:.*]] = tile.gather %{{.*}} : !tile.tensor<i1>
// CHECK: %[[SOME:.*]] = tile.any %[[MASK]]
// CHECK-NEXT: scf.if %[[SOME]]
// CHECK-NEXT: tile.load
// CHECK: } else {
// CHECK-NEXT: scf.yield %[[M]], %[[L]], %[[O]]
// CHECK: func.func @flash_forward_few()
// CHECK: tile.any
// GPU-NOT: tile.any
func.func @mask(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                %value: tensor<*xf32> {attention.width = 64 : i32}, %table: tensor<*xi1>) -> tensor<*xf32>
    attributes {attention.any_queries} {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %causal = arith.cmpi sge, %i, %j : i32
    %element = attention.element %table[%batch, %head, %i, %j] : tensor<*xi1> -> i1
    %visible = arith.andi %causal, %element : i1
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}

// -----

// CHECK-LABEL: func.func @flash_forward()
// CHECK: %[[INFINITY:.*]] = arith.constant dense<0xFF800000> : tensor<64x128xf32>
// CHECK: scf.for
// CHECK: %[[BIAS:.*]] = tile.gather %{{.*}} : !tile.tensor<f16>
// CHECK: %[[SHOWN:.*]] = arith.cmpf une, %[[BIAS]], %[[INFINITY]]
// CHECK: %[[SOME:.*]] = tile.any %[[SHOWN]]
// CHECK-NEXT: scf.if %[[SOME]]
func.func @bias(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                %value: tensor<*xf32> {attention.width = 64 : i32}, %table: tensor<*xf32> {attention.storage = f16}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %element = attention.element %table[%i, %j] : tensor<*xf32> -> f32
    %biased = arith.addf %score, %element : f32
    attention.yield %biased : f32
  }
  return %0 : tensor<*xf32>
}

// -----

// A table whose rows are not the queries themselves says nothing of a block.
// CHECK-LABEL: func.func @flash_forward()
// CHECK-NOT: tile.any
func.func @half(%query: tensor<*xf32> {attention.width = 64 : i32}, %key: tensor<*xf32> {attention.width = 64 : i32},
                %value: tensor<*xf32> {attention.width = 64 : i32}, %table: tensor<*xi1>) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %two = arith.constant 2 : i32
    %half = arith.divui %i, %two : i32
    %visible = attention.element %table[%half, %i, %j] : tensor<*xi1> -> i1
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}
