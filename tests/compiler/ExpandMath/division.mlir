// REQUIRES: host
// RUN: tenon-opt %s --tenon-expand-math | FileCheck %s
//
// x86 divides no vectors of integers. Quotients of 32-bit integers are exact in float64. A scalar is divided in
// 64 bits, where -2^31 / -1 does not trap.

// CHECK-LABEL: func.func @quotients(
// CHECK: arith.divf %{{.*}} : vector<16xf64>
// CHECK: arith.fptosi %{{.*}} : vector<16xf64> to vector<16xi32>
// CHECK: arith.divsi %{{.*}} : i64
// CHECK: arith.trunci
// CHECK-NOT: arith.divsi %{{.*}} : vector
func.func @quotients(%a: vector<16xi32>, %b: vector<16xi32>, %c: i32, %d: i32) -> (vector<16xi32>, i32) {
  %x = arith.divsi %a, %b : vector<16xi32>
  %y = arith.divsi %c, %d : i32
  return %x, %y : vector<16xi32>, i32
}
