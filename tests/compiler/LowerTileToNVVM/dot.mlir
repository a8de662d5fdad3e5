// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Q.KT on tensor cores: a tile of keys lies as the right operand's transpose, so that ldmatrix needs no
// transposition (row); a tile of values does (col). 64 x 16 x 16 on four warps: for each warp one load of four
// matrices and two products of 16 x 8 x 16.

// CHECK-LABEL: llvm.func @scores
// CHECK: %[[Q:.*]] = nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>, num = 4
// CHECK: %[[K:.*]] = nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<row>, num = 4
// CHECK-COUNT-2: nvvm.mma.sync
// CHECK-NOT: nvvm.mma.sync
func.func @scores() attributes {tile.kernel} {
  %queries = tile.shared_alloc : !tile.shared<64x16xf16>
  %keys = tile.shared_alloc : !tile.shared<16x16xf16>
  %zeros = arith.constant dense<0.0> : tensor<64x16xf32>
  %q = tile.read %queries : !tile.shared<64x16xf16> -> tensor<64x16xf16>
  %s = tile.dot %q, %keys transposed, %zeros : tensor<64x16xf16>, !tile.shared<16x16xf16> -> tensor<64x16xf32>
  return
}

// The scores, rounded two at a time, are the next product's left operand where they lie: nothing is moved.
// CHECK-LABEL: llvm.func @output
// CHECK-NOT: shfl
// CHECK-COUNT-4: call_intrinsic "llvm.nvvm.ff2f16x2.rn"
// CHECK: nvvm.ldmatrix {{.*}}layout = #nvvm.mma_layout<col>, num = 4
// CHECK-COUNT-2: nvvm.mma.sync
func.func @output() attributes {tile.kernel} {
  %values = tile.shared_alloc : !tile.shared<16x16xf16>
  %zeros = arith.constant dense<0.0> : tensor<64x16xf32>
  %rows = arith.constant 0 : i32
  %i = tile.index columns %rows : tensor<64x16xi32>
  %s = arith.sitofp %i : tensor<64x16xi32> to tensor<64x16xf32>
  %p = arith.truncf %s : tensor<64x16xf32> to tensor<64x16xf16>
  %o = tile.dot %p, %values, %zeros : tensor<64x16xf16>, !tile.shared<16x16xf16> -> tensor<64x16xf32>
  return
}
