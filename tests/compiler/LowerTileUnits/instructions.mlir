// REQUIRES: host
// RUN: tenon-opt %s --lower-tile-units | FileCheck %s
//
// Instructions name their registers by immediates; loops carry no tiles any more.

// CHECK-LABEL: func.func @product(
// CHECK-SAME: %[[P:.*]]: !llvm.ptr, %[[N:.*]]: i64, %[[FROM:.*]]: index, %[[TO:.*]]: index, %[[STEP:.*]]: index)
// CHECK: llvm.store %{{.*}}, %[[P]] {alignment = 64 : i64} : vector<64xi8>
// CHECK: llvm.call_intrinsic "llvm.x86.ldtilecfg"(%[[P]])
// CHECK-NOT: undefined
// CHECK: %[[LAST:.*]] = scf.for %{{.*}} = %[[FROM]] to %[[TO]] step %[[STEP]] iter_args(%[[PLACE:.*]] = %[[P]]) -> (!llvm.ptr)
// CHECK: %[[TWO:.*]] = llvm.mlir.constant(2 : i8)
// CHECK: llvm.call_intrinsic "llvm.x86.tileloadd64"(%[[TWO]], %[[P]], %[[N]]) : (i8, !llvm.ptr, i64) -> ()
// CHECK: %[[THREE:.*]] = llvm.mlir.constant(3 : i8)
// CHECK: llvm.call_intrinsic "llvm.x86.tileloaddt164"(%[[THREE]], %[[P]], %[[N]])
// CHECK: %[[ONE:.*]] = llvm.mlir.constant(1 : i8)
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64"(%[[ONE]], %[[PLACE]], %[[N]])
// CHECK: llvm.call_intrinsic "llvm.x86.tilezero"(%{{.*}}) : (i8) -> ()
// CHECK: llvm.call_intrinsic "llvm.x86.tdpbf16ps"(%{{.*}}, %{{.*}}, %{{.*}}) : (i8, i8, i8) -> ()
// CHECK: scf.yield %{{[a-z0-9]+}} : !llvm.ptr
// CHECK: scf.if
// CHECK: llvm.call_intrinsic "llvm.x86.tilestored64"(%{{.*}}, %[[LAST]], %[[N]])
// CHECK: llvm.call_intrinsic "llvm.x86.tilerelease"() : () -> ()
func.func @product(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  tile_unit.configure %p
  %any = tile_unit.undefined : <f32 in 1>
  %last:2 = scf.for %i = %from to %to step %step iter_args(%place = %p, %c = %any)
      -> (!llvm.ptr, !tile_unit.tile<f32 in 1>) {
    %a = tile_unit.load %p, %n : <bf16 in 2>
    %b = tile_unit.load %p, %n streaming : <bf16 in 3>
    tile_unit.store %c, %place, %n : <f32 in 1>
    %zero = tile_unit.zero : <f32 in 1>
    %sum = tile_unit.multiply %zero, %a, %b : <f32 in 1>, <bf16 in 2>, <bf16 in 3>
    %next = llvm.getelementptr %place[1024] : (!llvm.ptr) -> !llvm.ptr, i8
    scf.yield %next, %sum : !llvm.ptr, !tile_unit.tile<f32 in 1>
  }
  %some = arith.cmpi slt, %from, %to : index
  %result = scf.if %some -> (!tile_unit.tile<f32 in 1>) {
    scf.yield %last#1 : !tile_unit.tile<f32 in 1>
  } else {
    %zero = tile_unit.zero : <f32 in 1>
    scf.yield %zero : !tile_unit.tile<f32 in 1>
  }
  tile_unit.store %result, %last#0, %n : <f32 in 1>
  tile_unit.release
  return
}
