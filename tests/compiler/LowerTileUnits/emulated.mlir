// REQUIRES: host
// RUN: tenon-opt %s --lower-tile-units=emulated=true | FileCheck %s
//
// Each register has 1 KiB of the stack: a load and a store copy rows there and back, and a product adds up even and odd
// terms apart before they join the sum, as Intel's manual says.

// CHECK-LABEL: func.func @product(
// CHECK: %[[BYTES:.*]] = llvm.mlir.constant(8192 : i64) : i64
// CHECK: %[[TILES:.*]] = llvm.alloca %[[BYTES]] x i8 {alignment = 64 : i64}
// CHECK-NOT: llvm.x86
// CHECK: %[[PLACE:.*]] = arith.constant 2048 : i64
// CHECK: llvm.getelementptr %[[TILES]][%[[PLACE]]]
// CHECK: scf.for {{.*}} : i64 {
// CHECK: llvm.load %{{.*}} : !llvm.ptr -> vector<16xi32>
// CHECK: llvm.store
// CHECK: scf.for
// CHECK: scf.for {{.*}} -> (vector<16xf32>, vector<16xf32>)
// CHECK-COUNT-2: math.fma
// CHECK: arith.addf
// CHECK: arith.addf
// CHECK-NOT: llvm.x86
func.func @product(%p: !llvm.ptr, %n: i64) {
  %c = tile_unit.load %p, %n : <f32 in 2>
  %a = tile_unit.load %p, %n : <bf16 in 0>
  %b = tile_unit.load %p, %n : <bf16 in 1>
  %sum = tile_unit.multiply %c, %a, %b : <f32 in 2>, <bf16 in 0>, <bf16 in 1>
  tile_unit.store %sum, %p, %n : <f32 in 2>
  return
}
