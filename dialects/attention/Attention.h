/// The attention dialect: see Attention.td for its types and operations.
#pragma once

#include "dialects/TraitNames.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace tenon::attention {

/// Marks f(element, …) at every index: see `Attention_Elementwise`.
template <typename Op> class Elementwise : public mlir::OpTrait::TraitBase<Op, Elementwise> {};

/// Names of the attributes by which a signature stands on a function: compiler/attention/KernelSignature.h.
inline constexpr llvm::StringLiteral kStorageAttribute = "attention.storage";
inline constexpr llvm::StringLiteral kWidthAttribute = "attention.width";
inline constexpr llvm::StringLiteral kLayoutAttribute = "attention.layout";
inline constexpr llvm::StringLiteral kOutputAttribute = "attention.output";
inline constexpr llvm::StringLiteral kGroupAttribute = "attention.group";
inline constexpr llvm::StringLiteral kExactAttribute = "attention.exact";
inline constexpr llvm::StringLiteral kFewQueriesAttribute = "attention.few_queries";
inline constexpr llvm::StringLiteral kTf32Attribute = "attention.tf32";

/// A tensor, as against one element for the whole launch.
inline bool isTensor(mlir::Type type) { return mlir::isa<mlir::UnrankedTensorType>(type); }

} // namespace tenon::attention

#include "dialects/attention/AttentionDialect.h.inc"

#define GET_OP_CLASSES
#include "dialects/attention/AttentionOps.h.inc"
