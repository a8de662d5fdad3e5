// Scales meet: (query / 8) Kᵀ · 2 => (query Kᵀ) · 0.25, one multiplication of each score.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(simplify-attention))" | FileCheck %s

// CHECK-LABEL: func.func @scales
// CHECK-SAME: %[[QUERY:[a-z0-9]+]]: tensor<*xf32>, %[[KEY:[a-z0-9]+]]: tensor<*xf32>
func.func @scales(%query: tensor<*xf32>, %key: tensor<*xf32>) -> tensor<*xf32> {
  // CHECK-DAG: %[[SCALE:.*]] = attention.constant 2.500000e-01 : f32
  // CHECK-DAG: %[[TRANSPOSED:.*]] = attention.transpose %[[KEY]]
  // CHECK: %[[SCORES:.*]] = attention.matmul %[[QUERY]], %[[TRANSPOSED]]
  // CHECK: %[[SCALED:.*]] = attention.multiply %[[SCORES]], %[[SCALE]]
  // CHECK: return %[[SCALED]]
  %eight = attention.constant 8.0 : f32
  %two = attention.constant 2.0 : f32
  %0 = attention.divide %query, %eight : (tensor<*xf32>, f32) -> tensor<*xf32>
  %1 = attention.transpose %key : tensor<*xf32>
  %2 = attention.matmul %0, %1 : tensor<*xf32>
  %3 = attention.multiply %two, %2 : (f32, tensor<*xf32>) -> tensor<*xf32>
  return %3 : tensor<*xf32>
}

// A scale of what is dropped scales the result: dropout(p · s) V => (dropout(p) V) · s.
// CHECK-LABEL: func.func @dropped
// CHECK: %[[DROPPED:.*]] = attention.dropout %{{.*}}, %{{.*}} :
// CHECK: %[[PRODUCT:.*]] = attention.matmul %[[DROPPED]]
// CHECK: attention.multiply %[[PRODUCT]]
func.func @dropped(%p: tensor<*xf32>, %value: tensor<*xf32>, %probability: f32) -> tensor<*xf32> {
  %two = attention.constant 2.0 : f32
  %0 = attention.multiply %p, %two : (tensor<*xf32>, f32) -> tensor<*xf32>
  %1 = attention.dropout %0, %probability : (tensor<*xf32>, f32) -> tensor<*xf32>
  %2 = attention.matmul %1, %value : tensor<*xf32>
  return %2 : tensor<*xf32>
}
