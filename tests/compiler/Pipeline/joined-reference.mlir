// REQUIRES: host
// RUN: tenon-opt %S/../TileAttention/standing-reference.mlir --pass-pipeline="builtin.module(func.func(choose-schedule{target=host:x86-64-v4+amx query-groups=1}),tile-attention,canonicalize,tenon-lower-tile-to-vector{bfloat16=tiles})" | FileCheck %s
//
// What makes kernels and what lowers them agree on how a small reference is said to be one: it joins the constant of fixed
// point in open blocks and those with the last keys. Where a row has taken its maximum both forms are there, and the row's
// reference chooses.

// The open loop, and where its rows took their maxima, of which a turn has two columns.
// CHECK: %[[A:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED:.*]] = arith.subf %[[A]],
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[JOINED]] : vector<16xf32>
// CHECK: %[[B:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED_OF_BOTH:.*]] = arith.subf %[[B]],
// CHECK: %[[SMALL:.*]] = math.fma %{{.*}}, %{{.*}}, %[[JOINED_OF_BOTH]] : vector<16xf32>
// CHECK: %[[GREAT:.*]] = arith.addf
// CHECK: arith.select %{{.*}}, %[[SMALL]], %[[GREAT]]
// CHECK-COUNT-2: arith.addf %{{.*}}, %cst{{.*}} : vector<16xf32>

// The loop with the last keys, and its rows likewise.
// CHECK: %[[C:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED_OF_LAST:.*]] = arith.subf %[[C]],
// CHECK: math.fma %{{.*}}, %{{.*}}, %[[JOINED_OF_LAST]] : vector<16xf32>
// CHECK: %[[D:.*]] = arith.constant dense<49278.9141> : vector<16xf32>
// CHECK-NEXT: %[[JOINED_OF_BOTH_LAST:.*]] = arith.subf %[[D]],
// CHECK: %[[SMALL_LAST:.*]] = math.fma %{{.*}}, %{{.*}}, %[[JOINED_OF_BOTH_LAST]] : vector<16xf32>
// CHECK: %[[GREAT_LAST:.*]] = arith.addf
// CHECK: arith.select %{{.*}}, %[[SMALL_LAST]], %[[GREAT_LAST]]
