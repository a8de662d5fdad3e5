// What the verifiers refuse, and how they say it.
//
// RUN: tenon-opt %s --split-input-file --verify-diagnostics

func.func @kinds(%a: tensor<*xf32>, %i: tensor<*xi32>) -> tensor<*xf32> {
  // expected-error @+1 {{takes operands of one kind, was given 'tensor<*xf32>' and 'tensor<*xi32>'; convert one of them}}
  %0 = attention.add %a, %i : (tensor<*xf32>, tensor<*xi32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

func.func @scalar(%a: f32, %b: f32) -> tensor<*xf32> {
  // expected-error @+1 {{gives 'f32', not 'tensor<*xf32>'}}
  %0 = attention.multiply %a, %b : (f32, f32) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

func.func @convert(%a: tensor<*xi1>) -> tensor<*xi32> {
  // expected-error @+1 {{converts an index or a mask to a real, or a real to an index; not 'i1' to 'i32'}}
  %0 = attention.convert %a : (tensor<*xi1>) -> tensor<*xi32>
  return %0 : tensor<*xi32>
}

// -----

func.func @indices(%table: tensor<*xf32>) -> tensor<*xf32> {
  // expected-error @+1 {{takes 1 to 4 indices, was given 0}}
  %0 = attention.load %table[] : (tensor<*xf32>) -> tensor<*xf32>
  return %0 : tensor<*xf32>
}
