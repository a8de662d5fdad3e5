// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Packed rows: row r of the tile is row r / 4 of head r mod 4, so that the heads of a group stand in one tile.

// CHECK-LABEL: llvm.func @packed(
// CHECK: %[[HEAD:.*]] = arith.remui %[[ROW:[^,]*]], %c4{{.*}} : i64
// CHECK: %[[QUERY:.*]] = arith.divui %[[ROW]], %c4{{.*}} : i64
// CHECK: arith.muli %[[QUERY]]
// CHECK: arith.muli %[[HEAD]]
func.func @packed() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %x = tile.load %tensor[%zero, %zero, %zero] rows %rows width 8 layout 0 {group = 4 : i32} : !tile.tensor<f32> -> tensor<16x8xf32>
  %twice = arith.addf %x, %x : tensor<16x8xf32>
  tile.store %twice, %tensor[%zero, %zero, %zero] rows %rows width 8 layout 0 {group = 4 : i32} : tensor<16x8xf32>, !tile.tensor<f32>
  return
}
