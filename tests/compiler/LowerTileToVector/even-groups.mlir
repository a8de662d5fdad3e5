// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=8 registers=16" | FileCheck %s --check-prefix=AVX2
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=16 registers=32 bfloat16=tiles" | FileCheck %s --check-prefix=TILES
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=16 registers=32" | FileCheck %s --check-prefix=ONE
//
// With 16 registers, and beside tile units, the columns of a whole product are in register tiles of two sizes, as large as
// fit, so that none lacks any: 64 are 9 of 6 columns and 2 of 5. Elsewhere those of 4 are as good, and there is one size.

// AVX2-LABEL: llvm.func @two_vectors(
// AVX2: %[[FIRST:.*]]:2 = scf.for %{{.*}} to %c54_i64{{.*}} step %c6_i64
// AVX2-NOT: arith.minsi
// AVX2-COUNT-12: math.fma
// AVX2-NOT: math.fma
// AVX2: scf.for %{{.*}} = %c54_i64{{.*}} to %c64_i64{{.*}} step %c5_i64{{.*}} iter_args(%{{.*}} = %[[FIRST]]#0, %{{.*}} = %[[FIRST]]#1)
// AVX2-COUNT-10: math.fma
// AVX2-NOT: math.fma
// AVX2-LABEL: llvm.func @four_vectors(
func.func @two_vectors() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<f32>
  %key = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<16x64xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 {tile.whole} : !tile.tensor<f32> -> tensor<64x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<16x64xf32>, tensor<64x64xf32> -> tensor<16x64xf32>
  %maximum = tile.reduce maximum %s : tensor<16x64xf32> -> tensor<16xf32>
  %reference = tile.expand %maximum : tensor<16xf32> -> tensor<16x64xf32>
  %difference = arith.subf %s, %reference : tensor<16x64xf32>
  tile.store %difference, %query[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<16x64xf32>, !tile.tensor<f32>
  return
}

// TILES-LABEL: llvm.func @four_vectors(
// TILES: %[[FIRST:.*]]:4 = scf.for %{{.*}} to %c54_i64{{.*}} step %c6_i64
// TILES-COUNT-24: math.fma
// TILES-NOT: math.fma
// TILES: scf.for %{{.*}} = %c54_i64{{.*}} to %c64_i64{{.*}} step %c5_i64{{.*}} iter_args(%{{.*}} = %[[FIRST]]#0
// TILES-COUNT-20: math.fma
// TILES-NOT: math.fma
// TILES: llvm.return

// ONE-LABEL: llvm.func @four_vectors(
// ONE: scf.for {{.*}} to %c64_i64{{.*}} step %c4_i64
// ONE-COUNT-16: math.fma
// ONE-NOT: math.fma
// ONE: llvm.return
func.func @four_vectors() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<f32>
  %key = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 {tile.whole} : !tile.tensor<f32> -> tensor<64x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %maximum = tile.reduce maximum %s : tensor<64x64xf32> -> tensor<64xf32>
  %reference = tile.expand %maximum : tensor<64xf32> -> tensor<64x64xf32>
  %difference = arith.subf %s, %reference : tensor<64x64xf32>
  tile.store %difference, %query[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<64x64xf32>, !tile.tensor<f32>
  return
}

// Columns of values too, which add to what there is; 96 are of one size.

// TILES-LABEL: llvm.func @values(
// TILES: scf.for %{{.*}} to %c54_i64{{.*}} step %c6_i64
// TILES-COUNT-24: math.fma
// TILES-NOT: arith.select
// TILES: scf.for %{{.*}} = %c54_i64{{.*}} to %c64_i64{{.*}} step %c5_i64
// TILES-COUNT-20: math.fma
// TILES-NOT: arith.select
// TILES: scf.for %{{.*}} to %c96_i64{{.*}} step %c6_i64
// TILES-COUNT-24: math.fma
// TILES-NOT: math.fma
// TILES: llvm.return
func.func @values() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x64xf32>
  %nothing = arith.constant dense<0.0> : tensor<64x96xf32>
  %p = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %v = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 {tile.whole} : !tile.tensor<f32> -> tensor<64x64xf32>
  %w = tile.load %tensor[%zero, %zero, %zero] rows %length width 96 layout 0 {tile.whole} : !tile.tensor<f32> -> tensor<64x96xf32>
  %o = tile.dot %p, %v, %none : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %o2 = tile.dot %p, %v, %o : tensor<64x64xf32>, tensor<64x64xf32> -> tensor<64x64xf32>
  %u = tile.dot %p, %w, %nothing : tensor<64x64xf32>, tensor<64x96xf32> -> tensor<64x96xf32>
  tile.store %o2, %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<64x64xf32>, !tile.tensor<f32>
  tile.store %u, %tensor[%zero, %zero, %zero] rows %length width 96 layout 0 : tensor<64x96xf32>, !tile.tensor<f32>
  return
}
