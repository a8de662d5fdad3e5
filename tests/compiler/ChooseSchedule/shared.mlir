// Rows of shared memory are swizzled: padded ones take an eighth more at width 64. Either can be asked for.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}))" | FileCheck %s
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80 shared=padded}))" | FileCheck %s --check-prefix=GIVEN
// RUN: not tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80 shared=tiled}))" 2>&1 | FileCheck %s --check-prefix=WRONG

// CHECK: 49152 of {{.*}} bytes of shared memory
// CHECK-SAME: rows of shared memory are swizzled
// CHECK-SAME: shared = "swizzled"
// GIVEN: 55296 of {{.*}} bytes of shared memory
// GIVEN-SAME: rows of shared memory are padded, as given
// GIVEN-SAME: shared = "padded"
// WRONG: shared is 'tiled', must be swizzled or padded
func.func @plain(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16},
                 %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = f16}) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    attention.yield %score : f32
  }
  return %0 : tensor<*xf32>
}
