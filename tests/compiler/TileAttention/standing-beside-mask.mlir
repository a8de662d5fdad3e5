// Beside tile units the reference of a row's first keys stands in blocks with a causal mask too: what the mask hides is -inf
// behind the reference, its power 0.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(analyze-mask,choose-schedule{target=host:x86-64-v4+amx}),tile-attention,canonicalize)" | FileCheck %s

// CHECK-LABEL: func.func @flash_forward
// CHECK: scf.if
// CHECK: %[[VISIBLE:.*]] = arith.cmpi sle, {{.*}}tensor<32x32xi32>
// CHECK: scf.for
// CHECK: scf.for
// CHECK-NOT: tile.reduce  maximum
// CHECK: arith.cmpi sle, {{.*}}tensor<32x512xi32>
// CHECK: %[[EXPONENTS:.*]] = arith.subf
// CHECK: %[[SHOWN:.*]] = arith.select {{.*}}, %[[EXPONENTS]],
// CHECK: math.exp2 %[[SHOWN]]
// CHECK: tile.reduce  sum
// CHECK: tile.dot {{.*}}tile.again
// CHECK: tile.reduce  maximum
func.func @causal(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                  %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                  %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16}, %scale: f32) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.cmpi sle, %j, %i : i32
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %scaled = arith.mulf %score, %scale : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}
