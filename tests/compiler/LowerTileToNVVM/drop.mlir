// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Dropout decides on two probabilities of a word at once. One call of Philox for the eight keys of each of a lane's
// two rows; the four words of its numbers become masks by the top bits of their halves.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-40: arith.mului_extended
// CHECK-NOT: arith.mului_extended
// CHECK: call_intrinsic "llvm.nvvm.prmt"
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %seed = tile.seed
  %offset = tile.offset
  %row = tile.program_id x
  %zero = arith.constant 0 : i32
  %threshold = arith.constant 6554 : i32
  %shared = tile.shared_alloc : !tile.shared<16x32xf16>
  %p = tile.read %shared : !tile.shared<16x32xf16> -> tensor<16x32xf16>
  %kept = tile.drop %p below %threshold, %seed, %offset, %row[%row, %zero] : tensor<16x32xf16>
  tile.write %kept, %shared : tensor<16x32xf16> -> !tile.shared<16x32xf16>
  return
}
