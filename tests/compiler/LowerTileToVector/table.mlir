// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// A table at adjacent rows and columns, as a mask is: four columns of 16 rows at once, transposed in registers, where
// all columns exist and lie side by side; by gathers elsewhere.

// CHECK-LABEL: llvm.func @bias(
// CHECK: %[[INSIDE:.*]] = arith.cmpi sle
// CHECK: %[[ADJACENT:.*]] = arith.cmpi eq
// CHECK: %[[BOTH:.*]] = arith.andi %[[INSIDE]], %[[ADJACENT]]
// CHECK: scf.if %[[BOTH]] {
// CHECK-COUNT-16: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<4xf32>
// CHECK: llvm.shufflevector
// CHECK: } else {
// CHECK: llvm.intr.masked.gather
func.func @bias() attributes {tile.kernel} {
  %table = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %row = tile.index rows %zero : tensor<16xi32>
  %i = tile.expand %row : tensor<16xi32> -> tensor<16x8xi32>
  %j = tile.index columns %zero : tensor<16x8xi32>
  %bias = tile.gather %table[%zero, %zero, %i, %j : i32, i32, tensor<16x8xi32>, tensor<16x8xi32>] : !tile.tensor<f32> -> tensor<16x8xf32>
  %twice = arith.addf %bias, %bias : tensor<16x8xf32>
  tile.store %twice, %table[%zero, %zero, %zero] rows %rows width 8 layout 0 : tensor<16x8xf32>, !tile.tensor<f32>
  return
}
