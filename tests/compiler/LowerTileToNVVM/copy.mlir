// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// Rows that are aligned to 16 bytes come by cp.async, four chunks a thread for 64 rows of 64 half-words on 128
// threads. Beyond the limit no byte is read, and zeros are written: a value that is not a number would
// survive a product with 0.

// CHECK-LABEL: llvm.func @aligned
// CHECK: %[[INSIDE:.*]] = arith.cmpi slt
// CHECK: %[[BYTES:.*]] = arith.select %[[INSIDE]], %c16
// CHECK: nvvm.cp.async.shared.global {{.*}}, 16, cache = cg, %[[BYTES]]
// CHECK-COUNT-3: nvvm.cp.async.shared.global
// CHECK-NOT: nvvm.cp.async.shared.global
func.func @aligned() attributes {tile.kernel, tile.warps = 4 : i32} {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %length = tile.size key_length
  %zero = arith.constant 0 : i32
  %k = tile.shared_alloc : !tile.shared<64x64xf16>
  tile.copy_async %keys[%zero, %zero, %zero] rows %length width 64 layout 0, %k : !tile.tensor<f16> -> !tile.shared<64x64xf16>
  return
}

// Others come element by element, and are stored 16 bytes at once.
// CHECK-LABEL: llvm.func @unaligned
// CHECK-NOT: nvvm.cp.async
// CHECK: %[[ROW:.*]]:8 = scf.if
// CHECK-COUNT-8: llvm.load {{.*}} -> f16
// CHECK: llvm.store {{.*}} {alignment = 16 : i64} : vector<8xf16>
func.func @unaligned() attributes {tile.kernel, tile.warps = 4 : i32} {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %length = tile.size key_length
  %zero = arith.constant 0 : i32
  %k = tile.shared_alloc : !tile.shared<64x64xf16>
  tile.copy_async %keys[%zero, %zero, %zero] rows %length width 64 layout 1, %k : !tile.tensor<f16> -> !tile.shared<64x64xf16>
  return
}
