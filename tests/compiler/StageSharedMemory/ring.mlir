// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// Two stages: the tiles of the next turn are under way all through a turn, into the other stage. A loop that
// begins where the one before ended goes on with its copies: only the first turn of all is requested before.
// Whole tiles are copied without a branch.

// CHECK-LABEL: @kernel
// CHECK: %[[RING:.*]] = tile.shared_alloc : !tile.shared<2x64x64xf16>
// CHECK: scf.if
// CHECK: tile.copy_async
// CHECK: tile.wait 0
// CHECK-NEXT: tile.barrier block
// CHECK-NEXT: scf.for
// CHECK: %[[MORE:.*]] = arith.cmpi slt, %{{.*}}, %[[LAST:arg[0-9]+]] : i32
// CHECK: %[[THERE:.*]] = tile.stage %[[RING]]
// CHECK: tile.copy_whole {{.*}} where %[[MORE]] {{.*}}, %[[THERE]]
// CHECK: %[[HERE:.*]] = tile.stage %[[RING]]
// CHECK: tile.dot %{{.*}}, %[[HERE]] transposed
// CHECK-NEXT: tile.wait 0
// CHECK-NEXT: tile.barrier block
// CHECK-NOT: tile.wait
// CHECK: scf.for
// CHECK: arith.cmpi slt, %{{.*}}, %[[LAST]] : i32
func.func @kernel(%b: i32, %end: i32, %middle: i32, %last: i32, %q: tensor<64x64xf16>, %s0: tensor<64x64xf32>)
    attributes {tile.stages = 2 : i32} {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %zero = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  scf.for %i = %zero to %middle step %step : i32 {
    %row = arith.subi %end, %i : i32
    %k = tile.load %keys[%b, %b, %row] rows %end width 64 layout 0 {tile.whole} : !tile.tensor<f16> -> tensor<64x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  }
  scf.for %i = %middle to %last step %step : i32 {
    %row = arith.subi %end, %i : i32
    %k = tile.load %keys[%b, %b, %row] rows %end width 64 layout 0 {tile.whole} : !tile.tensor<f16> -> tensor<64x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  }
  return
}
