// A mask and a bias that are inputs are read element by element, with dropout and a logsumexp beside:
// scores + where(mask, 0, -inf) + bias.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(fuse-attention,canonicalize))" | FileCheck %s

// CHECK-LABEL: func.func @inputs
func.func @inputs(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %mask: tensor<*xi1>,
                  %bias: tensor<*xf32>, %p: f32) -> (tensor<*xf32>, tensor<*xf32>) {
  // CHECK: %output, %logsumexp = attention.fused {{.*}} dropout(%{{.*}})
  // CHECK: mask
  // CHECK-NEXT: ^bb0(%[[B:.*]]: i32, %[[H:.*]]: i32, %[[I:.*]]: i32, %[[J:.*]]: i32):
  // CHECK-NEXT: %[[VISIBLE:.*]] = attention.element %{{.*}}[%[[B]], %[[H]], %[[I]], %[[J]]] : tensor<*xi1> -> i1
  // CHECK-NEXT: attention.yield %[[VISIBLE]] : i1
  // CHECK: score
  // CHECK-NEXT: ^bb0(%[[SCORE:.*]]: f32,
  // CHECK: %[[BIAS:.*]] = attention.element %{{.*}} : tensor<*xf32> -> f32
  // CHECK-NEXT: %[[SUM:.*]] = arith.addf %[[SCORE]], %[[BIAS]] : f32
  // CHECK-NEXT: attention.yield %[[SUM]] : f32
  // CHECK: return %output, %logsumexp
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.constant 0.0 : f32
  %3 = attention.constant 0xFF800000 : f32
  %4 = attention.where %mask, %2, %3 : (tensor<*xi1>, f32, f32) -> tensor<*xf32>
  %5 = attention.add %1, %4 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %6 = attention.add %5, %bias : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %7 = attention.softmax %6 : tensor<*xf32>
  %8 = attention.dropout %7, %p : (tensor<*xf32>, f32) -> tensor<*xf32>
  %9 = attention.matmul %8, %value : tensor<*xf32>
  %10 = attention.logsumexp %6 : tensor<*xf32>
  return %9, %10 : tensor<*xf32>, tensor<*xf32>
}
