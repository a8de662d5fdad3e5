// Wide heads: a lane compares the maximum of its own products, scaled, with the row's reference, before anything is
// exponentiated. Only where one grew by a factor of 2^8 does the row take its maximum. The greatest product is the
// greatest score where the scale is above 0; else no block counts as open.
//
// RUN: tenon-opt %s --pass-pipeline="builtin.module(func.func(choose-schedule{target=sm_80}),tile-attention,canonicalize)" | FileCheck %s

// CHECK-DAG: %[[NOTHING:.*]] = arith.constant 0.000000e+00 : f32
// CHECK-DAG: %[[GROWTH:.*]] = arith.constant dense<8.000000e+00> : tensor<128xf32>
// CHECK: %[[LENGTH:.*]] = tile.size  key_length
// CHECK: %[[SCALE:.*]] = arith.mulf %{{.*}} fastmath<contract> : f32
// CHECK: %[[POSITIVE:.*]] = arith.cmpf ogt, %[[SCALE]], %[[NOTHING]]
// CHECK: arith.select %[[POSITIVE]], %[[LENGTH]], %{{.*}} : i32
// CHECK: scf.for
// CHECK: scf.for {{.*}} iter_args(%[[M:.*]] = %{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}})
// CHECK: %[[PRODUCTS:.*]] = tile.dot
// CHECK-NEXT: %[[GREATEST:.*]] = tile.reduce  maximum %[[PRODUCTS]] {tile.lane}
// CHECK: %[[SCORE:.*]] = arith.mulf %[[GREATEST]],
// CHECK-NEXT: %[[BEYOND:.*]] = arith.subf %[[SCORE]], %[[M]]
// CHECK-NEXT: %[[GREW:.*]] = arith.cmpf uge, %[[BEYOND]], %[[GROWTH]]
// CHECK-NEXT: %[[ANY:.*]] = tile.any %[[GREW]]
// CHECK-NEXT: scf.if %[[ANY]]
// CHECK: math.exp2 %{{.*}} : tensor<128xf32>
// CHECK: else
// CHECK: arith.mulf %[[PRODUCTS]],
// CHECK: math.exp2 %{{.*}} : tensor<128x48xf32>
func.func @wide(%query: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16}, %key: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16},
                %value: tensor<*xf32> {attention.width = 128 : i32, attention.storage = f16}, %scale: f32) -> tensor<*xf32> {
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
