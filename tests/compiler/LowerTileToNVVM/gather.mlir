// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// An index is clamped to the table; where the guard is false memory is not touched. 16 x 16 on one warp is
// eight elements a lane, of two rows: two clamps.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-2: arith.maxsi
// CHECK-NOT: arith.maxsi
// CHECK-COUNT-8: scf.if
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %table = tile.tensor 5 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %i = tile.index rows %zero : tensor<16x16xi32>
  %j = tile.index columns %zero : tensor<16x16xi32>
  %guard = arith.cmpi sge, %i, %j : tensor<16x16xi32>
  %x = tile.gather %table[%i : tensor<16x16xi32>] where %guard : tensor<16x16xi1> : !tile.tensor<f32> -> tensor<16x16xf32>
  return
}
