// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// An accumulator that is multiplied by one number a row is multiplied in place, and not at all where every
// number is 1. The loop carries the buffer, not a value.

// CHECK-LABEL: llvm.func @accumulate(
// CHECK: scf.for %{{.*}} = %{{.*}} to %{{.*}} step %{{.*}}  : i32 {
// CHECK: %[[MOVED:.*]] = arith.cmpf une, %[[FACTOR:.*]], %{{.*}} : vector<16xf32>
// CHECK: %[[ANY:.*]] = "llvm.intr.vector.reduce.or"(%[[MOVED]])
// CHECK: scf.if %[[ANY]] {
// CHECK: arith.mulf %{{.*}}, %[[FACTOR]] : vector<16xf32>
// CHECK: math.fma
// CHECK: arith.addf
func.func @accumulate() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %rows = arith.constant 16 : i32
  %nothing = arith.constant dense<0.0> : tensor<16x16xf32>
  %p = tile.load %tensor[%zero, %zero, %zero] rows %rows width 16 layout 0 : !tile.tensor<f32> -> tensor<16x16xf32>
  %half = arith.constant dense<0.5> : tensor<16xf32>
  %sum = scf.for %i = %zero to %rows step %one iter_args(%o = %nothing) -> (tensor<16x16xf32>) : i32 {
    %v = tile.load %tensor[%zero, %zero, %i] rows %rows width 16 layout 0 : !tile.tensor<f32> -> tensor<16x16xf32>
    %factor = tile.expand %half : tensor<16xf32> -> tensor<16x16xf32>
    %rescaled = arith.mulf %o, %factor : tensor<16x16xf32>
    %next = tile.dot %p, %v, %rescaled : tensor<16x16xf32>, tensor<16x16xf32> -> tensor<16x16xf32>
    scf.yield %next : tensor<16x16xf32>
  }
  tile.store %sum, %tensor[%zero, %zero, %zero] rows %rows width 16 layout 0 : tensor<16x16xf32>, !tile.tensor<f32>
  return
}
