// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// One call of Philox gives a lane all the numbers that it owns of 32 columns: ten rounds of two products for
// each of its two rows, and no more.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-40: arith.mului_extended
// CHECK-NOT: arith.mului_extended
func.func @kernel() attributes {tile.kernel, tile.warps = 4 : i32} {
  %zero = arith.constant 0 : i32
  %seed = tile.seed
  %offset = tile.offset
  %r = tile.random %seed, %offset, %zero[%zero, %zero] : tensor<64x32xi32>
  return
}
