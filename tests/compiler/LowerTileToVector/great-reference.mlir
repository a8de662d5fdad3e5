// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s
//
// To a reference that may be so great that the sum has coarser units the constant of fixed point is added apart.

// CHECK-LABEL: llvm.func @greater(
// CHECK-NOT: math.fma
// CHECK: %[[APART:.*]] = arith.subf %{{.*}}, %{{.*}} fastmath<contract> : vector<16xf32>
// CHECK: %[[CONSTANT:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: arith.addf %[[APART]], %[[CONSTANT]]
// CHECK-NOT: math.fma
// CHECK: llvm.return
func.func @greater() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<bf16>
  %key = tile.tensor 1 : !tile.tensor<bf16>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x256xf32>
  %factor = tile.scalar 0 : f32
  %reference = tile.load %out[%zero, %zero, %zero] rows %length width 1 layout 1 : !tile.tensor<f32> -> tensor<32xf32>
  %limit = arith.constant dense<16257.0> : tensor<32xf32>
  %nan = arith.constant dense<0x7FC00000> : tensor<32xf32>
  %magnitude = math.absf %reference : tensor<32xf32>
  %is_small = arith.cmpf olt, %magnitude, %limit : tensor<32xf32>
  %small = arith.select %is_small, %reference, %nan : tensor<32xi1>, tensor<32xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 128 layout 0 : !tile.tensor<bf16> -> tensor<32x128xbf16>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 128 layout 0 {tile.whole}
      : !tile.tensor<bf16> -> tensor<256x128xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x128xbf16>, tensor<256x128xbf16> -> tensor<32x256xf32>
  %f = tile.splat %factor : f32 -> tensor<32x256xf32>
  %scaled = arith.mulf %s, %f fastmath<contract> : tensor<32x256xf32>
  %m = tile.expand %small : tensor<32xf32> -> tensor<32x256xf32>
  %x = arith.subf %scaled, %m fastmath<contract> : tensor<32x256xf32>
  %e = math.exp2 %x : tensor<32x256xf32>
  %p = arith.truncf %e : tensor<32x256xf32> to tensor<32x256xbf16>
  %sum = tile.reduce sum %p : tensor<32x256xbf16> -> tensor<32xf32>
  tile.store %sum, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<32xf32>, !tile.tensor<f32>
  return
}
