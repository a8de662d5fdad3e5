// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector="bfloat16=tiles" | FileCheck %s
//
// Tiles that outlive a turn of a loop stand in the workspace. Of a matrix the place is the tile's buffer: the product adds to
// it there, and nothing is copied. A tile of one dimension is loaded and stored.

// CHECK-LABEL: llvm.func @attention(
// CHECK: scf.for %{{.*}} = %c0_i32
// CHECK: %[[SHIFT:.*]] = arith.muli %{{.*}}, %c5504_i64
// CHECK: %[[SUMS:.*]] = llvm.load %{{.*}} {alignment = 64 : i64} : !llvm.ptr -> vector<16xf32>
// CHECK: llvm.getelementptr %{{.*}}[%[[SHIFT]]]
// CHECK-COUNT-4: tile_unit.store
// CHECK-NOT: vector<16xf32>
// CHECK: llvm.store %[[SUMS]], %{{.*}} {alignment = 64 : i64} : vector<16xf32>
// CHECK-NOT: vector<16xf32>, !llvm.ptr
// CHECK: tile_unit.release
func.func @attention() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<bf16>
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %three = arith.constant 3 : i32
  %length = tile.size key_length
  %p = tile.load %tensor[%zero, %zero, %zero] rows %length width 32 layout 0 : !tile.tensor<bf16> -> tensor<32x32xbf16>
  %sums = tile.shared_alloc : !tile.shared<3x16xf32>
  %outputs = tile.shared_alloc : !tile.shared<3x32x32xf32>
  scf.for %turn = %zero to %three step %one : i32 {
    %v = tile.load %tensor[%zero, %zero, %zero] rows %length width 32 layout 0 : !tile.tensor<bf16> -> tensor<32x32xbf16>
    %sum = tile.stage %sums[%turn] : !tile.shared<3x16xf32> -> !tile.shared<16xf32>
    %output = tile.stage %outputs[%turn] : !tile.shared<3x32x32xf32> -> !tile.shared<32x32xf32>
    %l = tile.read %sum : !tile.shared<16xf32> -> tensor<16xf32>
    %o = tile.read %output : !tile.shared<32x32xf32> -> tensor<32x32xf32>
    %next = tile.dot %p, %v, %o : tensor<32x32xbf16>, tensor<32x32xbf16> -> tensor<32x32xf32>
    tile.write %l, %sum : tensor<16xf32> -> !tile.shared<16xf32>
    tile.write %next, %output : tensor<32x32xf32> -> !tile.shared<32x32xf32>
  }
  return
}
