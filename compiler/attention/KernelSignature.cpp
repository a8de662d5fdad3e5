#include "compiler/attention/KernelSignature.h"

#include "compiler/attention/Refusal.h"
#include "dialects/attention/Attention.h"

#include "mlir/IR/Builders.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::attention;

namespace {

// In the order of the fields of ExactShape.
constexpr int32_t ExactShape::*kExactFields[] = {&ExactShape::batch, &ExactShape::heads,
                                                 &ExactShape::key_heads, &ExactShape::query_length,
                                                 &ExactShape::key_length};

// Null for what kernels do not take.
Type storageType(Builder &b, DataType dtype) {
  switch (dtype) {
  case DataType::kFloat32:
    return b.getF32Type();
  case DataType::kFloat16:
    return b.getF16Type();
  case DataType::kBFloat16:
    return b.getBF16Type();
  case DataType::kBool:
    return b.getI1Type();
  case DataType::kInt32:
    return b.getI32Type();
  case DataType::kInt64:
  case DataType::kFloat64:
    return {};
  }
  return {};
}

} // namespace

LogicalResult tenon::attachSignature(func::FuncOp function, const Signature &signature) {
  if (signature.inputs.size() != function.getNumArguments())
    return refuse(function, "signature", "the signature has " + Twine(signature.inputs.size()) +
                                             " inputs, the graph " + Twine(function.getNumArguments()));
  Builder b(function.getContext());
  for (auto [number, input] : llvm::enumerate(signature.inputs)) {
    Type type = storageType(b, input.dtype);
    Type element = getElementTypeOrSelf(function.getArgument(number));
    bool sameKind = type && (element.isF32() ? isa<FloatType>(type) : type == element);
    if (!sameKind)
      return refuse(function, "signature", "input " + Twine(input.name) + " is stored as " +
                                               llvm::StringRef(name(input.dtype)) +
                                               ", which a kernel does not take for its kind of element");
    if (!isTensor(function.getArgument(number).getType()))
      continue;
    function.setArgAttr(number, kStorageAttribute, TypeAttr::get(type));
    function.setArgAttr(number, kLayoutAttribute, b.getI32IntegerAttr(static_cast<int32_t>(input.layout)));
    if (input.width > 0)
      function.setArgAttr(number, kWidthAttribute, b.getI32IntegerAttr(input.width));
  }
  Type output = storageType(b, signature.output);
  if (!isa_and_nonnull<FloatType>(output))
    return refuse(function, "signature", "a kernel stores its output as f32, f16 or bf16, not as " +
                                             Twine(llvm::StringRef(name(signature.output))));
  function->setAttr(kOutputAttribute, TypeAttr::get(output));
  function->setAttr(kGroupAttribute, b.getI32IntegerAttr(signature.group));
  QueryLengths queries = signature.queries;
  if (queries == QueryLengths::kAny && signature.exact)
    queries = signature.exact->query_length <= kFewQueries ? QueryLengths::kFew : QueryLengths::kMany;
  if (queries != QueryLengths::kMany)
    function->setAttr(queries == QueryLengths::kFew ? kFewQueriesAttribute : kAnyQueriesAttribute, b.getUnitAttr());
  if (signature.tf32)
    function->setAttr(kTf32Attribute, b.getUnitAttr());
  if (signature.exact) {
    SmallVector<int32_t> sizes;
    for (auto field : kExactFields)
      sizes.push_back((*signature.exact).*field);
    function->setAttr(kExactAttribute, b.getDenseI32ArrayAttr(sizes));
  }
  return success();
}

ScaledOutput tenon::scaledOutput(FusedOp fused) {
  ScaledOutput output{fused.getOutput(), {}};
  while (output.value.hasOneUse()) {
    auto scaled = dyn_cast<MultiplyOp>(*output.value.user_begin());
    if (!scaled || !scaled.getB().getType().isF32())
      break;
    output.factors.push_back(scaled.getB());
    output.value = scaled;
  }
  return output;
}

LogicalResult tenon::checkIsKernel(FusedOp fused, StringLiteral what) {
  auto isInput = [](Value value) { return isa<BlockArgument>(value) && isa<func::FuncOp>(value.getParentBlock()->getParentOp()); };
  if (!isInput(fused.getQuery()) || !isInput(fused.getKey()) || !isInput(fused.getValue()))
    return refuse(fused, what, "query, key and value must be inputs of the function");
  Value output = scaledOutput(fused).value;
  for (Value result : {output, Value(fused.getLogsumexp())}) {
    if (!result)
      continue;
    for (OpOperand &use : result.getUses())
      if (!isa<func::ReturnOp>(use.getOwner()) || !result.hasOneUse())
        return refuse(fused, what, "the results must be returned, once, and not be used otherwise");
  }
  if (output.use_empty())
    return refuse(fused, what, "the output must be returned");
  return success();
}

InputStorage tenon::storageOf(BlockArgument argument) {
  auto function = cast<func::FuncOp>(argument.getOwner()->getParentOp());
  unsigned number = argument.getArgNumber();
  InputStorage result{getElementTypeOrSelf(argument)};
  if (auto type = function.getArgAttrOfType<TypeAttr>(number, kStorageAttribute))
    result.type = type.getValue();
  if (auto width = function.getArgAttrOfType<IntegerAttr>(number, kWidthAttribute))
    result.width = width.getInt();
  if (auto layout = function.getArgAttrOfType<IntegerAttr>(number, kLayoutAttribute))
    result.layout = static_cast<uint32_t>(layout.getInt());
  return result;
}

Type tenon::outputStorage(func::FuncOp function) {
  auto output = function->getAttrOfType<TypeAttr>(kOutputAttribute);
  return output ? output.getValue() : Float32Type::get(function.getContext());
}

int64_t tenon::groupOf(func::FuncOp function) {
  auto group = function->getAttrOfType<IntegerAttr>(kGroupAttribute);
  return group ? std::max<int64_t>(group.getInt(), 1) : 1;
}

bool tenon::hasFewQueries(func::FuncOp function) { return function->hasAttr(kFewQueriesAttribute); }
bool tenon::mayUseTf32(func::FuncOp function) { return function->hasAttr(kTf32Attribute); }

std::optional<ExactShape> tenon::exactShapeOf(func::FuncOp function) {
  auto sizes = function->getAttrOfType<DenseI32ArrayAttr>(kExactAttribute);
  if (!sizes || sizes.size() != static_cast<int64_t>(std::size(kExactFields)))
    return std::nullopt;
  ExactShape exact;
  for (auto [field, size] : llvm::zip_equal(kExactFields, sizes.asArrayRef()))
    exact.*field = size;
  return exact;
}
