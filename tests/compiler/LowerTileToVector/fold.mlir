// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// A product of whole tiles is formed in the loop of the maximum that folds it: 6 columns of 4 vectors are scaled,
// folded and stored while they are in registers, and no loop over the scores follows.

// CHECK-LABEL: llvm.func @scores(
// CHECK: %[[MAXIMA:.*]]:4 = scf.for %[[FIRST:.*]] = {{.*}} -> (vector<16xf32>, vector<16xf32>, vector<16xf32>, vector<16xf32>)
// CHECK: %[[SUMS:.*]]:25 = scf.for
// CHECK-COUNT-24: math.fma
// CHECK: %[[SCALED:.*]] = arith.mulf %[[SUMS]]#0
// CHECK: %[[GREATER:.*]] = arith.cmpf ogt, %[[SCALED]], %{{.*}} : vector<16xf32>
// CHECK: arith.select %[[GREATER]], %[[SCALED]]
// CHECK: llvm.store %[[SCALED]]
// CHECK: arith.mulf %[[SUMS]]#23
// CHECK: scf.yield
// CHECK: arith.subf %{{.*}}, %[[MAXIMA]]#0
func.func @scores() attributes {tile.kernel} {
  %query = tile.tensor 0 : !tile.tensor<f32>
  %key = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<64x96xf32>
  %scale = arith.constant dense<0.125> : tensor<64x96xf32>
  %q = tile.load %query[%zero, %zero, %zero] rows %length width 64 layout 0 : !tile.tensor<f32> -> tensor<64x64xf32>
  %k = tile.load %key[%zero, %zero, %zero] rows %length width 64 layout 0 {tile.whole} : !tile.tensor<f32> -> tensor<96x64xf32>
  %s = tile.dot %q, %k transposed, %none : tensor<64x64xf32>, tensor<96x64xf32> -> tensor<64x96xf32>
  %x = arith.mulf %s, %scale : tensor<64x96xf32>
  %maximum = tile.reduce maximum %x : tensor<64x96xf32> -> tensor<64xf32>
  %reference = tile.expand %maximum : tensor<64xf32> -> tensor<64x96xf32>
  %difference = arith.subf %x, %reference : tensor<64x96xf32>
  tile.store %difference, %query[%zero, %zero, %zero] rows %length width 96 layout 0 : tensor<64x96xf32>, !tile.tensor<f32>
  return
}
