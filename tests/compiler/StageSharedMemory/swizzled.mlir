// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// Where the schedule swizzles rows of shared memory, the types of rings, stages and tiles say so: lowering needs to know
// nothing else.

// CHECK-LABEL: @kernel
// CHECK: %[[RING:.*]] = tile.shared_alloc : !tile.shared<2x64x64xf16, swizzled>
// CHECK: tile.stage %[[RING]][{{.*}}] : !tile.shared<2x64x64xf16, swizzled> -> !tile.shared<64x64xf16, swizzled>
// CHECK: tile.dot {{.*}} : tensor<64x64xf16>, !tile.shared<64x64xf16, swizzled>
func.func @kernel(%b: i32, %end: i32, %q: tensor<64x64xf16>, %s0: tensor<64x64xf32>)
    attributes {tile.stages = 2 : i32, tile.swizzled} {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %zero = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  scf.for %i = %zero to %end step %step : i32 {
    %k = tile.load %keys[%b, %b, %i] rows %end width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  }
  return
}
