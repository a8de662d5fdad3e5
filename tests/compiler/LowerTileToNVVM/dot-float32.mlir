// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// O' = α O + P V in float32: P V is summed from zero, then added in one multiply-add for each element. In one chain with
// O a great key would cost the small ones behind it their last bits. 16 x 128 on a warp: 64 registers of O, beside which
// the sums of 64 columns are made, 32 registers, and then of the others.

// CHECK-LABEL: llvm.func @output
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: %[[HALF:.*]]:32 = scf.for {{.*}} iter_args(%[[SUM:[^ ]*]] = %{{.*}}
// CHECK-COUNT-128: llvm.intr.fma
// CHECK: scf.yield
// CHECK: llvm.intr.fma(%[[OLD:.*]], %[[SCALE:.*]], %[[HALF]]#0)
// CHECK-COUNT-31: llvm.intr.fma({{.*}}, %[[HALF]]#
// CHECK: %[[OTHER:.*]]:32 = scf.for
// CHECK-COUNT-128: llvm.intr.fma
// CHECK: scf.yield
// CHECK-COUNT-32: llvm.intr.fma({{.*}}, %[[OTHER]]#
// CHECK-NOT: llvm.intr.fma
func.func @output() attributes {tile.kernel, tile.warps = 1 : i32} {
  %p = tile.shared_alloc : !tile.shared<16x16xf32>
  %values = tile.shared_alloc : !tile.shared<16x128xf32>
  %old = tile.shared_alloc : !tile.shared<16x128xf32>
  %o = tile.read %old : !tile.shared<16x128xf32> -> tensor<16x128xf32>
  %alpha = arith.constant dense<0.5> : tensor<16x128xf32>
  %rescaled = arith.mulf %o, %alpha fastmath<contract> : tensor<16x128xf32>
  %new = tile.dot %p, %values, %rescaled : !tile.shared<16x16xf32>, !tile.shared<16x128xf32> -> tensor<16x128xf32>
  return
}
