// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s
//
// The maximum of whole scores is taken while tile units form others: two strips of 16 keys behind, where the tiles have
// been stored. What is left over is folded behind the last.

// CHECK-LABEL: llvm.func @scores(
// CHECK: scf.for {{.*}} -> (!llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>) 
// CHECK-NOT: arith.cmpf
// CHECK: %[[STRIPS:.*]]:5 = scf.for {{.*}} -> (!llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>, vector<16xf32>, vector<16xf32>) 
// CHECK: tile_unit.multiply
// CHECK-COUNT-32: arith.cmpf ogt
// CHECK: scf.yield
// CHECK: tile_unit.store %[[STRIPS]]#1, %[[STRIPS]]#0
// CHECK: tile_unit.store %[[STRIPS]]#2,
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[STRIPS]]#3, %{{.*}} = %[[STRIPS]]#4)
// CHECK-COUNT-32: arith.cmpf ogt
func.func @scores() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<bf16>
  %key = tile.tensor 1 : !tile.tensor<bf16>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x128xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<32x64xbf16>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 {tile.whole} : !tile.tensor<bf16> -> tensor<128x64xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x64xbf16>, tensor<128x64xbf16> -> tensor<32x128xf32>
  %m = tile.reduce maximum %s : tensor<32x128xf32> -> tensor<32xf32>
  tile.store %m, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<32xf32>, !tile.tensor<f32>
  return
}

// Powers that are summed once they are rounded are made there too, 32 keys behind. Nobody else reads the scores: 64 keys of
// them have places, in turn. Strips of 32 keys (a width of 128) fold the strip before, once its four tiles are stored.

// CHECK-LABEL: llvm.func @powers(
// CHECK: scf.for {{.*}} -> (!llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>, !tile_unit.tile<f32>, !tile_unit.tile<f32>) 
// CHECK: %[[STRIPS:.*]]:9 = scf.for {{.*}}, !tile_unit.tile<f32>, vector<16xf32>, vector<16xf32>, vector<16xi32>, vector<16xi32>) 
// CHECK-NOT: math.exp2
// CHECK-COUNT-4: tile_unit.multiply
// CHECK: arith.andi %{{.*}}, %c63
// CHECK: "llvm.x86.avx512.permvar.qi.512"
// CHECK: tile_unit.multiply
// CHECK: "llvm.x86.avx512.permvar.qi.512"
// CHECK: scf.yield
// CHECK-COUNT-4: tile_unit.store %[[STRIPS]]#
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[STRIPS]]#5, %{{.*}} = %[[STRIPS]]#6
func.func @powers() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<bf16>
  %key = tile.tensor 1 : !tile.tensor<bf16>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x256xf32>
  %reference = arith.constant dense<1.0> : tensor<32xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 128 layout 0 : !tile.tensor<bf16> -> tensor<32x128xbf16>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 128 layout 0 {tile.whole} : !tile.tensor<bf16> -> tensor<256x128xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x128xbf16>, tensor<256x128xbf16> -> tensor<32x256xf32>
  %m = tile.expand %reference : tensor<32xf32> -> tensor<32x256xf32>
  %x = arith.subf %s, %m : tensor<32x256xf32>
  %e = math.exp2 %x : tensor<32x256xf32>
  %p = arith.truncf %e : tensor<32x256xf32> to tensor<32x256xbf16>
  %sum = tile.reduce sum %p : tensor<32x256xbf16> -> tensor<32xf32>
  tile.store %sum, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<32xf32>, !tile.tensor<f32>
  return
}

// Beside a mask the strips end with it, 32 keys each, and in those that it leaves open it is not asked: those cut by it have
// loops of their own.

// CHECK-LABEL: llvm.func @masked(
// CHECK: scf.for {{.*}} -> (!llvm.ptr, !tile_unit.tile<f32>, !tile_unit.tile<f32>) 
// CHECK: %[[OPEN:.*]]:7 = scf.for {{.*}} to %[[END:.*]] step {{.*}}, !tile_unit.tile<f32>, vector<16xf32>, vector<16xf32>, vector<16xi32>, vector<16xi32>) 
// CHECK-NOT: arith.cmpi sge
// CHECK: "llvm.x86.avx512.permvar.qi.512"
// CHECK: scf.yield
// CHECK: %[[CUT:.*]]:7 = scf.for %{{.*}} = %[[END]] to %{{.*}} iter_args(%{{.*}} = %[[OPEN]]#0
// CHECK: scf.for
// CHECK: arith.cmpi sge
// CHECK: "llvm.x86.avx512.permvar.qi.512"
// CHECK-COUNT-2: tile_unit.store %[[CUT]]#
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[CUT]]#3
// CHECK: arith.cmpi sge
func.func @masked() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<bf16>
  %key = tile.tensor 1 : !tile.tensor<bf16>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %rows = tile.index rows %zero : tensor<32xi32>
  %none = arith.constant dense<0.0> : tensor<32x256xf32>
  %hidden = arith.constant dense<0xFF800000> : tensor<32x256xf32>
  %reference = arith.constant dense<1.0> : tensor<32xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<32x64xbf16>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<256x64xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x64xbf16>, tensor<256x64xbf16> -> tensor<32x256xf32>
  %m = tile.expand %reference : tensor<32xf32> -> tensor<32x256xf32>
  %x = arith.subf %s, %m : tensor<32x256xf32>
  %row = tile.expand %rows : tensor<32xi32> -> tensor<32x256xi32>
  %column = tile.index columns %zero : tensor<32x256xi32>
  %visible = arith.cmpi sge, %row, %column : tensor<32x256xi32>
  %shown = arith.select %visible, %x, %hidden : tensor<32x256xi1>, tensor<32x256xf32>
  %e = math.exp2 %shown : tensor<32x256xf32>
  %p = arith.truncf %e : tensor<32x256xf32> to tensor<32x256xbf16>
  %sum = tile.reduce sum %p : tensor<32x256xbf16> -> tensor<32xf32>
  tile.store %sum, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<32xf32>, !tile.tensor<f32>
  return
}
