#ifndef TENON_SIMPLIFY_ATTENTION
#define TENON_SIMPLIFY_ATTENTION

include "mlir/Pass/PassBase.td"

def SimplifyAttention : Pass<"simplify-attention", "::mlir::func::FuncOp"> {
  let summary = "Folds constants, merges scales and takes them out of products, drops what has no effect";
  let description = [{
    Before fusion, so that the fused expression is small and a scale stands where the kernel can merge it
    with log2(e):

    ```mlir
    %0 = attention.divide %query, %eight : (tensor<*xf32>, f32) -> tensor<*xf32>
    %1 = attention.matmul %0, %key_transposed : tensor<*xf32>
    ```
    becomes
    ```mlir
    %0 = attention.matmul %query, %key_transposed : tensor<*xf32>
    %1 = attention.multiply %0, %eighth : (tensor<*xf32>, f32) -> tensor<*xf32>
    ```
  }];
  let dependentDialects = ["::tenon::attention::AttentionDialect"];
}

#endif
