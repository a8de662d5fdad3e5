// RUN: tenon-opt %s --tenon-scale-after-maximum | FileCheck %s
//
// max over a row of c x = c (max over the row of x), for c > 0; a mask goes before the product too.

// CHECK-LABEL: @masked
// CHECK-SAME: (%[[MASK:.*]]: tensor<64x32xi1>, %[[X:.*]]: tensor<64x32xf32>)
func.func @masked(%mask: tensor<64x32xi1>, %x: tensor<64x32xf32>) -> tensor<64xf32> {
  %c = arith.constant dense<0.125> : tensor<64x32xf32>
  %nothing = arith.constant dense<0xFF800000> : tensor<64x32xf32>
  // CHECK: %[[S:.*]] = arith.select %[[MASK]], %[[X]],
  // CHECK: %[[M:.*]] = tile.reduce maximum %[[S]]
  // CHECK: arith.mulf %[[M]], %{{.*}} : tensor<64xf32>
  %y = arith.mulf %x, %c : tensor<64x32xf32>
  %s = arith.select %mask, %y, %nothing : tensor<64x32xi1>, tensor<64x32xf32>
  %m = tile.reduce maximum %s : tensor<64x32xf32> -> tensor<64xf32>
  return %m : tensor<64xf32>
}

// A negative factor would turn the order round; a sum rounds after each product.
// CHECK-LABEL: @not_these
// CHECK: %[[N:.*]] = arith.mulf
// CHECK: tile.reduce maximum %[[N]]
// CHECK: %[[P:.*]] = arith.mulf
// CHECK: tile.reduce sum %[[P]]
func.func @not_these(%x: tensor<64x32xf32>) -> (tensor<64xf32>, tensor<64xf32>) {
  %c = arith.constant dense<-0.125> : tensor<64x32xf32>
  %d = arith.constant dense<0.125> : tensor<64x32xf32>
  %n = arith.mulf %x, %c : tensor<64x32xf32>
  %m = tile.reduce maximum %n : tensor<64x32xf32> -> tensor<64xf32>
  %p = arith.mulf %x, %d : tensor<64x32xf32>
  %s = tile.reduce sum %p : tensor<64x32xf32> -> tensor<64xf32>
  return %m, %s : tensor<64xf32>, tensor<64xf32>
}
