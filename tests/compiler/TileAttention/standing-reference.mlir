// Beside tile units of a host the maximum of a row's first 32 keys is its first reference, where there are as many. A turn
// of the open loop takes no maximum: only where a row's sum of probabilities is beyond 2^12, or no number, are the scores
// formed again and followed. A reference of 16,000 or more in magnitude is no number to it,
// so that its rows always are.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+amx query-groups=1}),tile-attention,canonicalize)" | FileCheck %s

// CHECK-DAG: %[[GREATEST_SUM:.*]] = arith.constant dense<4.096000e+03> : tensor<32xf32>
// CHECK-DAG: %[[GREAT:.*]] = arith.constant dense<1.600000e+04> : tensor<32xf32>
// CHECK-DAG: %[[NAN:.*]] = arith.constant dense<0x7FC00000> : tensor<32xf32>
// CHECK-DAG: %[[SHIFT:.*]] = arith.constant dense<4.915200e+04> : tensor<32xf32>
// CHECK-DAG: %[[NONE:.*]] = arith.constant dense<0xFF800000> : tensor<32xf32>
// CHECK: %[[SOME:.*]] = arith.cmpi slt
// CHECK: %[[FIRST:.*]] = scf.if %[[SOME]]
// CHECK: %[[KEYS:.*]] = tile.load {{.*}}tensor<32x64xbf16>
// CHECK: %[[PRODUCTS:.*]] = tile.dot %{{.*}}, %[[KEYS]]{{.*}}tensor<32x32xf32>
// CHECK: %[[SCORES:.*]] = arith.mulf %[[PRODUCTS]]
// CHECK: %[[MAXIMUM:.*]] = tile.reduce  maximum
// CHECK: %[[SUM_WITH_SHIFT:.*]] = arith.addf %[[MAXIMUM]], %[[SHIFT]] : tensor<32xf32>
// CHECK: %[[STEPS:.*]] = arith.subf %[[SUM_WITH_SHIFT]], %[[SHIFT]] : tensor<32xf32>
// CHECK: %[[FIRST_IN_STEPS:.*]] = arith.select %{{.*}}, %[[STEPS]], %[[MAXIMUM]]
// CHECK: scf.yield %[[FIRST_IN_STEPS]]
// CHECK: else
// CHECK: scf.yield %[[NONE]]
// CHECK: scf.for {{.*}} iter_args(%[[M:.*]] = %[[FIRST]], %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK: tile.dot
// CHECK: %[[MAGNITUDE:.*]] = math.absf %[[M]]
// CHECK: %[[SMALL:.*]] = arith.cmpf olt, %[[MAGNITUDE]], %[[GREAT]]
// CHECK: %[[BOUNDED:.*]] = arith.select %[[SMALL]], %[[M]], %[[NAN]]
// CHECK-NOT: tile.reduce  maximum
// CHECK: %[[EXPANDED:.*]] = tile.expand %[[BOUNDED]]
// CHECK: arith.subf %{{.*}}, %[[EXPANDED]]
// CHECK: %[[P:.*]] = arith.truncf
// CHECK: %[[SUM:.*]] = tile.reduce  sum %[[P]]
// CHECK: %[[STALE:.*]] = arith.cmpf ugt, %[[SUM]], %[[GREATEST_SUM]]
// CHECK: %[[ANY:.*]] = tile.any %[[STALE]]
// CHECK: scf.if %[[ANY]]
// CHECK: tile.dot {{.*}}tile.again
// CHECK: tile.reduce  maximum
// CHECK: %[[NEXT:.*]] = arith.maxnumf %[[M]],
// CHECK: %[[NEXT_WITH_SHIFT:.*]] = arith.addf %[[NEXT]], %[[SHIFT]] : tensor<32xf32>
// CHECK: arith.subf %[[NEXT_WITH_SHIFT]], %[[SHIFT]] : tensor<32xf32>
// CHECK: tile.load {{.*}}tensor<512x64xbf16>
func.func @plain(%query: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                 %key: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16},
                 %value: tensor<*xf32> {attention.width = 64 : i32, attention.storage = bf16}, %scale: f32) -> tensor<*xf32> {
  %0 = attention.fused query(%query) key(%key) value(%value) : tensor<*xf32> -> tensor<*xf32> mask {
  ^bb0(%batch: i32, %head: i32, %i: i32, %j: i32):
    %visible = arith.constant true
    attention.yield %visible : i1
  } score {
  ^bb0(%score: f32, %batch: i32, %head: i32, %i: i32, %j: i32):
    %scaled = arith.mulf %score, %scale : f32
    attention.yield %scaled : f32
  }
  return %0 : tensor<*xf32>
}
