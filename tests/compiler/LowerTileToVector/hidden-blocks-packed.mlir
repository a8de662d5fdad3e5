// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector | FileCheck %s
//
// Heads that share a tile: row r is query r / 4 of head h + r mod 4. For each row the table is asked where its own head and
// query lie.

// CHECK-LABEL: llvm.func @attention(
// CHECK: scf.for
// CHECK:   scf.while (%[[ROW:.*]] = %{{.*}}, %{{.*}} = %false{{.*}})
// CHECK:   ^bb0(%[[NUMBER:.*]]: i64, %{{.*}}: i1):
// CHECK:     %[[R:.*]] = arith.trunci %[[NUMBER]] : i64 to i32
// CHECK:     arith.remui %{{.*}}, %{{.*}} : i32
// CHECK:     arith.divui %{{.*}}, %{{.*}} : i32
// CHECK:     llvm.load %{{.*}} {alignment = 1 : i64} : !llvm.ptr -> vector<32xi8>
func.func @attention() attributes {tile.kernel} {
  %table = tile.tensor 0 : !tile.tensor<i1>
  %out = tile.tensor 1 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  %step = arith.constant 32 : i32
  %length = tile.size key_length
  %head = tile.program_id y
  %none = arith.constant dense<0.0> : tensor<16xf32>
  %nothing = arith.constant dense<0.0> : tensor<16x32xf32>
  %ones = arith.constant dense<1.0> : tensor<16x32xf32>
  %four = arith.constant dense<4> : tensor<16xi32>
  %row = tile.index rows %zero : tensor<16xi32>
  %first = tile.splat %head : i32 -> tensor<16xi32>
  %in_group = arith.remui %row, %four : tensor<16xi32>
  %head_of_row = arith.addi %first, %in_group : tensor<16xi32>
  %query_of_row = arith.divui %row, %four : tensor<16xi32>
  %sum = scf.for %key = %zero to %length step %step iter_args(%l = %none) -> (tensor<16xf32>) : i32 {
    %heads = tile.expand %head_of_row : tensor<16xi32> -> tensor<16x32xi32>
    %queries = tile.expand %query_of_row : tensor<16xi32> -> tensor<16x32xi32>
    %columns = tile.index columns %key : tensor<16x32xi32>
    %mask = tile.gather %table[%heads, %queries, %columns : tensor<16x32xi32>, tensor<16x32xi32>, tensor<16x32xi32>] : !tile.tensor<i1> -> tensor<16x32xi1>
    %some = tile.any %mask : tensor<16x32xi1>
    %next = scf.if %some -> (tensor<16xf32>) {
      %p = arith.select %mask, %ones, %nothing : tensor<16x32xi1>, tensor<16x32xf32>
      %more = tile.reduce sum %p : tensor<16x32xf32> -> tensor<16xf32>
      %l_next = arith.addf %l, %more : tensor<16xf32>
      scf.yield %l_next : tensor<16xf32>
    } else {
      scf.yield %l : tensor<16xf32>
    }
    scf.yield %next : tensor<16xf32>
  }
  tile.store %sum, %out[%zero, %zero, %zero] rows %length width 1 layout 2 : tensor<16xf32>, !tile.tensor<f32>
  return
}
