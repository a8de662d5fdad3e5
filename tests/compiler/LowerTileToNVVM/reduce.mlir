// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Each lane reduces its own elements of a row, then the four lanes that share it exchange: a lane of a 16-row
// block has two rows, so two times two shuffles.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-6: arith.maxnumf
// CHECK: nvvm.shfl.sync bfly
// CHECK-COUNT-3: nvvm.shfl.sync bfly
// CHECK-NOT: nvvm.shfl.sync
func.func @kernel() attributes {tile.kernel, tile.warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %i = tile.index columns %zero : tensor<64x16xi32>
  %x = arith.sitofp %i : tensor<64x16xi32> to tensor<64x16xf32>
  %m = tile.reduce maximum %x : tensor<64x16xf32> -> tensor<64xf32>
  return
}
