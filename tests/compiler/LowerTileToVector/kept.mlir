// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=pairs" | FileCheck %s
//
// Values are interleaved once for all blocks of queries of a head that a thread computes: the first bytes of its
// workspace say whose it keeps. Those of another head are forgotten, the counts of their rows set to zero; a place whose
// count is below that of the rows is written, by two rows at a time.

// CHECK-LABEL: llvm.func @attention(
// CHECK: %[[KNOWN:.*]] = llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr -> i64
// CHECK: %[[OTHER:.*]] = arith.cmpi ne, %[[KNOWN]], %[[HEAD:.*]] : i64
// CHECK: scf.if %[[OTHER]] {
// CHECK:   llvm.store %[[HEAD]]
// CHECK:   scf.for
// CHECK:     llvm.store %c0_i64{{.*}} {alignment = 8 : i64}
// CHECK: %[[BEFORE:.*]] = arith.select {{.*}} : i64
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %[[BEFORE]], %[[ROWS:.*]] : i64
// CHECK: scf.if %[[MORE]] {
// CHECK:   llvm.shufflevector %{{.*}} [0, 32, 1, 33,
// CHECK:   llvm.store %[[ROWS]]
func.func @attention() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %head = tile.program_id y
  %length = tile.size key_length
  %no_output = arith.constant dense<0.0> : tensor<64x64xf32>
  %p = tile.load %tensor[%zero, %head, %zero] rows %length width 96 layout 0 : !tile.tensor<bf16> -> tensor<64x96xbf16>
  %v = tile.load %tensor[%zero, %head, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<96x64xbf16>
  %o = tile.dot %p, %v, %no_output : tensor<64x96xbf16>, tensor<96x64xbf16> -> tensor<64x64xf32>
  tile.store %o, %out[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<64x64xf32>, !tile.tensor<f32>
  return
}
