// Every refusal says why.
//
// RUN: tenon-opt %s --split-input-file --verify-diagnostics --pass-pipeline="builtin.module(func.func(fuse-attention))"

func.func @after(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.matmul %2, %value : tensor<*xf32>
  // expected-error @+1 {{attention.tanh is outside the fused attention: of what follows the second product, a factor that is one number}}
  %4 = attention.tanh %3 : tensor<*xf32>
  return %4 : tensor<*xf32>
}

// -----

// expected-error @+1 {{the softmax's result is used by something other than the second product}}
func.func @probabilities(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>) -> (tensor<*xf32>, tensor<*xf32>) {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.matmul %2, %value : tensor<*xf32>
  return %3, %2 : tensor<*xf32>, tensor<*xf32>
}

// -----

// expected-error @+1 {{the first product's right operand is not transpose(key)}}
func.func @transposed(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.matmul %query, %key : tensor<*xf32>
  %1 = attention.softmax %0 : tensor<*xf32>
  %2 = attention.matmul %1, %value : tensor<*xf32>
  return %2 : tensor<*xf32>
}

// -----

// expected-error @+1 {{no product of a softmax with values was found}}
func.func @product(%a: tensor<*xf32>, %b: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.matmul %a, %b : tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

// expected-error @+1 {{an attention.where stands between the softmax and the second product, where dropout fuses, and after it factors that are one number}}
func.func @selected(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %kept: tensor<*xi1>) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.constant 0.0 : f32
  %4 = attention.where %kept, %2, %3 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %5 = attention.matmul %4, %value : tensor<*xf32>
  return %5 : tensor<*xf32>
}

// -----

// expected-error @+1 {{an attention.multiply stands between the softmax and the second product}}
func.func @squared(%query: tensor<*xf32>, %key: tensor<*xf32>, %value: tensor<*xf32>, %probability: f32) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.softmax %1 : tensor<*xf32>
  %3 = attention.dropout %2, %probability : (tensor<*xf32>, f32) -> tensor<*xf32>
  %4 = attention.multiply %3, %3 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %5 = attention.exp %4 : tensor<*xf32>
  %6 = attention.matmul %5, %value : tensor<*xf32>
  return %6 : tensor<*xf32>
}
