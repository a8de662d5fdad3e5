// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Sums of 16-bit rows are products with ones, one for each block of 16 rows and 16 columns. Whether a row is above a
// limit is asked of the whole warp, by one vote.

// CHECK-LABEL: llvm.func @kernel
// CHECK-COUNT-2: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
// CHECK-COUNT-4: arith.cmpf ugt
// CHECK: nvvm.vote.sync any
// CHECK-NOT: nvvm.vote.sync
// CHECK: scf.if
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %shared = tile.shared_alloc : !tile.shared<32x16xf16>
  %p = tile.read %shared : !tile.shared<32x16xf16> -> tensor<32x16xf16>
  %sum = tile.reduce sum %p : tensor<32x16xf16> -> tensor<32xf32>
  %limit = arith.constant dense<4096.0> : tensor<32xf32>
  %above = arith.cmpf ugt, %sum, %limit : tensor<32xf32>
  %any = tile.any %above : tensor<32xi1>
  scf.if %any {
    tile.barrier warp
  }
  return
}
