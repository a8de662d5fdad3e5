// REQUIRES: host
// What the verifiers refuse, and how they say it.
//
// RUN: tenon-opt %s --split-input-file --verify-diagnostics

// expected-error @+1 {{a tile is of f32 or of bf16, not of 'f16'}}
func.func private @half(!tile_unit.tile<f16>)

// -----

// expected-error @+1 {{register 8 must be below 8}}
func.func private @ninth(!tile_unit.tile<f32 in 8>)

// -----

func.func @square(%p: !llvm.ptr, %n: i64) {
  %a = tile_unit.load %p, %n : <bf16>
  %c = tile_unit.zero : <f32>
  // expected-error @+1 {{takes one tile for a and b: they must be two}}
  %r = tile_unit.multiply %c, %a, %a : <f32>, <bf16>, <bf16>
  return
}

// -----

func.func @same_register(%p: !llvm.ptr, %n: i64) {
  %a = tile_unit.load %p, %n : <bf16 in 1>
  %b = tile_unit.load %p, %n : <bf16 in 1>
  %c = tile_unit.zero : <f32 in 0>
  // expected-error @+1 {{takes tiles in registers 0, 1 and 1: they must be three}}
  %r = tile_unit.multiply %c, %a, %b : <f32 in 0>, <bf16 in 1>, <bf16 in 1>
  return
}

// -----

func.func @half_allocated(%p: !llvm.ptr, %n: i64) {
  %a = tile_unit.load %p, %n : <bf16 in 1>
  %b = tile_unit.load %p, %n : <bf16>
  %c = tile_unit.zero : <f32 in 0>
  // expected-error @+1 {{has tiles with registers, and without}}
  %r = tile_unit.multiply %c, %a, %b : <f32 in 0>, <bf16 in 1>, <bf16>
  return
}

// -----

func.func @of_sums(%p: !llvm.ptr, %n: i64) {
  %a = tile_unit.load %p, %n : <bf16>
  %c = tile_unit.zero : <f32>
  // expected-error @+1 {{operand #2 must be a tile of bfloat16, but got '!tile_unit.tile<f32>'}}
  %r = tile_unit.multiply %c, %a, %c : <f32>, <bf16>, <f32>
  return
}
