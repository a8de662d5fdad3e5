// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// What only asks whether any lane found something needs no maximum of a whole row: each lane reduces its own eight
// elements of two rows, and one vote is all that the warp exchanges.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-6: arith.maxnumf
// CHECK-NOT: nvvm.shfl.sync
// CHECK: nvvm.vote.sync any
func.func @kernel() attributes {tile.kernel, tile.warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %limit = arith.constant dense<8.0> : tensor<64xf32>
  %i = tile.index columns %zero : tensor<64x16xi32>
  %x = arith.sitofp %i : tensor<64x16xi32> to tensor<64x16xf32>
  %m = tile.reduce maximum %x {tile.lane} : tensor<64x16xf32> -> tensor<64xf32>
  %grown = arith.cmpf uge, %m, %limit : tensor<64xf32>
  %some = tile.any %grown : tensor<64xi1>
  return
}
