// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// With two heads packed into a tile, row r is query r / 2 of stream r mod 2 beyond the given one: both are of the row,
// and each of a lane's two rows has its own call, as it has unpacked.

// CHECK-LABEL: llvm.func @kernel
// CHECK: %[[HEAD:.*]] = arith.remui %[[ROW:.*]], %
// CHECK: %[[STREAM:.*]] = arith.addi %{{.*}}, %[[HEAD]]
// CHECK: %[[QUERY:.*]] = arith.divui %[[ROW]], %
// CHECK: arith.mului_extended %[[QUERY]], %
// CHECK: arith.mului_extended %[[STREAM]], %
// CHECK-COUNT-38: arith.mului_extended
// CHECK-NOT: arith.mului_extended
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %seed = tile.seed
  %offset = tile.offset
  %r = tile.random %seed, %offset, %zero[%zero, %zero] {group = 2 : i32} : tensor<16x32xi32>
  return
}
