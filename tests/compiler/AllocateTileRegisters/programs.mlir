// REQUIRES: host
// Programs that the pass does not follow: it says what it met.
//
// RUN: tenon-opt %s --allocate-tile-registers --split-input-file --verify-diagnostics

func.func @branches(%p: !llvm.ptr, %n: i64, %condition: i1) {
  // expected-error @+1 {{stands between branches: tiles get registers while loops have regions}}
  %x = tile_unit.zero : <f32>
  cf.cond_br %condition, ^bb1, ^bb2
^bb1:
  tile_unit.store %x, %p, %n : <f32>
  cf.br ^bb2
^bb2:
  return
}

// -----

func.func @selected(%p: !llvm.ptr, %n: i64, %condition: i1) {
  %x = tile_unit.zero : <f32>
  %y = tile_unit.zero : <f32>
  // expected-error @+1 {{'arith.select' op takes a tile: only operations of tile_unit do, and those that hand values}}
  %z = arith.select %condition, %x, %y : !tile_unit.tile<f32>
  tile_unit.store %z, %p, %n : <f32>
  return
}

// -----

// expected-error @+1 {{takes a tile: these are loaded}}
func.func @argument(%tile: !tile_unit.tile<f32>) {
  return
}

// -----

func.func @returned() -> !tile_unit.tile<f32> {
  %x = tile_unit.zero : <f32>
  // expected-error @+1 {{'func.return' op takes a tile}}
  return %x : !tile_unit.tile<f32>
}

// -----

func.func @again(%p: !llvm.ptr, %n: i64) {
  // expected-error @+1 {{has a tile with a register: allocate-tile-registers has run already}}
  %x = tile_unit.zero : <f32 in 0>
  tile_unit.store %x, %p, %n : <f32 in 0>
  return
}

// -----

func.func @cleared(%p: !llvm.ptr, %n: i64) {
  %x = tile_unit.load %p, %n : <f32>
  // expected-error @+1 {{'tile_unit.configure' op stands where a tile is alive, whose register it clears}}
  tile_unit.configure %p
  tile_unit.store %x, %p, %n : <f32>
  return
}
