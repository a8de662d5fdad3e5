// Inputs are drawn to fit what a graph does with them: a bias of keys and queries that is turned, and masks, each
// broadcast in another way, by the seed.
// RUN: tenon-opt %s --check-each --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o /dev/null
// RUN: tenon-opt %s --check-each --check-seed=1 --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o /dev/null
// RUN: tenon-opt %s --check-each --check-seed=2 --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o /dev/null
// RUN: tenon-opt %s --check-each --check-seed=3 --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=sm_80 --tile-attention -o /dev/null
// RUN: tenon-opt %s --check-each --simplify-attention --fuse-attention --analyze-mask --choose-schedule=target=host:x86-64-v4 --tile-attention -o /dev/null

func.func @masks(%query: tensor<*xf32> {attention.width = 16 : i32}, %key: tensor<*xf32> {attention.width = 16 : i32},
                 %value: tensor<*xf32> {attention.width = 16 : i32}, %padding: tensor<*xi1>, %other: tensor<*xi1>,
                 %bias: tensor<*xf32>) -> tensor<*xf32> {
  %0 = attention.transpose %key : tensor<*xf32>
  %1 = attention.matmul %query, %0 : tensor<*xf32>
  %2 = attention.transpose %bias : tensor<*xf32>
  %3 = attention.add %1, %2 : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>
  %4 = attention.constant 0xFF800000 : f32
  %5 = attention.and %padding, %other : (tensor<*xi1>, tensor<*xi1>) -> tensor<*xi1>
  %6 = attention.where %5, %3, %4 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>
  %7 = attention.softmax %6 : tensor<*xf32>
  %8 = attention.matmul %7, %value : tensor<*xf32>
  return %8 : tensor<*xf32>
}
