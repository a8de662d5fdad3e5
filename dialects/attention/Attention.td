// The attention dialect: what attention is, before anything is said of how it is computed.
//
// A value is a function of its indices [batch, head, row, column], broadcast as needed. Its type says only
// what an element is: tensor<*xf32> (real; float32 arithmetic, whatever the storage), tensor<*xi32> (index,
// two's complement, wraps) or tensor<*xi1> (mask); f32, i32 and i1 are one element for the whole launch.
// There is no implicit conversion. The canonical text of a graph (runtime/include/tenon/Graph.h) is this
// dialect's, so that tenon-opt reads it as it is; runtime/include/tenon/Operations.def has the same list.
#ifndef TENON_ATTENTION
#define TENON_ATTENTION

include "mlir/IR/OpBase.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"

def AttentionDialect : Dialect {
  let name = "attention";
  let cppNamespace = "::tenon::attention";
  let summary = "matrix products, softmax, masks and dropout, and the fused operation that they become";
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect",
                           "::mlir::func::FuncDialect"];
  let hasConstantMaterializer = 1;
}

//===-- Types ----------------------------------------------------------------------------------===//

def Attention_RealTensor  : UnrankedTensorOf<[F32]>;
def Attention_IndexTensor : UnrankedTensorOf<[I32]>;
def Attention_MaskTensor  : UnrankedTensorOf<[I1]>;
def Attention_Tensor : AnyTypeOf<[Attention_RealTensor, Attention_IndexTensor, Attention_MaskTensor]>;
def Attention_Real  : AnyTypeOf<[Attention_RealTensor, F32], "a real">;
def Attention_Index : AnyTypeOf<[Attention_IndexTensor, I32], "an index">;
def Attention_Mask  : AnyTypeOf<[Attention_MaskTensor, I1], "a mask">;
def Attention_Number : AnyTypeOf<[Attention_Real, Attention_Index], "a real or an index">;
def Attention_Any : AnyTypeOf<[Attention_Number, Attention_Mask], "a real, an index or a mask">;

class Attention_Op<string mnemonic, list<Trait> traits = []> : Op<AttentionDialect, mnemonic, traits>;

/// f(element, …) at every index: a tensor if any operand is one.
def Attention_Elementwise : NativeOpTrait<"Elementwise"> { let cppNamespace = "::tenon::attention"; }

//===-- Values that come from nowhere ----------------------------------------------------------===//

def Attention_ConstantOp : Attention_Op<"constant",
    [Pure, ConstantLike, AllTypesMatch<["value", "result"]>]> {
  let summary = "result = value";
  let arguments = (ins TypedAttrInterface:$value);
  let results = (outs AnyTypeOf<[F32, I32, I1]>:$result);
  let assemblyFormat = "$value attr-dict";
  let hasFolder = 1;
}

class Attention_IndexOp<string mnemonic, string formula> : Attention_Op<mnemonic, [Pure]> {
  let summary = "result = " # formula;
  let results = (outs Attention_IndexTensor:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}
def Attention_BatchIndexOp : Attention_IndexOp<"batch_index", "b of element [b, h, i, j]">;
def Attention_HeadIndexOp  : Attention_IndexOp<"head_index", "h of element [b, h, i, j]">;
def Attention_QueryIndexOp : Attention_IndexOp<"query_index", "i of element [b, h, i, j]">;
def Attention_KeyIndexOp   : Attention_IndexOp<"key_index", "j of element [b, h, i, j]">;

class Attention_LengthOp<string mnemonic, string formula> : Attention_Op<mnemonic, [Pure]> {
  let summary = "result = " # formula;
  let results = (outs I32:$result);
  let assemblyFormat = "attr-dict `:` type($result)";
}
def Attention_QueryLengthOp : Attention_LengthOp<"query_length", "the number of rows of the scores">;
def Attention_KeyLengthOp   : Attention_LengthOp<"key_length", "the number of columns of the scores">;

def Attention_LoadOp : Attention_Op<"load", [Pure]> {
  let summary = "result = table[clamp(i, 0, size - 1), …]";
  let arguments = (ins Attention_Tensor:$table, Variadic<Attention_Index>:$indices);
  let results = (outs Attention_Tensor:$result);
  let assemblyFormat = "$table `[` $indices `]` attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

//===-- Element by element ---------------------------------------------------------------------===//

class Attention_Unary<string mnemonic, string formula, Type type> :
    Attention_Op<mnemonic, [Pure, SameOperandsAndResultType, Attention_Elementwise]> {
  let summary = "result = " # formula;
  let arguments = (ins type:$operand);
  let results = (outs type:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}
class Attention_UnaryReal<string mnemonic, string formula> :
    Attention_Unary<mnemonic, formula, Attention_Real>;
def Attention_NegateOp  : Attention_UnaryReal<"negate", "-a">;
def Attention_ExpOp     : Attention_UnaryReal<"exp", "e^a">;
def Attention_Exp2Op    : Attention_UnaryReal<"exp2", "2^a">;
def Attention_LogOp     : Attention_UnaryReal<"log", "natural logarithm of a">;
def Attention_TanhOp    : Attention_UnaryReal<"tanh", "hyperbolic tangent of a">;
def Attention_SqrtOp    : Attention_UnaryReal<"sqrt", "a^(1/2)">;
def Attention_RsqrtOp   : Attention_UnaryReal<"rsqrt", "a^(-1/2)">;
def Attention_AbsOp     : Attention_UnaryReal<"abs", "|a|">;
def Attention_SigmoidOp : Attention_UnaryReal<"sigmoid", "1 / (1 + e^-a)">;
def Attention_ErfOp     : Attention_UnaryReal<"erf", "2/sqrt(pi) * integral of e^(-t^2) from 0 to a">;
def Attention_SinOp     : Attention_UnaryReal<"sin", "sine of a, radians">;
def Attention_CosOp     : Attention_UnaryReal<"cos", "cosine of a, radians">;
def Attention_FloorOp   : Attention_UnaryReal<"floor", "largest integer not above a">;
def Attention_NotOp     : Attention_Unary<"not", "!a", Attention_Mask>;

/// An element-wise operation whose types are written as a function's.
class Attention_Functional<string mnemonic, string formula, dag operands, Type result> :
    Attention_Op<mnemonic, [Pure, Attention_Elementwise]> {
  let summary = "result = " # formula;
  let arguments = operands;
  let results = (outs result:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}
def Attention_ConvertOp : Attention_Functional<"convert",
    "a as the other type: i32, i1 -> f32; f32 -> i32 toward zero, saturating, NaN -> 0", (ins Attention_Any:$operand),
    Attention_Number>;

class Attention_Binary<string mnemonic, string formula, Type type> :
    Attention_Functional<mnemonic, formula, (ins type:$a, type:$b), type>;
def Attention_AddOp      : Attention_Binary<"add", "a + b; i32 wraps", Attention_Number>;
def Attention_SubtractOp : Attention_Binary<"subtract", "a - b; i32 wraps", Attention_Number>;
def Attention_MultiplyOp : Attention_Binary<"multiply", "a * b; i32 wraps", Attention_Number>;
def Attention_DivideOp   : Attention_Binary<"divide", "a / b", Attention_Real>;
def Attention_MinimumOp  : Attention_Binary<"minimum", "the smaller; NaN if either is NaN", Attention_Number>;
def Attention_MaximumOp  : Attention_Binary<"maximum", "the larger; NaN if either is NaN", Attention_Number>;
def Attention_PowerOp    : Attention_Binary<"power", "a^b, as C's pow", Attention_Real>;
def Attention_FloorDivideOp : Attention_Binary<"floor_divide", "floor(a / b); 0 where b is 0", Attention_Index>;
def Attention_ModuloOp   : Attention_Binary<"modulo", "a - b * floor(a / b); 0 where b is 0", Attention_Index>;
def Attention_AndOp      : Attention_Binary<"and", "a && b", Attention_Mask>;
def Attention_OrOp       : Attention_Binary<"or", "a || b", Attention_Mask>;

class Attention_Comparison<string mnemonic, string formula> : Attention_Functional<mnemonic, formula,
    (ins Attention_Number:$a, Attention_Number:$b), Attention_Mask>;
def Attention_EqualOp        : Attention_Comparison<"equal", "a == b; false if either is NaN">;
def Attention_NotEqualOp     : Attention_Comparison<"not_equal", "a != b; true if either is NaN">;
def Attention_LessOp         : Attention_Comparison<"less", "a < b; false if either is NaN">;
def Attention_LessEqualOp    : Attention_Comparison<"less_equal", "a <= b; false if either is NaN">;
def Attention_GreaterOp      : Attention_Comparison<"greater", "a > b; false if either is NaN">;
def Attention_GreaterEqualOp : Attention_Comparison<"greater_equal", "a >= b; false if either is NaN">;

def Attention_WhereOp : Attention_Functional<"where",
    "mask ? a : b, a selection: what is not chosen does not leak",
    (ins Attention_Mask:$mask, Attention_Any:$a, Attention_Any:$b), Attention_Any>;

//===-- Row by row -----------------------------------------------------------------------------===//

def Attention_MatmulOp : Attention_Op<"matmul", [Pure]> {
  let summary = "result[b, h, i, j] = sum over k of a[b, h, i, k] * b[b, h / group, k, j]";
  let arguments = (ins Attention_RealTensor:$a, Attention_RealTensor:$b);
  let results = (outs Attention_RealTensor:$result);
  let assemblyFormat = "$a `,` $b attr-dict `:` custom<SameType>(type($a), type($b), type($result))";
}

def Attention_TransposeOp : Attention_Op<"transpose", [Pure, SameOperandsAndResultType]> {
  let summary = "result[b, h, i, j] = operand[b, h, j, i]";
  let arguments = (ins Attention_RealTensor:$operand);
  let results = (outs Attention_RealTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
  let hasFolder = 1;
}

def Attention_SoftmaxOp : Attention_Op<"softmax", [Pure, SameOperandsAndResultType]> {
  let summary = "result = e^(a - max a) / sum of e^(a - max a) over j; zeros where all of the row is -inf";
  let arguments = (ins Attention_RealTensor:$operand);
  let results = (outs Attention_RealTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Attention_LogsumexpOp : Attention_Op<"logsumexp", [Pure, SameOperandsAndResultType]> {
  let summary = "result[b, h, i] = natural log of the sum of e^a over j; -inf where all of the row is -inf";
  let arguments = (ins Attention_RealTensor:$operand);
  let results = (outs Attention_RealTensor:$result);
  let assemblyFormat = "$operand attr-dict `:` type($result)";
}

def Attention_DropoutOp : Attention_Op<"dropout", [Pure]> {
  let summary = "result = kept(b, h, i, j) ? a / (1 - p) : 0, kept by Philox: runtime/include/tenon/Dropout.h";
  let arguments = (ins Attention_RealTensor:$operand, F32:$probability);
  let results = (outs Attention_RealTensor:$result);
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

//===-- The fused operation --------------------------------------------------------------------===//

def Attention_FusedOp : Attention_Op<"fused", [RecursiveMemoryEffects]> {
  let summary = "output = dropout(softmax(mask ? score(query . keyT) : -inf)) . value, in one kernel";
  let description = [{
    `mask` takes (batch, head, query_index, key_index), all i32, and yields whether that score is visible;
    `score` takes the product query . keyT at that place besides, as its first argument, and yields the
    score, in units of the natural exponential. Inside, `arith` and `math` on scalars, and
    `attention.element` for an element of a tensor; tensors and scalars from outside are named directly.

    `bounds`, which AnalyzeMask makes, takes (batch, head, first, last), the first and the last query of a
    block, and yields four i32 between 0 and the number of keys: key_begin, open_begin, open_end, key_end.
    Only keys in [key_begin, key_end) are visible to any of these queries; those in
    [open_begin, open_end), if it is not empty, are visible to all of them.

    `logsumexp` is the natural log of the sum of e^score over the visible keys; -inf where there is none.
  }];
  let arguments = (ins Attention_RealTensor:$query, Attention_RealTensor:$key,
                       Attention_RealTensor:$value, Optional<F32>:$probability);
  let results = (outs Attention_RealTensor:$output, Optional<Attention_RealTensor>:$logsumexp);
  let regions = (region SizedRegion<1>:$mask, SizedRegion<1>:$score, AnyRegion:$bounds);
  let assemblyFormat = [{
    `query` `(` $query `)` `key` `(` $key `)` `value` `(` $value `)` (`dropout` `(` $probability^ `)`)?
    attr-dict-with-keyword `:` custom<SameType>(type($query), type($key), type($value))
    `->` type($output) (`,` type($logsumexp)^)? `mask` $mask `score` $score (`bounds` $bounds^)?
  }];
  let hasRegionVerifier = 1;
}

def Attention_ElementOp : Attention_Op<"element", [Pure]> {
  let summary = "result = tensor[clamp(i, 0, size - 1), …]";
  let arguments = (ins Attention_Tensor:$tensor, Variadic<I32>:$indices);
  let results = (outs AnyTypeOf<[F32, I32, I1]>:$result);
  let assemblyFormat = "$tensor `[` $indices `]` attr-dict `:` type($tensor) `->` type($result)";
  let hasVerifier = 1;
}

def Attention_YieldOp : Attention_Op<"yield", [Pure, Terminator, ParentOneOf<["FusedOp"]>]> {
  let summary = "what a region of attention.fused computes";
  let arguments = (ins Variadic<AnyTypeOf<[F32, I32, I1]>>:$values);
  let assemblyFormat = "$values attr-dict `:` type($values)";
}

#endif // TENON_ATTENTION
