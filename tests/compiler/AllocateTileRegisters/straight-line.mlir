// REQUIRES: host
// RUN: tenon-opt %s --allocate-tile-registers | FileCheck %s
//
// A product lies in the register of its accumulator. Of registers that are free the one comes next that has been so for
// longest, the lowest number first: the load behind a product does not wait for it.

// CHECK-LABEL: func.func @products(
func.func @products(%p: !llvm.ptr, %n: i64) {
  // CHECK: tile_unit.zero : <f32 in 0>
  // CHECK: tile_unit.load %{{.*}} : <bf16 in 1>
  // CHECK: tile_unit.load %{{.*}} : <bf16 in 2>
  // CHECK: tile_unit.multiply %{{.*}} : <f32 in 0>, <bf16 in 1>, <bf16 in 2>
  %zero = tile_unit.zero : <f32>
  %a = tile_unit.load %p, %n : <bf16>
  %b = tile_unit.load %p, %n : <bf16>
  %first = tile_unit.multiply %zero, %a, %b : <f32>, <bf16>, <bf16>

  // CHECK: tile_unit.load %{{.*}} : <bf16 in 3>
  // CHECK: tile_unit.multiply %{{.*}} : <f32 in 0>, <bf16 in 3>, <bf16 in 2>
  %c = tile_unit.load %p, %n : <bf16>
  %second = tile_unit.multiply %first, %c, %b : <f32>, <bf16>, <bf16>

  // CHECK: tile_unit.store %{{.*}} : <f32 in 0>
  tile_unit.store %second, %p, %n : <f32>
  return
}

// Eight may be alive at once. The ninth takes the register of the first of those that are not any more.
// CHECK-LABEL: func.func @eight(
// CHECK: tile_unit.load %{{.*}} : <bf16 in 0>
// CHECK: tile_unit.load %{{.*}} : <bf16 in 7>
// CHECK: tile_unit.store %{{.*}} : <bf16 in 3>
// CHECK-NEXT: tile_unit.zero : <f32 in 3>
func.func @eight(%p: !llvm.ptr, %n: i64) {
  %0 = tile_unit.load %p, %n : <bf16>
  %1 = tile_unit.load %p, %n : <bf16>
  %2 = tile_unit.load %p, %n : <bf16>
  %3 = tile_unit.load %p, %n : <bf16>
  %4 = tile_unit.load %p, %n : <bf16>
  %5 = tile_unit.load %p, %n : <bf16>
  %6 = tile_unit.load %p, %n : <bf16>
  %7 = tile_unit.load %p, %n : <bf16>
  tile_unit.store %3, %p, %n : <bf16>
  %8 = tile_unit.zero : <f32>
  tile_unit.store %0, %p, %n : <bf16>
  tile_unit.store %1, %p, %n : <bf16>
  tile_unit.store %2, %p, %n : <bf16>
  tile_unit.store %4, %p, %n : <bf16>
  tile_unit.store %5, %p, %n : <bf16>
  tile_unit.store %6, %p, %n : <bf16>
  tile_unit.store %7, %p, %n : <bf16>
  tile_unit.store %8, %p, %n : <f32>
  return
}
