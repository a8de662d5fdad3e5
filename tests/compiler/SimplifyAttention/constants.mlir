// Constants are folded as the interpreter computes them: float32, indices that wrap, floor division.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(simplify-attention))" | FileCheck %s

// CHECK-LABEL: func.func @constants
func.func @constants() -> (f32, i32, i32, i32) {
  // CHECK-DAG: %[[A:.*]] = attention.constant 1.250000e-01 : f32
  // CHECK-DAG: %[[B:.*]] = attention.constant -3 : i32
  // CHECK-DAG: %[[C:.*]] = attention.constant 0 : i32
  // CHECK-DAG: %[[D:.*]] = attention.constant -2147483648 : i32
  // CHECK: return %[[A]], %[[B]], %[[C]], %[[D]]
  %64 = attention.constant 64.0 : f32
  %a = attention.rsqrt %64 : f32
  %minus_five = attention.constant -5 : i32
  %two = attention.constant 2 : i32
  %b = attention.floor_divide %minus_five, %two : (i32, i32) -> i32
  %nan = attention.constant 0x7FC00000 : f32
  %c = attention.convert %nan : (f32) -> i32
  %most = attention.constant 2147483647 : i32
  %one = attention.constant 1 : i32
  %d = attention.add %most, %one : (i32, i32) -> i32
  return %a, %b, %c, %d : f32, i32, i32, i32
}
