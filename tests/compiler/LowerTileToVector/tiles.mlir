// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" --allocate-tile-registers --lower-tile-units | FileCheck %s --check-prefix=UNITS
//
// Products of bfloat16 by tile units. Queries, two steps of 32, stay in tiles while 16 keys after the other pass, and sums
// are carried to the next turn, which stores them; the last keys, fewer than 16, are copied. Values are transposed, unless
// an earlier block of the head has done it; four sums of 16 columns x 16 rows last over all keys.

// CHECK-LABEL: llvm.func @attention(
// CHECK: tile_unit.configure
// CHECK-COUNT-4: tile_unit.load %{{.*}} : <bf16>
// CHECK: %[[ANY:.*]] = tile_unit.undefined : <f32>
// CHECK: scf.for {{.*}} iter_args(%[[PLACE:.*]] = %{{.*}}, %[[BEFORE:.*]] = %[[ANY]], %[[OTHER:.*]] = %[[ANY]])
// CHECK: %[[INSIDE:.*]] = arith.cmpi sle
// CHECK: arith.select %[[INSIDE]], %{{.*}}, %{{.*}} : !llvm.ptr
// CHECK-COUNT-2: tile_unit.load %{{.*}} streaming : <bf16>
// CHECK: tile_unit.store %[[BEFORE]], %[[PLACE]],
// CHECK: %[[ZERO:.*]] = tile_unit.zero : <f32>
// CHECK-NEXT: tile_unit.multiply %[[ZERO]],
// CHECK: tile_unit.store %[[OTHER]],
// CHECK: "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK: llvm.shufflevector %{{.*}} [0, 32, 1, 33, 2, 34, 3, 35, 8, 40,
// CHECK-COUNT-4: tile_unit.multiply
// CHECK: tile_unit.release
// CHECK-NEXT: llvm.return

// UNITS-LABEL: llvm.func @attention(
// UNITS: llvm.call_intrinsic "llvm.x86.ldtilecfg"
// UNITS-COUNT-4: llvm.call_intrinsic "llvm.x86.tileloadd64"
// UNITS: scf.for {{.*}} -> (!llvm.ptr) 
// UNITS-COUNT-2: llvm.call_intrinsic "llvm.x86.tileloaddt164"
// UNITS: llvm.call_intrinsic "llvm.x86.tilestored64"
// UNITS: llvm.call_intrinsic "llvm.x86.tilezero"
// UNITS-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbf16ps"
// UNITS: llvm.call_intrinsic "llvm.x86.tilerelease"
func.func @attention() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x64xf32>
  %no_output = arith.constant dense<0.0> : tensor<32x32xf32>
  %q = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<32x64xbf16>
  %k = tile.load %tensor[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<bf16> -> tensor<64x64xbf16>
  %v = tile.load %tensor[%zero, %zero, %zero] rows %length width 32 layout 0 : !tile.tensor<bf16> -> tensor<64x32xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x64xbf16>, tensor<64x64xbf16> -> tensor<32x64xf32>
  %p = math.exp2 %s : tensor<32x64xf32>
  %rounded = arith.truncf %p : tensor<32x64xf32> to tensor<32x64xbf16>
  %o = tile.dot %rounded, %v, %no_output : tensor<32x64xbf16>, tensor<64x32xbf16> -> tensor<32x32xf32>
  tile.store %o, %out[%zero, %zero, %zero] rows %length width 32 layout 0 : tensor<32x32xf32>, !tile.tensor<f32>
  return
}
