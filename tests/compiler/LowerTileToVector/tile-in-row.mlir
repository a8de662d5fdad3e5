// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// What one phase leaves to another: the tile as the buffer has it, column by column, in a row of a workspace tensor. What is
// computed of it reads it there.

// CHECK-LABEL: llvm.func @attention(
// CHECK: %[[ROW:.*]] = llvm.getelementptr
// CHECK: scf.for
// CHECK: %[[FROM:.*]] = llvm.load %{{.*}} {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK: arith.addf %[[FROM]], %[[FROM]] : vector<16xf32>
// CHECK: llvm.store %{{.*}} {alignment = 64 : i64} : vector<16xf32>
// CHECK-NOT: vector.shuffle
func.func @attention() attributes {tile.kernel} {
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %row = tile.phase
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %left = tile.load_tile %tensor[%zero, %zero, %row] : !tile.tensor<f32> -> tensor<16x32xf32>
  %twice = arith.addf %left, %left : tensor<16x32xf32>
  tile.store_tile %twice, %tensor[%zero, %zero, %one] : tensor<16x32xf32>, !tile.tensor<f32>
  return
}
