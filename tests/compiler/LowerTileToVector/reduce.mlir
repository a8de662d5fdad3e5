// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// What a reduction needs is computed in its loop over the columns; what a later loop needs of that is stored in
// place of an operand that dies there.

// CHECK-LABEL: llvm.func @softmax(
// CHECK-SAME: tile.workspace_bytes
// The scores are packed first. Their scaling is in the loop of the maximum, and is stored:
// CHECK: scf.for {{.*}} -> (vector<16xf32>) : i64 {
// CHECK: %[[SCALED:.*]] = arith.mulf
// CHECK: %[[GREATER:.*]] = arith.cmpf ogt, %[[SCALED]], %[[SO_FAR:.*]] : vector<16xf32>
// CHECK: arith.select %[[GREATER]], %[[SCALED]], %[[SO_FAR]]
// CHECK: llvm.store %[[SCALED]]
// Subtraction and exponential are in the loop of the sum:
// CHECK: scf.for {{.*}} -> (vector<16xf32>) : i64 {
// CHECK: arith.subf
// CHECK: %[[POWER:.*]] = math.exp2
// CHECK: arith.addf {{.*}}, %[[POWER]]
func.func @softmax() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %rows = arith.constant 16 : i32
  %scale = arith.constant dense<0.5> : tensor<16x8xf32>
  %x = tile.load %tensor[%zero, %zero, %zero] rows %rows width 8 layout 0 : !tile.tensor<f32> -> tensor<16x8xf32>
  %scaled = arith.mulf %x, %scale : tensor<16x8xf32>
  %maximum = tile.reduce maximum %scaled : tensor<16x8xf32> -> tensor<16xf32>
  %reference = tile.expand %maximum : tensor<16xf32> -> tensor<16x8xf32>
  %difference = arith.subf %scaled, %reference : tensor<16x8xf32>
  %p = math.exp2 %difference : tensor<16x8xf32>
  %sum = tile.reduce sum %p : tensor<16x8xf32> -> tensor<16xf32>
  tile.store %sum, %tensor[%zero, %zero, %zero] rows %rows width 1 layout 2 : tensor<16xf32>, !tile.tensor<f32>
  return
}
