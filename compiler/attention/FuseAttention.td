#ifndef TENON_FUSE_ATTENTION
#define TENON_FUSE_ATTENTION

include "mlir/Pass/PassBase.td"

def FuseAttention : Pass<"fuse-attention", "::mlir::func::FuncOp"> {
  let summary = "matmul(dropout(softmax(E(matmul(query, transpose(key))))), value) => attention.fused";
  let description = [{
    E is any element-wise expression over the product: scalars, indices, lengths, elements of tables, and
    tensors broadcast against [batch, head, query, key]. A selection `where(c, x, -inf)` on its additive
    spine, whose condition does not depend on the product, goes into the mask region; all the rest is the
    score region. `logsumexp` of the same scores becomes the second result. A factor of the output that is
    one number for the whole launch stays behind the fused operation, and is the kernel's business too. What
    does not fit is an error that says what and why: the function must be one fused operation afterwards.
  }];
  let dependentDialects = ["::tenon::attention::AttentionDialect"];
}

#endif
