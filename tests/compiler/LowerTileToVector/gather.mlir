// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Elements that differ from row to row are gathered, where the guard allows it, at indices clamped to the sizes
// of the table. An element that is the same in all rows is one load.

// CHECK-LABEL: llvm.func @table(
// CHECK: scf.for
// CHECK: %[[CLAMPED:.*]] = arith.minsi %{{.*}} : i32
// CHECK: llvm.load %{{.*}} : !llvm.ptr -> f32
// CHECK: arith.minsi %{{.*}} : vector<16xi32>
// CHECK: %[[ADDRESSES:.*]] = llvm.getelementptr %{{.*}} -> vector<16x!llvm.ptr>, i8
// CHECK: llvm.intr.masked.gather %[[ADDRESSES]], %{{.*}}, %{{.*}} {alignment = 4 : i32}
func.func @table() attributes {tile.kernel} {
  %table = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %i = tile.index rows %zero : tensor<16x8xi32>
  %j = tile.index columns %zero : tensor<16x8xi32>
  %guard = arith.cmpi sge, %i, %j : tensor<16x8xi32>
  %bias = tile.gather %table[%j : tensor<16x8xi32>] : !tile.tensor<f32> -> tensor<16x8xf32>
  %score = tile.gather %table[%i, %j : tensor<16x8xi32>, tensor<16x8xi32>] where %guard : tensor<16x8xi1> : !tile.tensor<f32> -> tensor<16x8xf32>
  %sum = arith.addf %bias, %score : tensor<16x8xf32>
  tile.store %sum, %table[%zero, %zero, %zero] rows %rows width 8 layout 0 : tensor<16x8xf32>, !tile.tensor<f32>
  return
}
