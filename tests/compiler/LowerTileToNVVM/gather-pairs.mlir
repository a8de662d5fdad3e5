// RUN: tenon-opt %s --tenon-assign-layouts --tenon-lower-tile-to-nvvm | FileCheck %s
//
// A mask's keys are adjacent (layout 1): a lane's two neighbours come as one word where the table has all columns of the
// tile, by one address for each of its two rows. Otherwise each is clamped and loaded alone. What is tested is the word
// that came out of either way.

// CHECK-LABEL: llvm.func @kernel
// CHECK: %[[INSIDE:.*]] = arith.cmpi sle
// CHECK: %[[PAIRS:.*]] = arith.andi %[[INSIDE]], %
// CHECK: %[[WORDS:.*]]:4 = scf.if %[[PAIRS]]
// CHECK-COUNT-4: llvm.load {{.*}} {alignment = 2 : i64} : !llvm.ptr<1> -> i16
// CHECK: else
// CHECK-COUNT-8: llvm.load {{.*}} -> i8
// CHECK: arith.andi %[[WORDS]]#0, %c255
// CHECK: arith.andi %[[WORDS]]#0, %c-256
func.func @kernel() attributes {tile.kernel, tile.warps = 1 : i32} {
  %mask = tile.tensor 5 : !tile.tensor<i1>
  %zero = arith.constant 0 : i32
  %rows = tile.index rows %zero : tensor<16xi32>
  %i = tile.expand %rows : tensor<16xi32> -> tensor<16x16xi32>
  %j = tile.index columns %zero : tensor<16x16xi32>
  %x = tile.gather %mask[%i, %j : tensor<16x16xi32>, tensor<16x16xi32>] {layout = 1 : i32} : !tile.tensor<i1> -> tensor<16x16xi1>
  return
}
