/// The signature of a kernel, as it stands on the function that describes the graph: storage, width and
/// layout of each input, storage of the output, group, class of the query's length, use of TF32, exact
/// shape. Attributes, so that IR in a file is
/// whole:
///
///     func.func @attention(%query: tensor<*xf32> {attention.storage = f16, attention.width = 64 : i32,
///                                                 attention.layout = 0 : i32}, …)
///         -> tensor<*xf32> attributes {attention.output = f16, attention.group = 4 : i32}
///
/// Bool storage is i1. The other attributes' names are in dialects/attention/Attention.h.
#pragma once

#include "dialects/attention/Attention.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "tenon/Signature.h"

namespace tenon {

/// On a function for any number of queries: SplitQueries.td.
inline constexpr llvm::StringLiteral kAnyQueriesAttribute = "attention.any_queries";

/// Errors: the number of inputs, or a storage that the input's kind of element cannot have.
llvm::LogicalResult attachSignature(mlir::func::FuncOp function, const Signature &signature);

/// The output as the function returns it: multiplied by factors, each one number for the whole launch, which the
/// kernel does before it stores.
///
///     %output = attention.fused …
///     %scaled = attention.multiply %output, %factor : (tensor<*xf32>, f32) -> tensor<*xf32>
struct ScaledOutput {
  mlir::Value value;
  llvm::SmallVector<mlir::Value, 2> factors;
};
ScaledOutput scaledOutput(attention::FusedOp fused);

/// Whether the operation, its output scaled, is all that its function does: reads the function's inputs, and is
/// what it returns.
/// `what` asks, and refuses where it is not: fuse-attention leaves no other form.
llvm::LogicalResult checkIsKernel(attention::FusedOp fused, llvm::StringLiteral what);

/// What TileAttention reads of it. Without attributes: f32, i32 or i1 as the type says, aligned, group 1.
struct InputStorage {
  mlir::Type type;
  int64_t width = 0;
  uint32_t layout = 0;
};
InputStorage storageOf(mlir::BlockArgument argument);
mlir::Type outputStorage(mlir::func::FuncOp function);
int64_t groupOf(mlir::func::FuncOp function);
bool hasFewQueries(mlir::func::FuncOp function);
bool mayUseTf32(mlir::func::FuncOp function);
std::optional<ExactShape> exactShapeOf(mlir::func::FuncOp function);

} // namespace tenon
