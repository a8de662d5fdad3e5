// A dialect from a plugin is as good as a built-in one: its operations stand beside Tenon's, and its verifier
// speaks. Without the plugin nobody knows it.
// RUN: tenon-opt %s --load-dialect-plugin=%plugins/PlantedDialect.so --verify-diagnostics --split-input-file
// RUN: not tenon-opt %s 2>&1 | FileCheck %s

// CHECK: error: operation being parsed with an unregistered dialect
func.func @even(%query: tensor<*xf32>) -> tensor<*xf32> {
  "planted.even"() {planted.value = 4 : i32} : () -> ()
  %0 = attention.softmax %query : tensor<*xf32>
  return %0 : tensor<*xf32>
}

// -----

func.func @odd(%query: tensor<*xf32>) -> tensor<*xf32> {
  // expected-error @+1 {{'planted.even' op wants an even number, was given 5 : i32}}
  "planted.even"() {planted.value = 5 : i32} : () -> ()
  return %query : tensor<*xf32>
}
