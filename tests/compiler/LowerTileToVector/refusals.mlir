// REQUIRES: host
// RUN: tenon-opt %s --tenon-lower-tile-to-vector --split-input-file --verify-diagnostics
//
// On the host all tiles are float32: loads and stores convert.

func.func @half() attributes {tile.kernel} {
  %tensor = tile.tensor 0 : !tile.tensor<f16>
  %zero = arith.constant 0 : i32
  %x = tile.load %tensor[%zero, %zero, %zero] rows %zero width 8 layout 0 : !tile.tensor<f16> -> tensor<16x8xf16>
  // expected-error @below {{stores tiles of float32 on the host, not 'f16'}}
  tile.store %x, %tensor[%zero, %zero, %zero] rows %zero width 8 layout 0 : tensor<16x8xf16>, !tile.tensor<f16>
  return
}

// -----

// expected-error @below {{finds a kernel with tiles in shared memory: tenon-stage-shared-memory must not run before it}}
func.func @shared() attributes {tile.kernel} {
  %a = tile.shared_alloc : !tile.shared<64x16xf32>
  %tensor = tile.tensor 0 : !tile.tensor<f32>
  %zero = arith.constant 0 : i32
  tile.copy_async %tensor[%zero, %zero, %zero] rows %zero width 16 layout 0, %a : !tile.tensor<f32> -> !tile.shared<64x16xf32>
  return
}

// -----

func.func @places() attributes {tile.kernel} {
  // expected-error @below {{on the host is a ring of float32, of which one stage is used at a time}}
  %a = tile.shared_alloc : !tile.shared<64x16xf32>
  return
}

// -----

func.func @pattern() attributes {tile.kernel} {
  // expected-error @below {{has elements that differ}}
  %x = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  return
}

// -----

// A question that its elements do not answer where they lie.
func.func @any() attributes {tile.kernel} {
  %mask = arith.constant dense<true> : tensor<16x32xi1>
  // expected-error @below {{asks for more than elements of a table at rows and columns}}
  %some = tile.any %mask : tensor<16x32xi1>
  return
}
