// REQUIRES: host
// RUN: tenon-opt %s --allocate-tile-registers | FileCheck %s
//
// A finished sum is handed to the next turn together with its place, and stored right before the next sum begins, in the
// same register. The first turn stores any contents: of one `undefined` each use has a register of its own, and none
// is alive before.

// CHECK-LABEL: func.func @late(
// CHECK: %[[FIRST:.*]] = tile_unit.undefined : <f32 in 0>
// CHECK-NEXT: %[[SECOND:.*]] = tile_unit.undefined : <f32 in 1>
// CHECK-NEXT: %[[LAST:.*]]:3 = scf.for {{.*}} iter_args(%[[PLACE:.*]] = %{{.*}}, %[[C:.*]] = %[[FIRST]], %[[D:.*]] = %[[SECOND]])
// CHECK: %[[A:.*]] = tile_unit.load {{.*}} : <bf16 in 2>
// CHECK: %[[B:.*]] = tile_unit.load {{.*}} : <bf16 in 3>
// CHECK: tile_unit.store %[[C]], %[[PLACE]], %{{.*}} : <f32 in 0>
// CHECK-NEXT: %[[ZERO:.*]] = tile_unit.zero : <f32 in 0>
// CHECK-NEXT: tile_unit.multiply %[[ZERO]], %[[A]], %[[B]]
// CHECK-NEXT: tile_unit.store %[[D]], %[[PLACE]], %{{.*}} : <f32 in 1>
// CHECK-NEXT: %[[OTHER:.*]] = tile_unit.zero : <f32 in 1>
// CHECK-NEXT: tile_unit.multiply %[[OTHER]], %[[B]], %[[A]]
// CHECK: tile_unit.store %[[LAST]]#1, %[[LAST]]#0, %{{.*}} : <f32 in 0>
func.func @late(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  %any = tile_unit.undefined : <f32>
  %last:3 = scf.for %i = %from to %to step %step iter_args(%place = %p, %c = %any, %d = %any)
      -> (!llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>) {
    %a = tile_unit.load %p, %n : <bf16>
    %b = tile_unit.load %p, %n : <bf16>
    tile_unit.store %c, %place, %n : <f32>
    %zero = tile_unit.zero : <f32>
    %e = tile_unit.multiply %zero, %a, %b : <f32>, <bf16>, <bf16>
    tile_unit.store %d, %place, %n : <f32>
    %other = tile_unit.zero : <f32>
    %f = tile_unit.multiply %other, %b, %a : <f32>, <bf16>, <bf16>
    %next = llvm.getelementptr %place[1024] : (!llvm.ptr) -> !llvm.ptr, i8
    scf.yield %next, %e, %f : !llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>
  }
  tile_unit.store %last#1, %last#0, %n : <f32>
  tile_unit.store %last#2, %last#0, %n : <f32>
  return
}
