// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Products of float32 on tensor cores: mma.m16n8k8, operands rounded to TF32 first, to nearest with ties away from zero.
// A word of ldmatrix is one float32, so that four matrices of 8 x 8 halves are a fragment of 16 x 8, or two of 8 x 8.
// 64 x 16 x 16 on four warps: for each eight of the inner dimension one load of Q, one of K, and two products.

// CHECK-LABEL: llvm.func @scores
// CHECK-COUNT-2: nvvm.ldmatrix {{.*}}num = 4
// CHECK: nvvm.convert.float.to.tf32 {{.*}}rna
// CHECK-COUNT-2: nvvm.mma.sync {{.*}}m = 16, n = 8, k = 8
// CHECK-COUNT-2: nvvm.ldmatrix {{.*}}num = 4
// CHECK-COUNT-2: nvvm.mma.sync {{.*}}m = 16, n = 8, k = 8
// CHECK-NOT: nvvm.mma.sync
func.func @scores() attributes {tile.kernel} {
  %queries = tile.shared_alloc : !tile.shared<64x16xf32>
  %keys = tile.shared_alloc : !tile.shared<16x16xf32>
  %zeros = arith.constant dense<0.0> : tensor<64x16xf32>
  %s = tile.dot %queries, %keys transposed, %zeros tf32 : !tile.shared<64x16xf32>, !tile.shared<16x16xf32> -> tensor<64x16xf32>
  return
}

// Without it each lane forms its own sums.
// CHECK-LABEL: llvm.func @exact
// CHECK-NOT: nvvm.mma.sync
// CHECK: llvm.intr.fma
func.func @exact() attributes {tile.kernel} {
  %queries = tile.shared_alloc : !tile.shared<64x16xf32>
  %keys = tile.shared_alloc : !tile.shared<16x16xf32>
  %zeros = arith.constant dense<0.0> : tensor<64x16xf32>
  %s = tile.dot %queries, %keys transposed, %zeros : !tile.shared<64x16xf32>, !tile.shared<16x16xf32> -> tensor<64x16xf32>
  return
}
