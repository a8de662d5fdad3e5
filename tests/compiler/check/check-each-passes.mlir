// --check-each runs the IR on random inputs before the first pass and after every one. Right passes leave
// the answer as it was, from the graph down to the tile kernel.
// RUN: tenon-opt %s --check-each --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o /dev/null
// RUN: tenon-opt %s --check-each --check-seed=7 --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=host:x86-64-v3 --tile-attention -o /dev/null

func.func @causal(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                  %value: tensor<*xf32> {attention.width = 16 : i32}, %scale: f32) -> tensor<*xf32> {
  %0 = attention.query_index : tensor<*xi32>
  %1 = attention.key_index : tensor<*xi32>
  %2 = attention.greater_equal %0, %1 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>
  %3 = attention.transpose %key : tensor<*xf32>
  %4 = attention.matmul %query, %3 : tensor<*xf32>
  %5 = attention.multiply %4, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>
  %6 = attention.constant 0xFF800000 : f32
  %7 = attention.where %2, %5, %6 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %8 = attention.softmax %7 : tensor<*xf32>
  %9 = attention.matmul %8, %value : tensor<*xf32>
  return %9 : tensor<*xf32>
}
