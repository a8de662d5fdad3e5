// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Whether a mask shows a block of keys to any row is asked of its elements where they lie, row after row until one does:
//
//     some = false;  while (row < end and not some) some = the row's 32 elements, together
//
// A block that is hidden leaves what the loop carries: its vectors are those of before, its tile stays in its buffer, where
// the other branch adds to it.

// CHECK-LABEL: llvm.func @attention(
// CHECK: scf.for {{.*}} iter_args(%[[SUM:.*]] = %{{.*}}) -> (vector<16xf32>)
// CHECK:   %[[FOUND:.*]]:2 = scf.while (%[[ROW:.*]] = %{{.*}}, %[[SOME:.*]] = %false{{.*}})
// CHECK:     %[[MORE:.*]] = arith.cmpi slt, %[[ROW]], %{{.*}} : i64
// CHECK:     %[[HIDDEN:.*]] = arith.xori %[[SOME]], %true
// CHECK:     %[[BOTH:.*]] = arith.andi %[[MORE]], %[[HIDDEN]]
// CHECK:     scf.condition(%[[BOTH]]) %[[ROW]], %[[SOME]]
// CHECK:     llvm.load %{{.*}} {alignment = 1 : i64} : !llvm.ptr -> vector<32xi8>
// CHECK:     llvm.intr.vector.reduce.or
// CHECK:   %[[NEXT:.*]] = scf.if %[[FOUND]]#1 -> (vector<16xf32>)
// CHECK:     %[[MORE_SUM:.*]] = arith.addf %[[SUM]]
// CHECK:     math.fma
// CHECK:     scf.yield %[[MORE_SUM]]
// CHECK-NEXT: } else {
// CHECK-NEXT: scf.yield %[[SUM]]
// CHECK-NEXT: }
// CHECK-NEXT: scf.yield %[[NEXT]]
func.func @attention() attributes {tile.kernel} {
  %table = tile.tensor 0 : !tile.tensor<i1>
  %values = tile.tensor 1 : !tile.tensor<f32>
  %out = tile.tensor 2 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %length = tile.size key_length
  %none = arith.constant dense<0.0> : tensor<16xf32>
  %no_output = arith.constant dense<0.0> : tensor<16x16xf32>
  %nothing = arith.constant dense<0.0> : tensor<16x32xf32>
  %ones = arith.constant dense<1.0> : tensor<16x32xf32>
  %row = tile.index rows %zero : tensor<16xi32>
  %sum, %output = scf.for %key = %zero to %length step %step iter_args(%l = %none, %o = %no_output) -> (tensor<16xf32>, tensor<16x16xf32>) : i32 {
    %rows = tile.expand %row : tensor<16xi32> -> tensor<16x32xi32>
    %columns = tile.index columns %key : tensor<16x32xi32>
    %mask = tile.gather %table[%rows, %columns : tensor<16x32xi32>, tensor<16x32xi32>] : !tile.tensor<i1> -> tensor<16x32xi1>
    %some = tile.any %mask : tensor<16x32xi1>
    %next:2 = scf.if %some -> (tensor<16xf32>, tensor<16x16xf32>) {
      %p = arith.select %mask, %ones, %nothing : tensor<16x32xi1>, tensor<16x32xf32>
      %more = tile.reduce sum %p : tensor<16x32xf32> -> tensor<16xf32>
      %value = tile.load %values[%zero, %zero, %key] rows %length width 16 layout 0 : !tile.tensor<f32> -> tensor<32x16xf32>
      %l_next = arith.addf %l, %more : tensor<16xf32>
      %o_next = tile.dot %p, %value, %o : tensor<16x32xf32>, tensor<32x16xf32> -> tensor<16x16xf32>
      scf.yield %l_next, %o_next : tensor<16xf32>, tensor<16x16xf32>
    } else {
      scf.yield %l, %o : tensor<16xf32>, tensor<16x16xf32>
    }
    scf.yield %next#0, %next#1 : tensor<16xf32>, tensor<16x16xf32>
  }
  tile.store %output, %out[%zero, %zero, %zero] rows %length width 16 layout 0 : tensor<16x16xf32>, !tile.tensor<f32>
  return
}
