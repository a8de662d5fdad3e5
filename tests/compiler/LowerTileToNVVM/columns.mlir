// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// A tensor may begin at a column that the kernel computes, here 32 for each block along the second axis, so that one
// program serves all blocks: the start of the tensor moves by the column's stride, and what is loaded counts from there.

// CHECK-LABEL: llvm.func @kernel
// CHECK: %[[BLOCK:.*]] = nvvm.read.ptx.sreg.ctaid.y
// CHECK: %[[COLUMN:.*]] = arith.muli %[[BLOCK]], %{{.*}} : i32
// CHECK: %[[DATA:.*]] = llvm.addrspacecast
// CHECK: %[[WIDE:.*]] = arith.extsi %[[COLUMN]] : i32 to i64
// CHECK: %[[OFFSET:.*]] = arith.muli %[[WIDE]], %{{.*}} : i64
// CHECK: %[[START:.*]] = llvm.getelementptr %[[DATA]][%[[OFFSET]]] {{.*}}, f32
// CHECK: llvm.getelementptr %[[START]]
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %zero = arith.constant 0 : i32
  %columns = arith.constant 32 : i32
  %block = tile.program_id y
  %column = arith.muli %block, %columns : i32
  %rows = tile.size query_length
  %tensor = tile.tensor 0 from %column of 64 : !tile.tensor<f32>
  %x = tile.load %tensor[%zero, %zero, %zero] rows %rows width 32 layout 0 : !tile.tensor<f32> -> tensor<16x32xf32>
  return
}
