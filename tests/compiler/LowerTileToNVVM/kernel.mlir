// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// A kernel takes the argument block by value and says what a launch needs: threads, and bytes of dynamic
// shared memory (rows are padded by 16 bytes: 64 (2 * 64 + 16)).

// CHECK: llvm.mlir.global external @tenon_shared() {addr_space = 3 : i32, alignment = 128 : i64}
// CHECK: llvm.func @kernel(%[[ARGUMENTS:.*]]: !llvm.ptr {llvm.align = 64 : i64, llvm.byval = !llvm.array<1600 x i8>, llvm.readonly, nvvm.grid_constant})
// CHECK-SAME: nvvm.kernel
// CHECK-SAME: nvvm.reqntid = array<i32: 128>
// CHECK-SAME: tile.shared_bytes = 9216 : i32
// CHECK-SAME: tile.threads = 128 : i32
func.func @kernel() attributes {tile.kernel, tile.warps = 4 : i32} {
  %k = tile.shared_alloc : !tile.shared<64x64xf16>
  // CHECK: llvm.getelementptr %[[ARGUMENTS]][16]
  // CHECK-NEXT: llvm.load {{.*}} invariant {{.*}} -> i32
  %length = tile.size key_length
  return
}
