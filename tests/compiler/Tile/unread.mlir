// RUN: tenon-opt %s --canonicalize --cse | FileCheck %s
//
// Loads read memory and do nothing else. A mask that is false for every score leaves a product with zeros, and a tile of
// keys that nothing reads: it is not loaded. Two equal ones with no store between are one; behind a store it is loaded
// again.

// CHECK-LABEL: @kernel
// CHECK-NOT: tile.gather
// CHECK: %[[Q:.*]] = tile.load
// CHECK-NOT: tile.load
// CHECK: arith.addf %[[Q]], %[[Q]]
// CHECK: tile.store
// CHECK: tile.load
// CHECK-NOT: tile.load
func.func @kernel(%b: i32, %n: i32) {
  %queries = tile.tensor 0 : !tile.tensor<f32>
  %keys = tile.tensor 1 : !tile.tensor<f32>
  %output = tile.tensor 3 : !tile.tensor<f32>
  %k = tile.load %keys[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %g = tile.gather %keys[%b : i32] : !tile.tensor<f32> -> tensor<16x64xf32>
  %q = tile.load %queries[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %same = tile.load %queries[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  %twice = arith.addf %q, %same : tensor<16x64xf32>
  tile.store %twice, %output[%b, %b, %b] rows %n width 64 layout 1 : tensor<16x64xf32>, !tile.tensor<f32>
  %again = tile.load %queries[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<16x64xf32>
  tile.store %again, %output[%b, %b, %n] rows %n width 64 layout 1 : tensor<16x64xf32>, !tile.tensor<f32>
  return
}
