// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=pairs" | FileCheck %s
//
// Dropout of rounded probabilities: the numbers are drawn for a block, and what is dropped is 0 before two columns
// are rounded to one of words.

// CHECK-LABEL: llvm.func @dropped(
// CHECK: arith.mului_extended
// CHECK: scf.for
// CHECK: math.exp2
// CHECK: arith.cmpi sge
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xf32>
// CHECK: "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK: "llvm.x86.avx512bf16.dpbf16ps.512"
func.func @dropped() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %threshold = arith.constant 6554 : i32
  %seed = tile.seed
  %length = tile.size key_length
  %no_output = arith.constant dense<0.0> : tensor<16x32xf32>
  %x = tile.load %out[%zero, %zero, %zero] rows %length width 32 layout 0 : !tile.tensor<f32> -> tensor<16x32xf32>
  %v = tile.load %tensor[%zero, %zero, %zero] rows %length width 32 layout 0 : !tile.tensor<bf16> -> tensor<32x32xbf16>
  %p = math.exp2 %x : tensor<16x32xf32>
  %rounded = arith.truncf %p : tensor<16x32xf32> to tensor<16x32xbf16>
  %kept = tile.drop %rounded below %threshold, %seed, %zero, %zero [%zero, %zero] : tensor<16x32xbf16>
  %o = tile.dot %kept, %v, %no_output : tensor<16x32xbf16>, tensor<32x32xbf16> -> tensor<16x32xf32>
  tile.store %o, %out[%zero, %zero, %zero] rows %length width 32 layout 0 : tensor<16x32xf32>, !tile.tensor<f32>
  return
}
