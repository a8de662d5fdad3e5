// softmax(where(query >= key, s · query Kᵀ, -inf)) value: the selection becomes the mask, the scale the score.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(fuse-attention,canonicalize))" | FileCheck %s

// CHECK-LABEL: func.func @causal
// CHECK-SAME: %[[QUERY:[a-z0-9]+]]: tensor<*xf32>, %[[KEY:[a-z0-9]+]]: tensor<*xf32>, %[[VALUE:[a-z0-9]+]]: tensor<*xf32>, %[[SCALE:[a-z0-9]+]]: f32
func.func @causal(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %scale: f32) -> tensor<*xf32> {
  // CHECK: attention.fused query(%[[QUERY]]) key(%[[KEY]]) value(%[[VALUE]])
  // CHECK: mask
  // CHECK: ^bb0(%{{.*}}: i32, %{{.*}}: i32, %[[I:.*]]: i32, %[[J:.*]]: i32):
  // CHECK:   %[[VISIBLE:.*]] = arith.cmpi sge, %[[I]], %[[J]] : i32
  // CHECK:   attention.yield %[[VISIBLE]] : i1
  // CHECK: score
  // CHECK: ^bb0(%[[SCORE:.*]]: f32,
  // CHECK:   %[[SCALED:.*]] = arith.mulf %[[SCORE]], %[[SCALE]] : f32
  // CHECK:   attention.yield %[[SCALED]] : f32
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.multiply %1, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>
  %3 = attention.query_index : tensor<*xi32>
  %4 = attention.key_index : tensor<*xi32>
  %5 = attention.greater_equal %3, %4 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>
  %6 = attention.constant 0xFF800000 : f32
  %7 = attention.where %5, %2, %6 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %8 = attention.softmax %7 : tensor<*xf32>
  %9 = attention.matmul %8, %value : tensor<*xf32>
  return %9 : tensor<*xf32>
}
