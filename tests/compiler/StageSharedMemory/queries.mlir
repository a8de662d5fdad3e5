// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// A left operand that is loaded once: 16-bit rows of up to 128 are read to registers, before the loop, when
// all but the newest group (the first keys) has arrived. Wider ones are read from shared memory each time.

// CHECK-LABEL: @narrow
// CHECK: tile.copy_async {{.*}} width 64
// CHECK: tile.commit
// CHECK: tile.commit
// CHECK: tile.wait 1
// CHECK-NEXT: tile.barrier block
// CHECK-NEXT: %[[Q:.*]] = tile.read
// CHECK: tile.dot %[[Q]], {{.*}} : tensor<64x64xf16>, !tile.shared<64x64xf16>
func.func @narrow(%b: i32, %n: i32, %step: i32, %s0: tensor<64x64xf32>) {
  %queries = tile.tensor 0 : !tile.tensor<f16>
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %q = tile.load %queries[%b, %b, %b] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
  scf.for %i = %b to %n step %step : i32 {
    %k = tile.load %keys[%b, %b, %i] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  }
  return
}

// CHECK-LABEL: @wide
// CHECK-NOT: tile.read
// CHECK: tile.dot {{.*}} : !tile.shared<64x256xf16>, !tile.shared<32x256xf16>
func.func @wide(%b: i32, %n: i32, %step: i32, %s0: tensor<64x32xf32>) {
  %queries = tile.tensor 0 : !tile.tensor<f16>
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %q = tile.load %queries[%b, %b, %b] rows %n width 256 layout 0 : !tile.tensor<f16> -> tensor<64x256xf16>
  scf.for %i = %b to %n step %step : i32 {
    %k = tile.load %keys[%b, %b, %i] rows %n width 256 layout 0 : !tile.tensor<f16> -> tensor<32x256xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x256xf16>, tensor<32x256xf16> -> tensor<64x32xf32>
  }
  return
}
