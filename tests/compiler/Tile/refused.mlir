// What the verifiers refuse, and how they say it.
//
// RUN: tenon-opt %s --split-input-file --verify-diagnostics

func.func @gather() {
  %column = arith.constant 32 : i32
  %begun = tile.tensor 0 from %column of 64 : !tile.tensor<f32>
  // expected-error @+1 {{clamps indices to a whole tensor's sizes, was given one that begins at a column}}
  %x = tile.gather %begun[%column : i32] : !tile.tensor<f32> -> f32
  return
}

// -----

func.func @half() {
  // expected-error @+1 {{has a column and the width of a row, or neither}}
  %tensor = tile.tensor 0 {row_width = 64 : i32} : !tile.tensor<f32>
  return
}
