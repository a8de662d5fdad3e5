// REQUIRES: host
// RUN: tenon-opt %s --allocate-tile-registers | FileCheck %s
//
// What the branches yield and what comes out of them is one register. A tile that only one branch reads is alive in that
// one alone: in the other its register is free.

// CHECK-LABEL: func.func @branch(
// CHECK: %[[A:.*]] = tile_unit.load {{.*}} : <bf16 in 0>
// CHECK: %[[C:.*]] = tile_unit.load {{.*}} : <f32 in 1>
// CHECK: %[[SUM:.*]] = scf.if %{{.*}} -> (!tile_unit.tile<f32 in 1>) {
// CHECK: %[[B:.*]] = tile_unit.load {{.*}} : <bf16 in 2>
// CHECK: %[[MORE:.*]] = tile_unit.multiply %[[C]], %[[A]], %[[B]] : <f32 in 1>
// CHECK: scf.yield %[[MORE]]
// CHECK: } else {
// CHECK: scf.yield %[[C]] : !tile_unit.tile<f32 in 1>
// CHECK: tile_unit.store %[[SUM]], {{.*}} : <f32 in 1>
func.func @branch(%p: !llvm.ptr, %n: i64, %condition: i1) {
  %a = tile_unit.load %p, %n : <bf16>
  %c = tile_unit.load %p, %n : <f32>
  %sum = scf.if %condition -> (!tile_unit.tile<f32>) {
    %b = tile_unit.load %p, %n : <bf16>
    %more = tile_unit.multiply %c, %a, %b : <f32>, <bf16>, <bf16>
    scf.yield %more : !tile_unit.tile<f32>
  } else {
    scf.yield %c : !tile_unit.tile<f32>
  }
  tile_unit.store %sum, %p, %n : <f32>
  return
}

// Eight tiles before it, of which the first branch reads four and the second the others: each has room for four more.
// CHECK-LABEL: func.func @one_branch_each(
// CHECK: scf.if
// CHECK-COUNT-4: tile_unit.zero : <f32 in {{[4-7]}}>
// CHECK: } else {
// CHECK-COUNT-4: tile_unit.zero : <f32 in {{[0-3]}}>
func.func @one_branch_each(%p: !llvm.ptr, %n: i64, %condition: i1) {
  %0 = tile_unit.load %p, %n : <f32>
  %1 = tile_unit.load %p, %n : <f32>
  %2 = tile_unit.load %p, %n : <f32>
  %3 = tile_unit.load %p, %n : <f32>
  %4 = tile_unit.load %p, %n : <f32>
  %5 = tile_unit.load %p, %n : <f32>
  %6 = tile_unit.load %p, %n : <f32>
  %7 = tile_unit.load %p, %n : <f32>
  scf.if %condition {
    %8 = tile_unit.zero : <f32>
    %9 = tile_unit.zero : <f32>
    %10 = tile_unit.zero : <f32>
    %11 = tile_unit.zero : <f32>
    tile_unit.store %8, %p, %n : <f32>
    tile_unit.store %9, %p, %n : <f32>
    tile_unit.store %10, %p, %n : <f32>
    tile_unit.store %11, %p, %n : <f32>
    tile_unit.store %0, %p, %n : <f32>
    tile_unit.store %1, %p, %n : <f32>
    tile_unit.store %2, %p, %n : <f32>
    tile_unit.store %3, %p, %n : <f32>
  } else {
    %8 = tile_unit.zero : <f32>
    %9 = tile_unit.zero : <f32>
    %10 = tile_unit.zero : <f32>
    %11 = tile_unit.zero : <f32>
    tile_unit.store %8, %p, %n : <f32>
    tile_unit.store %9, %p, %n : <f32>
    tile_unit.store %10, %p, %n : <f32>
    tile_unit.store %11, %p, %n : <f32>
    tile_unit.store %4, %p, %n : <f32>
    tile_unit.store %5, %p, %n : <f32>
    tile_unit.store %6, %p, %n : <f32>
    tile_unit.store %7, %p, %n : <f32>
  }
  return
}
