// RUN: tenon-opt %s --tenon-assign-layouts --split-input-file --verify-diagnostics | FileCheck %s
//
// Every tile in registers gets a layout: one warp for 16 rows where nothing else is asked for.

// CHECK-LABEL: @kernel() attributes {tile.kernel, tile.threads = 128 : i32}
// CHECK: dense<0.000000e+00> : tensor<64x32xf32, #tile.layout<matrix, warps = 4>>
// CHECK: tile.reduce maximum %{{.*}} -> tensor<64xf32, #tile.layout<rows, warps = 4>>
func.func @kernel() attributes {tile.kernel} {
  %a = tile.shared_alloc : !tile.shared<64x16xf32>
  %b = tile.shared_alloc : !tile.shared<16x32xf32>
  %zeros = arith.constant dense<0.0> : tensor<64x32xf32>
  %x = tile.dot %a, %b, %zeros : !tile.shared<64x16xf32>, !tile.shared<16x32xf32> -> tensor<64x32xf32>
  %m = tile.reduce maximum %x : tensor<64x32xf32> -> tensor<64xf32>
  return
}

// -----

// CHECK-LABEL: @two_warps() attributes {tile.kernel, tile.threads = 64 : i32, tile.warps = 2 : i32}
func.func @two_warps() attributes {tile.kernel, tile.warps = 2 : i32} {
  // CHECK: tensor<64x32xf32, #tile.layout<matrix, warps = 2>>
  %zeros = arith.constant dense<0.0> : tensor<64x32xf32>
  return
}

// -----

func.func @other_rows() attributes {tile.kernel, tile.warps = 4 : i32} {
  %a = arith.constant dense<0.0> : tensor<64x32xf32>
  // expected-error @+1 {{has other rows than the kernel's tiles in registers, 64}}
  %b = arith.constant dense<0.0> : tensor<128x32xf32>
  return
}

// -----

func.func @too_few_rows() attributes {tile.kernel, tile.warps = 8 : i32} {
  // expected-error @+1 {{cannot be dealt to 8 warps in runs of 16 rows}}
  %a = arith.constant dense<0.0> : tensor<64x32xf32>
  return
}
