// A length from a table that depends on the batch alone bounds the keys; an element of a mask tensor says
// nothing about bounds, so that no block is open.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(analyze-mask,canonicalize))" | FileCheck %s

func.func @tables(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %lengths: tensor<*xi32>,
                  %mask: tensor<*xi1>) -> tensor<*xf32> {
  // CHECK: bounds
  // CHECK: ^bb0(%[[BATCH:.*]]: i32, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32):
  // CHECK: %[[ZERO:.*]] = arith.constant 0 : i32
  // CHECK: attention.element %{{.*}}[%[[BATCH]]] : tensor<*xi32> -> i32
  // CHECK: attention.yield %[[ZERO]], %[[ZERO]], %[[ZERO]], %{{.*}} : i32, i32, i32, i32
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %1 = attention.element %lengths[%batch] : tensor<*xi32> -> i32
    %2 = arith.cmpi slt, %j, %1 : i32
    %3 = attention.element %mask[%batch, %head, %i, %j] : tensor<*xi1> -> i1
    %4 = arith.andi %2, %3 : i1
    attention.yield %4 : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}
