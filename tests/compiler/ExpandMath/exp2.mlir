// REQUIRES: host
// RUN: tenon-opt %s --tenon-expand-math="avx512=true" | FileCheck %s
// RUN: tenon-opt %s --tenon-expand-math | FileCheck %s --check-prefix=AVX2
//
// 2^x = 2^floor(x) p(x - floor(x)). AVX-512 has an instruction for the fraction and one for the power of two,
// which know infinities; elsewhere x is clamped, and the power is made of its exponent bits: 0 below 2^-126.

// CHECK-LABEL: func.func @power(
// CHECK: %[[FRACTION:.*]] = llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.512"(%[[X:arg[0-9]+]],
// CHECK-COUNT-5: math.fma
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"(%{{.*}}, %[[X]],

// AVX2-LABEL: func.func @power(
// AVX2: arith.constant dense<-1.270000e+02>
// AVX2: math.floor
// AVX2-COUNT-5: math.fma
// AVX2: arith.shli
// AVX2: arith.bitcast
// AVX2: arith.mulf
func.func @power(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp2 %x : vector<16xf32>
  return %y : vector<16xf32>
}

// Four lanes have the same instructions, and so the same bits.
// CHECK-LABEL: func.func @of_four_lanes(
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.reduce.ps.128"(%[[X:arg[0-9]+]],
// CHECK-COUNT-5: math.fma
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.128"(%{{.*}}, %[[X]],
func.func @of_four_lanes(%x: vector<4xf32>) -> vector<4xf32> {
  %y = math.exp2 %x : vector<4xf32>
  return %y : vector<4xf32>
}

// What is rounded to bfloat16 next needs less.
// CHECK-LABEL: func.func @rounded(
// CHECK-COUNT-4: math.fma
// CHECK-NOT: math.fma
func.func @rounded(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp2 %x fastmath<afn> : vector<16xf32>
  return %y : vector<16xf32>
}

// And what is used in no other way still less.
// CHECK-LABEL: func.func @rounded_alone(
// CHECK-COUNT-3: math.fma
// CHECK-NOT: math.fma
func.func @rounded_alone(%x: vector<16xf32>) -> vector<16xf32> {
  %y = math.exp2 %x fastmath<afn> {tile.is_rounded} : vector<16xf32>
  return %y : vector<16xf32>
}
