// REQUIRES: host
// RUN: tenon-opt %s --allocate-tile-registers | FileCheck %s
//
// What a loop carries stays in one register: the value it begins with, the loop's own, what a turn hands to the next,
// and what comes out.

// CHECK-LABEL: func.func @carried(
// CHECK: %[[ZERO:.*]] = tile_unit.zero : <f32 in 0>
// CHECK: %[[SUM:.*]] = scf.for {{.*}} iter_args(%[[C:.*]] = %[[ZERO]]) -> (!tile_unit.tile<f32 in 0>)
// CHECK: %[[NEXT:.*]] = tile_unit.multiply %[[C]], %{{.*}}, %{{.*}} : <f32 in 0>, <bf16 in 1>, <bf16 in 2>
// CHECK: scf.yield %[[NEXT]] : !tile_unit.tile<f32 in 0>
// CHECK: tile_unit.store %[[SUM]], %{{.*}} : <f32 in 0>
func.func @carried(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  %zero = tile_unit.zero : <f32>
  %sum = scf.for %i = %from to %to step %step iter_args(%c = %zero) -> (!tile_unit.tile<f32>) {
    %a = tile_unit.load %p, %n : <bf16>
    %b = tile_unit.load %p, %n : <bf16>
    %next = tile_unit.multiply %c, %a, %b : <f32>, <bf16>, <bf16>
    scf.yield %next : !tile_unit.tile<f32>
  }
  tile_unit.store %sum, %p, %n : <f32>
  return
}

// What a loop around carries goes through the one within. `held` is read in every turn of both, so that no register in
// them is its own, though the text ends before it is read again.
// CHECK-LABEL: func.func @nested(
// CHECK: %[[HELD:.*]] = tile_unit.load %{{.*}} : <bf16 in 0>
// CHECK: scf.for {{.*}} -> (!tile_unit.tile<f32 in 1>)
// CHECK: scf.for {{.*}} -> (!tile_unit.tile<f32 in 1>)
// CHECK: tile_unit.load %{{.*}} : <bf16 in 2>
// CHECK: tile_unit.multiply %{{.*}}, %[[HELD]], %{{.*}} : <f32 in 1>, <bf16 in 0>, <bf16 in 2>
// CHECK: tile_unit.zero : <f32 in 3>
func.func @nested(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  %held = tile_unit.load %p, %n : <bf16>
  %zero = tile_unit.zero : <f32>
  %sum = scf.for %i = %from to %to step %step iter_args(%outer = %zero) -> (!tile_unit.tile<f32>) {
    %inner = scf.for %j = %from to %to step %step iter_args(%c = %outer) -> (!tile_unit.tile<f32>) {
      %b = tile_unit.load %p, %n : <bf16>
      %next = tile_unit.multiply %c, %held, %b : <f32>, <bf16>, <bf16>
      scf.yield %next : !tile_unit.tile<f32>
    }
    %other = tile_unit.zero : <f32>
    tile_unit.store %other, %p, %n : <f32>
    scf.yield %inner : !tile_unit.tile<f32>
  }
  tile_unit.store %sum, %p, %n : <f32>
  return
}
