// REQUIRES: host
// RUN: tenon-opt %s --cse --canonicalize | FileCheck %s
//
// Two zeros are not one, since each is added to in a register of its own; nor are two loads. What nobody reads is not made.

// CHECK-LABEL: func.func @apart(
// CHECK: tile_unit.configure
// CHECK-NEXT: %[[A:.*]] = tile_unit.load
// CHECK-NEXT: %[[B:.*]] = tile_unit.load
// CHECK-NEXT: %[[FIRST:.*]] = tile_unit.zero
// CHECK-NEXT: %[[SECOND:.*]] = tile_unit.zero
// CHECK-NEXT: tile_unit.multiply %[[FIRST]], %[[A]], %[[B]]
// CHECK-NEXT: tile_unit.multiply %[[SECOND]], %[[B]], %[[A]]
// CHECK-NEXT: tile_unit.store
// CHECK-NEXT: tile_unit.store
// CHECK-NEXT: tile_unit.release
func.func @apart(%p: !llvm.ptr, %n: i64) {
  tile_unit.configure %p
  %unread = tile_unit.load %p, %n : <bf16>
  %a = tile_unit.load %p, %n : <bf16>
  %b = tile_unit.load %p, %n : <bf16>
  %first = tile_unit.zero : <f32>
  %second = tile_unit.zero : <f32>
  %x = tile_unit.multiply %first, %a, %b : <f32>, <bf16>, <bf16>
  %y = tile_unit.multiply %second, %b, %a : <f32>, <bf16>, <bf16>
  tile_unit.store %x, %p, %n : <f32>
  tile_unit.store %y, %p, %n : <f32>
  tile_unit.release
  return
}
