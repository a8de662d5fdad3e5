// RUN: tenon-opt %s --tenon-stage-shared-memory | FileCheck %s
//
// Keys are requested a turn ahead, once the first product is done with their buffer; values at the head
// of the turn, under that product. Each request is a group; each wait is followed by a barrier.

func.func @kernel(%b: i32, %n: i32, %q: tensor<64x64xf16>, %s0: tensor<64x64xf32>) {
  %keys = tile.tensor 1 : !tile.tensor<f16>
  %values = tile.tensor 2 : !tile.tensor<f16>
  %zero = arith.constant 0 : i32
  %step = arith.constant 64 : i32
  // CHECK: %[[V:.*]] = tile.shared_alloc
  // CHECK: %[[K:.*]] = tile.shared_alloc
  // CHECK: scf.if
  // CHECK-NEXT: tile.copy_async {{.*}}, %[[K]]
  // CHECK: tile.commit
  // CHECK: scf.for %[[I:.*]] =
  // CHECK-NEXT: tile.wait 0
  // CHECK-NEXT: tile.barrier block
  // CHECK-NEXT: tile.copy_async {{.*}}, %[[V]]
  // CHECK-NEXT: tile.commit
  // CHECK-NEXT: tile.dot %{{.*}}, %[[K]] transposed
  // CHECK-NEXT: tile.wait 0
  // CHECK-NEXT: tile.barrier block
  // CHECK-NEXT: %[[NEXT:.*]] = arith.addi %[[I]]
  // CHECK: tile.copy_async {{.*}}[%{{.*}}, %{{.*}}, %[[NEXT]]] {{.*}}, %[[K]]
  // CHECK: tile.commit
  // CHECK-NEXT: arith.truncf
  // CHECK-NEXT: tile.dot %{{.*}}, %[[V]],
  scf.for %i = %zero to %n step %step : i32 {
    %k = tile.load %keys[%b, %b, %i] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
    %s = tile.dot %q, %k transposed, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
    %p = arith.truncf %s : tensor<64x64xf32> to tensor<64x64xf16>
    %v = tile.load %values[%b, %b, %i] rows %n width 64 layout 0 : !tile.tensor<f16> -> tensor<64x64xf16>
    %o = tile.dot %p, %v, %s0 : tensor<64x64xf16>, tensor<64x64xf16> -> tensor<64x64xf32>
  }
  return
}
