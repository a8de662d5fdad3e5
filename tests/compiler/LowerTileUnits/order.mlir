// REQUIRES: host
// A tile that has no register is nothing an instruction can name: the pass that is missing is named.
//
// RUN: tenon-opt %s --lower-tile-units --verify-diagnostics

func.func @early(%p: !llvm.ptr, %n: i64) {
  // expected-error @+1 {{has a tile without a register: run allocate-tile-registers before it}}
  %x = tile_unit.zero : <f32>
  tile_unit.store %x, %p, %n : <f32>
  return
}
