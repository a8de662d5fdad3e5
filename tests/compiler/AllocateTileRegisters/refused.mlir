// REQUIRES: host
// There is no spill and no move from tile to tile: what asks for one is refused, by the operation that does.
//
// RUN: tenon-opt %s --allocate-tile-registers --split-input-file --verify-diagnostics

func.func @nine(%p: !llvm.ptr, %n: i64) {
  %0 = tile_unit.zero : <f32>
  %1 = tile_unit.zero : <f32>
  %2 = tile_unit.zero : <f32>
  %3 = tile_unit.zero : <f32>
  %4 = tile_unit.zero : <f32>
  %5 = tile_unit.zero : <f32>
  %6 = tile_unit.zero : <f32>
  %7 = tile_unit.zero : <f32>
  // expected-error @+1 {{'tile_unit.load' op is where 9 tiles are alive: there are 8 registers, and no spill}}
  %8 = tile_unit.load %p, %n : <f32>
  tile_unit.store %0, %p, %n : <f32>
  tile_unit.store %1, %p, %n : <f32>
  tile_unit.store %2, %p, %n : <f32>
  tile_unit.store %3, %p, %n : <f32>
  tile_unit.store %4, %p, %n : <f32>
  tile_unit.store %5, %p, %n : <f32>
  tile_unit.store %6, %p, %n : <f32>
  tile_unit.store %7, %p, %n : <f32>
  tile_unit.store %8, %p, %n : <f32>
  return
}

// -----

func.func @accumulator_again(%p: !llvm.ptr, %n: i64) {
  %a = tile_unit.load %p, %n : <bf16>
  %b = tile_unit.load %p, %n : <bf16>
  // expected-note @+1 {{this tile is alive}}
  %c = tile_unit.zero : <f32>
  // expected-error @+2 {{'tile_unit.multiply' op overwrites its accumulator, which is read again: there is no move}}
  // expected-note @+1 {{at the same time as this one}}
  %sum = tile_unit.multiply %c, %a, %b : <f32>, <bf16>, <bf16>
  tile_unit.store %c, %p, %n : <f32>
  tile_unit.store %sum, %p, %n : <f32>
  return
}

// -----

// The next turn reads it, though nothing behind it in the text does.
func.func @accumulator_next_turn(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  %a = tile_unit.load %p, %n : <bf16>
  %b = tile_unit.load %p, %n : <bf16>
  // expected-note @+1 {{this tile is alive}}
  %c = tile_unit.zero : <f32>
  scf.for %i = %from to %to step %step {
    // expected-error @+2 {{overwrites its accumulator, which is read again}}
    // expected-note @+1 {{at the same time as this one}}
    %sum = tile_unit.multiply %c, %a, %b : <f32>, <bf16>, <bf16>
    tile_unit.store %sum, %p, %n : <f32>
  }
  return
}

// -----

// Two tiles change places in each turn.
func.func @swapped(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  // expected-note @+1 {{at the same time as this one}}
  %x = tile_unit.zero : <f32>
  // expected-note @+1 {{this tile is alive}}
  %y = tile_unit.load %p, %n : <f32>
  %r:2 = scf.for %i = %from to %to step %step iter_args(%a = %x, %b = %y) -> (!tile_unit.tile<f32>, !tile_unit.tile<f32>) {
    // expected-error @+1 {{'scf.yield' op hands on a tile to a register in which another is alive: there is no move}}
    scf.yield %b, %a : !tile_unit.tile<f32>, !tile_unit.tile<f32>
  }
  tile_unit.store %r#0, %p, %n : <f32>
  tile_unit.store %r#1, %p, %n : <f32>
  return
}

// -----

// Never more than eight, and no register for `%between`: it begins where that of `%a` alone is free, and outlives the new
// `%a`, while that of `%b` is free.
func.func @round_the_loop(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  // expected-error @+1 {{begins a tile that no register is found for: at most 8 are alive at once, but what loops carry stays}}
  %0 = tile_unit.load %p, %n : <f32>
  %1 = tile_unit.load %p, %n : <f32>
  %2 = tile_unit.load %p, %n : <f32>
  %3 = tile_unit.load %p, %n : <f32>
  %4 = tile_unit.load %p, %n : <f32>
  %5 = tile_unit.load %p, %n : <f32>
  %any = tile_unit.undefined : <f32>
  %r:2 = scf.for %i = %from to %to step %step iter_args(%a = %any, %b = %any)
      -> (!tile_unit.tile<f32>, !tile_unit.tile<f32>) {
    tile_unit.store %a, %p, %n : <f32>
    %between = tile_unit.load %p, %n : <f32>
    tile_unit.store %b, %p, %n : <f32>
    %next_a = tile_unit.zero : <f32>
    tile_unit.store %between, %p, %n : <f32>
    %next_b = tile_unit.zero : <f32>
    scf.yield %next_a, %next_b : !tile_unit.tile<f32>, !tile_unit.tile<f32>
  }
  tile_unit.store %0, %p, %n : <f32>
  tile_unit.store %1, %p, %n : <f32>
  tile_unit.store %2, %p, %n : <f32>
  tile_unit.store %3, %p, %n : <f32>
  tile_unit.store %4, %p, %n : <f32>
  tile_unit.store %5, %p, %n : <f32>
  return
}

// -----

// The new value is there before the old one has been stored.
func.func @stored_too_late(%p: !llvm.ptr, %n: i64, %from: index, %to: index, %step: index) {
  %any = tile_unit.undefined : <f32>
  // expected-note @+1 {{at the same time as this one}}
  %r = scf.for %i = %from to %to step %step iter_args(%before = %any) -> (!tile_unit.tile<f32>) {
    // expected-note @+1 {{this tile is alive}}
    %sum = tile_unit.load %p, %n : <f32>
    tile_unit.store %before, %p, %n : <f32>
    // expected-error @+1 {{hands on a tile to a register in which another is alive}}
    scf.yield %sum : !tile_unit.tile<f32>
  }
  return
}
