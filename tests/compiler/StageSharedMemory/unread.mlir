// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// A mask that is false for every score leaves a product with zeros, and a tile of keys that nothing reads: it has no
// place, neither in shared memory nor in registers, where its rows would be those of no other tile.

// CHECK-LABEL: @kernel
// CHECK-NOT: tile.shared_alloc
// CHECK-NOT: tile.load
// CHECK: tile.store
func.func @kernel(%b: i32, %n: i32, %zeros: tensor<16x64xf32>) {
  %keys = tile.tensor 1 : !tile.tensor<f32>
  %output = tile.tensor 3 : !tile.tensor<f32>
  %k = tile.load %keys[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  tile.store %zeros, %output[%b, %b, %b] rows %n width 64 layout 1 : tensor<16x64xf32>, !tile.tensor<f32>
  return
}
