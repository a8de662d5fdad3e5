// key <= query, for queries first … last: keys before last + 1 are visible to some, keys before
// first + 1 to all of them, and both at most the number of keys.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(analyze-mask,canonicalize))" | FileCheck %s

func.func @causal(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>) -> tensor<*xf32> {
  // CHECK: bounds
  // CHECK: ^bb0(%{{.*}}: i32, %{{.*}}: i32, %[[FIRST:.*]]: i32, %[[LAST:.*]]: i32):
  // CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : i32
  // CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : i64
  // CHECK-DAG: %[[KEYS:.*]] = attention.key_length : i32
  // CHECK-DAG: %[[FIRST64:.*]] = arith.extsi %[[FIRST]]
  // CHECK-DAG: %[[BEYOND_FIRST:.*]] = arith.addi %[[FIRST64]], %[[ONE]]
  // CHECK-DAG: %[[LAST64:.*]] = arith.extsi %[[LAST]]
  // CHECK-DAG: %[[BEYOND_LAST:.*]] = arith.addi %[[LAST64]], %[[ONE]]
  // CHECK: attention.yield %[[ZERO]], %[[ZERO]], %{{.*}}, %{{.*}} : i32, i32, i32, i32
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %1 = arith.cmpi sle, %j, %i : i32
    attention.yield %1 : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}
