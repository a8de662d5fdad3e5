// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// An output of 16 bits goes through the query's buffer, each warp through its own rows, so that memory is written
// in pieces of 16 bytes.

// CHECK-LABEL: @kernel
// CHECK: tile.read %[[BUFFER:[0-9]+]]
// CHECK: tile.dot
// CHECK: %[[ROUNDED:.*]] = arith.truncf %{{.*}} : tensor<64x64xf32> to tensor<64x64xf16>
// CHECK-NEXT: tile.barrier warp
// CHECK-NEXT: tile.write %[[ROUNDED]], %[[BUFFER]]
// CHECK-NEXT: tile.barrier warp
// CHECK-NEXT: tile.store_shared %[[BUFFER]],
func.func @kernel(%b: i32, %n: i32, %s0: tensor<64x64xf32>) {
  %queries = tile.tensor 0 : !tile.tensor<f16>
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %output = tile.tensor 3 : !tile.tensor<f16>
  %q = tile.load %queries[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
  %k = tile.load %keys[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
  %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  tile.store %s, %output[%b, %b, %b] rows %n width 64 layout 1 : tensor<64x64xf32>, !tile.tensor<f16>
  return
}
