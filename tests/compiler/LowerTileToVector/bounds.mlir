// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Rows that see keys up to their own place: the loops over columns end behind the last row's, and the products of
// each vector of 16 rows behind its own last row's: a triangle. Ends are even, since columns may lie in pairs.

// CHECK-LABEL: llvm.func @triangle(
// CHECK: %[[ROWS:.*]] = arith.minsi %{{.*}}, %c32_i64
// CHECK: llvm.intr.vector.reduce.smax
// CHECK: %[[END0:.*]] = arith.andi
// CHECK: llvm.intr.vector.reduce.smax
// CHECK: %[[END1:.*]] = arith.andi
// CHECK: %[[END:.*]] = arith.maxsi %[[END0]], %[[END1]]
// The product of scores: vector by vector of rows that exist, columns to an end from a table.
// CHECK: %[[UP:.*]] = arith.addi %[[ROWS]], %c15_i64
// CHECK: %[[VECTORS:.*]] = arith.divui %[[UP]], %c16_i64
// CHECK: scf.for %[[V:.*]] = %{{.*}} to %[[VECTORS]] step
// CHECK: %[[OWN:.*]] = llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr -> i64
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[OWN]] step
// The maximum, and the sum:
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]] step {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[END]] step {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK: math.exp2
func.func @triangle() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x96xf32>
  %hidden = arith.constant dense<0xFF800000> : tensor<32x96xf32>
  %row = tile.index rows %zero : tensor<32xi32>
  %q = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<32x64xf32>
  %k = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<96x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<32x64xf32>, tensor<96x64xf32> -> tensor<32x96xf32>
  %column = tile.index columns %zero : tensor<32x96xi32>
  %rows = tile.expand %row : tensor<32xi32> -> tensor<32x96xi32>
  %visible = arith.cmpi sge, %rows, %column : tensor<32x96xi32>
  %x = arith.select %visible, %s, %hidden : tensor<32x96xi1>, tensor<32x96xf32>
  %maximum = tile.reduce maximum %x : tensor<32x96xf32> -> tensor<32xf32>
  %reference = tile.expand %maximum : tensor<32xf32> -> tensor<32x96xf32>
  %difference = arith.subf %x, %reference : tensor<32x96xf32>
  %p = math.exp2 %difference : tensor<32x96xf32>
  %sum = tile.reduce sum %p : tensor<32x96xf32> -> tensor<32xf32>
  tile.store %sum, %tensor[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<32xf32>, !tile.tensor<f32>
  return
}
