// The canonical text of a graph is the dialect's own: it parses and prints unchanged.
//
// RUN: tenon-opt %s | FileCheck %s

// CHECK-LABEL: func.func @attention
func.func @attention(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %slopes: tensor<*xf32>, %p: f32) -> (tensor<*xf32>, tensor<*xf32>) {
  %0 = attention.transpose %key : tensor<*xf32>
  // CHECK: attention.matmul %{{.*}}, %{{.*}} : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.head_index : tensor<*xi32>
  // CHECK: attention.load %{{.*}}[%{{.*}}] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>
  %3 = attention.load %slopes[%2] : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>
  %4 = attention.key_length : i32
  %5 = attention.key_index : tensor<*xi32>
  // CHECK: attention.less %{{.*}}, %{{.*}} : (tensor<*xi32>, i32) -> tensor<*xi1>
  %6 = attention.less %5, %4 : (tensor<*xi32>, i32) -> tensor<*xi1>
  // CHECK: attention.constant 0xFF800000 : f32
  %7 = attention.constant 0xFF800000 : f32
  // CHECK: attention.where %{{.*}}, %{{.*}}, %{{.*}} : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %8 = attention.where %6, %1, %7 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %9 = attention.softmax %8 : tensor<*xf32>
  // CHECK: attention.dropout %{{.*}}, %{{.*}} : (tensor<*xf32>, f32) -> tensor<*xf32>
  %10 = attention.dropout %9, %p : (tensor<*xf32>, f32) -> tensor<*xf32>
  %11 = attention.matmul %10, %value : tensor<*xf32>
  %12 = attention.logsumexp %8 : tensor<*xf32>
  return %11, %12 : tensor<*xf32>, tensor<*xf32>
}
