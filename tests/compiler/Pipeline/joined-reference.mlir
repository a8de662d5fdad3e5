// REQUIRES: host
// RUN: tenon-opt %S/../TileAttention/standing-reference.mlir --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+amx query-groups=1}),tile-attention,canonicalize,tenon-lower-tile-to-vector{bfloat16=tiles})" | FileCheck %s
//
// What makes kernels and what lowers them agree on how a small reference is said to be one: it joins the constant of fixed
// point in open blocks and those with the last keys. Where a row has taken its maximum both forms are there, and the row's
// reference chooses.

// The open loop, and its renewal.
// CHECK: %[[CONSTANT:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED:.*]] = arith.subf %[[CONSTANT]],
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[JOINED]] : vector<16xf32>
// CHECK: %[[CONSTANT_OF_BOTH:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED_OF_BOTH:.*]] = arith.subf %[[CONSTANT_OF_BOTH]],
// CHECK: %[[SMALL:.*]] = math.fma %{{.*}}, %{{.*}}, %[[JOINED_OF_BOTH]] : vector<16xf32>
// CHECK: %[[GREAT:.*]] = arith.addf
// CHECK: arith.select %{{.*}}, %[[SMALL]], %[[GREAT]]

// The loop with the last keys.
// CHECK: %[[JOINED_OF_LAST:.*]] = arith.subf %cst{{[_0-9]*}}, %{{[0-9]+}} : vector<16xf32>
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[JOINED_OF_LAST]] : vector<16xf32>
// CHECK: arith.subf %cst{{[_0-9]*}}, %{{[0-9]+}} : vector<16xf32>
