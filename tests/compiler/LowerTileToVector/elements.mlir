// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// One element a row, as the logsumexp of a chunk is read: rows behind the last are 0, and their memory is not touched.
// The elements that there are go one by one to the workspace, and come back as a vector.

// CHECK-LABEL: llvm.func @elements(
// CHECK: %[[COUNT:.*]] = arith.minsi
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[COUNT]]
// CHECK: %[[ELEMENT:.*]] = llvm.load %{{.*}} -> f32
// CHECK: llvm.store %[[ELEMENT]]
// CHECK: llvm.load %{{.*}} -> vector<16xf32>
func.func @elements() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %limit = tile.size query_length
  %x = tile.load %tensor[%zero, %zero, %zero] rows %limit width 1 layout 1 : !tile.tensor<f32> -> tensor<16xf32>
  %twice = arith.addf %x, %x : tensor<16xf32>
  tile.store %twice, %tensor[%zero, %zero, %zero] rows %limit width 1 layout 1 : tensor<16xf32>, !tile.tensor<f32>
  return
}
