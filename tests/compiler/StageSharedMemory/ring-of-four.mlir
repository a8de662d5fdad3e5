// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// Four stages: the tiles of three turns are under way. Three groups of copies come before the loop, each turn asks for
// the third after it, and waits until only two are under way. A copy is asked for only where such a turn exists.

// CHECK-LABEL: @kernel
// CHECK: %[[RING:.*]] = tile.shared_alloc : !tile.shared<4x16x64xf16>
// CHECK-COUNT-3: tile.commit
// CHECK: tile.wait 2
// CHECK-NEXT: tile.barrier block
// CHECK-NEXT: scf.for
// CHECK: %[[COUNT:.*]] = arith.divui
// CHECK: %[[HERE:.*]] = arith.remui %[[COUNT]], %c4_i32
// CHECK: %[[LATER:.*]] = arith.addi %[[COUNT]], %c3_i32
// CHECK: %[[THERE:.*]] = arith.remui %[[LATER]], %c4_i32
// CHECK: scf.if
// CHECK: %[[INTO:.*]] = tile.stage %[[RING]]{{\[}}%[[THERE]]{{\]}}
// CHECK: tile.copy_async {{.*}}%[[INTO]]
// CHECK: tile.commit
// CHECK: %[[FROM:.*]] = tile.stage %[[RING]]{{\[}}%[[HERE]]{{\]}}
// CHECK: tile.dot %{{.*}}, %[[FROM]] transposed
// CHECK-NEXT: tile.wait 2
// CHECK-NEXT: tile.barrier block
func.func @kernel(%b: i32, %end: i32, %last: i32, %q: tensor<16x64xf16>, %s0: tensor<16x16xf32>)
    attributes {tile.stages = 4 : i32} {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %zero = arith.constant 0 : i32
  %step = arith.constant 16 : i32
  scf.for %i = %zero to %last step %step : i32 {
    %row = arith.subi %end, %i : i32
    %k = tile.load %keys[%b, %b, %row] rows %end width 64 layout 0 : !tile.tensor<f16> -> tensor<16x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<16x64xf16>, tensor<16x64xf16> -> tensor<16x16xf32>
  }
  return
}
