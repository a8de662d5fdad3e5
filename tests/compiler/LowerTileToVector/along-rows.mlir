// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Of few queries most rows of a tile do not exist. Four at a time, as many as there are, products run along the rows in
// memory: a key's vector is read once, multiplied by four rows of Q. Sixteen sums, of four keys, become the lanes of one
// vector, and four of them a quarter of a column. What is to be read soon is requested.

// CHECK-LABEL: llvm.func @few(
// CHECK: %[[GROUPS:.*]] = arith.divui
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[GROUPS]]
// CHECK: scf.for
// CHECK: %[[Q:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<16xf32>
// CHECK-COUNT-3: llvm.load %{{.*}} : !llvm.ptr -> vector<16xf32>
// CHECK: "llvm.intr.prefetch"
// CHECK: %[[K:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<16xf32>
// CHECK: math.fma %[[Q]], %[[K]], %{{.*}} : vector<16xf32>
// CHECK: llvm.shufflevector %{{.*}} [0, 16, 1, 17, 4, 20,
// CHECK: llvm.shufflevector %{{.*}} [2, 18, 3, 19, 6, 22,
// CHECK: llvm.shufflevector %[[SCORES:.*]], %[[SCORES]] [0, 1, 2, 3]
// CHECK: llvm.store %{{.*}} : vector<4xf32>, !llvm.ptr
func.func @few() attributes {tile.kernel, attention.few_queries} {
  %queries = tile.tensor 0 : !tile.tensor<f32>
  %keys = tile.tensor 1 : !tile.tensor<f32>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %limit = tile.size query_length
  %none = arith.constant dense<0.0> : tensor<16x96xf32>
  %q = tile.load %queries[%zero, %zero, %zero] rows %limit width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %k = tile.load %keys[%zero, %zero, %zero] rows %limit width 64 layout 0 : !tile.tensor<f32> -> tensor<96x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<16x64xf32>, tensor<96x64xf32> -> tensor<16x96xf32>
  tile.store %s, %out[%zero, %zero, %zero] rows %limit width 96 layout 0 : tensor<16x96xf32>, !tile.tensor<f32>
  return
}
