// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=16 registers=32" | FileCheck %s
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="lanes=8 registers=16" | FileCheck %s --check-prefix=AVX2
//
// A product is a loop over register tiles: with 32 registers 6 columns of the result in 4 vectors, with 16
// registers 6 in 2. Keys are read where they lie, one element broadcast at a time; a column beyond the last key
// repeats it.

// CHECK-LABEL: llvm.func @product(
// CHECK: %[[COUNT:.*]] = arith.minsi %{{.*}}, %c96_i64{{.*}} : i64
// CHECK: scf.for %[[COLUMN:.*]] = %{{.*}} to %[[COUNT]] step %c6_i64
// CHECK: %[[LAST:.*]] = arith.subi %[[COUNT]], %{{.*}} : i64
// CHECK: arith.minsi %[[COLUMN]], %[[LAST]] : i64
// CHECK: scf.for
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK: vector.broadcast %{{.*}} : f32 to vector<16xf32>
// CHECK-COUNT-4: math.fma
// CHECK: vector.broadcast
// CHECK-COUNT-20: math.fma
// CHECK-NOT: math.fma

// AVX2-LABEL: llvm.func @product(
// AVX2-COUNT-12: math.fma {{.*}} : vector<8xf32>
// AVX2-NOT: math.fma
func.func @product() attributes {tile.kernel, tile.without = ["existing-rows"]} {
  %query = tile.tensor 0 : !tile.tensor<f32>
  %key = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x96xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<96x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xf32>, tensor<96x64xf32> -> tensor<64x96xf32>
  tile.store %s, %query[%zero, %zero, %zero] rows %length width 96 layout 0 : tensor<64x96xf32>, !tile.tensor<f32>
  return
}

// Rows that do not exist, half of a block of 64 that has 32, are no part of it: with 32 registers in tiles of 2 vectors.

// CHECK-LABEL: llvm.func @existing_rows(
// AVX2-LABEL: llvm.func @existing_rows(
// AVX2: %[[ROWS:.*]] = arith.minsi %{{.*}}, %c64_i64
// AVX2: %[[END:.*]] = arith.muli %[[ROWS]], %c4_i64
// AVX2: scf.for %{{.*}} to %[[END]] step %c64_i64
// AVX2-COUNT-12: math.fma
// CHECK: %[[ROWS:.*]] = arith.minsi %{{.*}}, %c64_i64
// CHECK: %[[COUNT:.*]] = arith.minsi %{{.*}}, %c96_i64
// CHECK: %[[END:.*]] = arith.muli %[[ROWS]], %c4_i64
// CHECK: scf.for %{{.*}} to %[[END]] step %c128_i64
// CHECK: scf.for %{{.*}} to %[[COUNT]] step %c12_i64
// CHECK-COUNT-24: math.fma
// CHECK-NOT: math.fma
// CHECK: llvm.return
func.func @existing_rows() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<f32>
  %key = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x96xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<96x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xf32>, tensor<96x64xf32> -> tensor<64x96xf32>
  tile.store %s, %query[%zero, %zero, %zero] rows %length width 96 layout 0 : tensor<64x96xf32>, !tile.tensor<f32>
  return
}
