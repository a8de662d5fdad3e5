// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=16 registers=32 bfloat16=pairs" | FileCheck %s
//
// Rows that do not exist are no part of products in pairs of bfloat16 either, nor of those with the values, whose terms end
// at the last key: the rows of probabilities are those of the queries.

// CHECK-LABEL: llvm.func @existing_rows_in_pairs(
// CHECK: %[[ROWS:.*]] = arith.minsi %{{.*}}, %c64_i64
// CHECK: %[[END:.*]] = arith.muli %[[ROWS]], %c4_i64
// CHECK: scf.for %{{.*}} to %[[END]] step %c128_i64
// CHECK-COUNT-24: avx512bf16.dpbf16ps.512
// CHECK: %[[END2:.*]] = arith.muli %[[ROWS]], %c4_i64
// CHECK: scf.for %{{.*}} to %[[END2]] step %c128_i64
// CHECK: scf.for %{{.*}} to %c64_i64
// CHECK-COUNT-16: avx512bf16.dpbf16ps.512
func.func @existing_rows_in_pairs() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<bf16>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x96xf32>
  %nothing = arith.constant dense<0.0> : tensor<64x64xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<64x64xbf16>
  %k = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<96x64xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xbf16>, tensor<96x64xbf16> -> tensor<64x96xf32>
  %p = arith.truncf %s : tensor<64x96xf32> to tensor<64x96xbf16>
  %v = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<96x64xbf16>
  %o = tile.dot %p, %v, %nothing : tensor<64x96xbf16>, tensor<96x64xbf16> -> tensor<64x64xf32>
  tile.store %o, %query[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<64x64xf32>, !tile.tensor<bf16>
  return
}
