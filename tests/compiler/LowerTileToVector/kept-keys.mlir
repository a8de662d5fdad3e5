// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s
// RUN: sed 's/attributes {tile.kernel}/attributes {tile.kernel, tile.without = ["kept-keys"]}/' %s \
// RUN:   | tenon-opt --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s --check-prefix=WITHOUT
//
// Keys lie in memory as tile units take them; of eight blocks of queries on they are copied once for all of a head, tile
// after tile: rows of 64 bytes instead of those of the tensor. Fewer queries, and keys of 128 bytes or less, are read where they lie.

// CHECK-LABEL: llvm.func @attention(
// CHECK: %[[ENOUGH:.*]] = arith.cmpi sge, %{{.*}}, %c256_i32
// CHECK: %[[KEPT:.*]] = arith.andi %{{.*}}, %[[ENOUGH]]
// CHECK: %[[PLACE:.*]] = arith.select %[[KEPT]], %{{.*}}, %[[KEYS:.*]] : !llvm.ptr
// CHECK: arith.select %[[KEPT]], %{{.*}}, %[[ROWS:c64_i64.*]] : i64
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %{{.*}}, %[[ROWS]]
// CHECK: scf.if %[[MORE]] {
// CHECK: %[[STRIDE:.*]] = arith.select %[[KEPT]], %c64_i64{{.*}}, %{{.*}} : i64
// CHECK: tile_unit.load %{{.*}}, %[[STRIDE]] streaming

// WITHOUT-LABEL: llvm.func @attention(
// WITHOUT-NOT: c256_i32
// WITHOUT: tile_unit.load %{{.*}} streaming
func.func @attention() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<32x64xf32>
  %q = tile.load %tensor[%zero, %zero, %zero] rows %length width 128 layout 0 : !tile.tensor<bf16> -> tensor<32x128xbf16>
  %k = tile.load %tensor[%zero, %zero, %zero] rows %length width 128 layout 0 {tile.whole} : !tile.tensor<bf16> -> tensor<64x128xbf16>
  %s = tile.dot %q, %k transposed, %none : tensor<32x128xbf16>, tensor<64x128xbf16> -> tensor<32x64xf32>
  tile.store %s, %out[%zero, %zero, %zero] rows %length width 64 layout 0 : tensor<32x64xf32>, !tile.tensor<f32>
  return
}
