// What a GPU's passes make of a 16-bit kernel is executed after each of them, down to layouts: shared memory, copies
// that are under way, an output that goes through the query's buffer.
// RUN: tenon-opt %s --check-each --pass-pipeline="builtin.module(func.func(fuse-attention,analyze-mask,choose-schedule{target=sm_80}),tile-attention,canonicalize,cse,func.func(tenon-scale-after-maximum,tenon-stage-shared-memory,tenon-assign-layouts))" | FileCheck %s
// RUN: sed s/f16/bf16/g %s | tenon-opt --check-each --pass-pipeline="builtin.module(func.func(fuse-attention,analyze-mask,choose-schedule{target=sm_90}),tile-attention,func.func(tenon-stage-shared-memory,tenon-assign-layouts))" | FileCheck %s
// RUN: sed "s/group = 1/few_queries, attention.group = 4/" %s | tenon-opt --check-each --pass-pipeline="builtin.module(func.func(fuse-attention,analyze-mask,choose-schedule{target=sm_80}),tile-attention,func.func(tenon-stage-shared-memory,tenon-assign-layouts))" | FileCheck %s --check-prefix=CHUNKS

// CHECK: tile.store_shared
// CHUNKS: func.func @combine()
func.func @causal(%query: tensor<*xf32> {attention.storage = f16, attention.width = 64 : i32, attention.layout = 0 : i32},
                  %key: tensor<*xf32> {attention.storage = f16, attention.width = 64 : i32, attention.layout = 0 : i32},
                  %value: tensor<*xf32> {attention.storage = f16, attention.width = 64 : i32, attention.layout = 0 : i32})
    -> tensor<*xf32> attributes {attention.output = f16, attention.group = 1 : i32} {
  %0 = attention.query_index : tensor<*xi32>
  %1 = attention.key_index : tensor<*xi32>
  %2 = attention.greater_equal %0, %1 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>
  %3 = attention.transpose %key : tensor<*xf32>
  %4 = attention.matmul %query, %3 : tensor<*xf32>
  %5 = attention.constant 0xFF800000 : f32
  %6 = attention.where %2, %4, %5 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %7 = attention.softmax %6 : tensor<*xf32>
  %8 = attention.matmul %7, %value : tensor<*xf32>
  return %8 : tensor<*xf32>
}
