// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// A computed left operand of float32 goes through shared memory. A warp reads the rows that it wrote, so that
// its own barrier is enough. A tile whose rows are not the loop's own is requested where it is needed.

// CHECK-LABEL: @kernel
// CHECK: %[[P:.*]] = tile.shared_alloc : !tile.shared<64x32xf32>
// CHECK: %[[V:.*]] = tile.shared_alloc : !tile.shared<32x64xf32>
// CHECK: scf.for
// CHECK: tile.barrier block
// CHECK-NEXT: tile.copy_async {{.*}}, %[[V]]
// CHECK-NEXT: tile.commit
// CHECK-NEXT: tile.wait 0
// CHECK-NEXT: tile.barrier block
// CHECK-NEXT: tile.barrier warp
// CHECK-NEXT: tile.write %{{.*}}, %[[P]]
// CHECK-NEXT: tile.barrier warp
// CHECK-NEXT: tile.dot %[[P]], %[[V]]
func.func @kernel(%b: i32, %n: i32, %step: i32, %p: tensor<64x32xf32>, %o: tensor<64x64xf32>) {
  %values = tile.tensor 2 : !tile.tensor<f32>
  scf.for %i = %b to %n step %step : i32 {
    %row = arith.addi %i, %b : i32
    %v = tile.load %values[%b, %b, %row] rows %n width 64 layout 0 : !tile.tensor<f32> -> tensor<32x64xf32>
    %r = tile.dot %p, %v, %o : tensor<64x32xf32>, tensor<32x64xf32> -> tensor<64x64xf32>
  }
  return
}
