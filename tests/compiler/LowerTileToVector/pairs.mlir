// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=pairs" | FileCheck %s
// RUN: not tenon-opt %s --tenon-lower-tile-to-vector 2>&1 | FileCheck %s --check-prefix=REFUSED
//
// Products of bfloat16, two terms at once. Keys: a word of two neighbours lies so in memory, and is broadcast.
// Probabilities: two columns become one of words, by fixed point and a table, and are summed as a product with ones.
// Values: two rows are interleaved, in panels of eight columns.

// REFUSED: multiplies tiles of float32 on this host

// CHECK-LABEL: llvm.func @attention(
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK-NOT: math.exp2
// CHECK: "llvm.x86.avx512.pternlog.d.512"
// CHECK: "llvm.x86.avx512.vpermi2var.hi.512"
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
// CHECK: llvm.shufflevector %[[FIRST:.*]], %[[SECOND:.*]] [0, 32, 1, 33, 2, 34,
// CHECK-COUNT-2: llvm.store %{{.*}} : vector<8xi32>, !llvm.ptr
// CHECK: llvm.shufflevector %[[FIRST]], %[[SECOND]] [16, 48, 17, 49,
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
func.func @attention() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x96xf32>
  %no_output = arith.constant dense<0.0> : tensor<64x64xf32>
  %q = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<64x64xbf16>
  %k = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<96x64xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xbf16>, tensor<96x64xbf16> -> tensor<64x96xf32>
  %p = math.exp2 %s : tensor<64x96xf32>
  %rounded = arith.truncf %p : tensor<64x96xf32> to tensor<64x96xbf16>
  %sum = tile.reduce sum %rounded : tensor<64x96xbf16> -> tensor<64xf32>
  %o = tile.dot %rounded, %k, %no_output : tensor<64x96xbf16>, tensor<96x64xbf16> -> tensor<64x64xf32>
  tile.store %o, %out[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<64x64xf32>, !tile.tensor<f32>
  tile.store %sum, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<64xf32>, !tile.tensor<f32>
  return
}
