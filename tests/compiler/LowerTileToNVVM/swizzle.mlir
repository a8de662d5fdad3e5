// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Swizzled rows lose no byte: 16 keys of width 64 take 16 * 128. Chunk c of row r lies at chunk c xor r mod 8. A lane
// computes where its row begins once; each 16 of the width are two chunks further, which toggle two bits of that. Rows
// of width 96 toggle by r/2 mod 4: the third step goes on by 64 bytes.

// CHECK-LABEL: llvm.func @scores
// CHECK-SAME: tile.shared_bytes = 4096 : i32
// CHECK: %[[PLACE:.*]] = arith.xori
// CHECK: %[[LANE:.*]] = arith.addi %{{.*}}, %[[PLACE]]
// CHECK: nvvm.ldmatrix
// CHECK: %c32{{.*}} = arith.constant 32
// CHECK: arith.xori %[[LANE]], %c32
// CHECK: nvvm.ldmatrix
// CHECK: arith.xori %[[LANE]], %c64
// CHECK: nvvm.ldmatrix
// CHECK: arith.xori %[[LANE]], %c96
// CHECK: nvvm.ldmatrix
func.func @scores() attributes {tile.kernel, tile.warps = 1 : i32} {
  %queries = tile.shared_alloc : !tile.shared<16x64xf16, swizzled>
  %keys = tile.shared_alloc : !tile.shared<16x64xf16, swizzled>
  %zeros = arith.constant dense<0.0> : tensor<16x16xf32>
  %s = tile.dot %queries, %keys transposed, %zeros : !tile.shared<16x64xf16, swizzled>, !tile.shared<16x64xf16, swizzled> -> tensor<16x16xf32>
  return
}
