// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=pairs" | FileCheck %s
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=pairs" | FileCheck %s --check-prefix=SOFTMAX
//
// Values of few queries are read where they lie: two rows of bfloat16 are interleaved on their way to the product, and
// are not stored. Where four rows of the tile are all that exist, its columns are vectors of four.

// SOFTMAX: scf.if
// SOFTMAX: math.exp2 %{{.*}} : vector<4xf32>
// SOFTMAX: "llvm.x86.avx512bf16.cvtne2ps2bf16.128"
// SOFTMAX: } else {
// SOFTMAX: math.exp2 %{{.*}} : vector<16xf32>
// SOFTMAX: "llvm.x86.avx512bf16.cvtne2ps2bf16.512"

// CHECK-LABEL: llvm.func @few(
// CHECK: "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK: %[[FIRST:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<32xi16>
// CHECK-NEXT: %[[SECOND:.*]] = llvm.load %{{.*}} : !llvm.ptr -> vector<32xi16>
// CHECK-NOT: llvm.store
// CHECK: llvm.shufflevector %[[FIRST]], %[[SECOND]] [0, 32, 1, 33, 2, 34,
// CHECK: llvm.shufflevector %[[FIRST]], %[[SECOND]] [16, 48, 17, 49,
// CHECK-NOT: llvm.store
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.dpbf16ps.512"
func.func @few() attributes {tile.kernel, attention.few_queries} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %limit = tile.size query_length
  %none = arith.constant dense<0.0> : tensor<16x96xf32>
  %no_output = arith.constant dense<0.0> : tensor<16x64xf32>
  %q = tile.load %tensor[%zero, %zero, %zero] rows %limit width 64 layout 0 : !tile.tensor<bf16> -> tensor<16x64xbf16>
  %k = tile.load %tensor[%zero, %zero, %zero] rows %limit width 64 layout 0 : !tile.tensor<bf16> -> tensor<96x64xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<16x64xbf16>, tensor<96x64xbf16> -> tensor<16x96xf32>
  %p = math.exp2 %s : tensor<16x96xf32>
  %rounded = arith.truncf %p : tensor<16x96xf32> to tensor<16x96xbf16>
  %o = tile.dot %rounded, %k, %no_output : tensor<16x96xbf16>, tensor<96x64xbf16> -> tensor<16x64xf32>
  tile.store %o, %out[%zero, %zero, %zero] rows %limit width 64 layout 0 : tensor<16x64xf32>, !tile.tensor<f32>
  return
}
