#include "compiler/check/CheckInputs.h"

#include "compiler/attention/KernelSignature.h"
#include "dialects/attention/Attention.h"

using namespace mlir;
using namespace tenon::attention;

namespace tenon::check {
namespace {

constexpr int64_t kDefaultWidth = 16;
constexpr int64_t kTableSize = 40;  // less than the keys, so that indices beyond it are clamped too

DataType dataTypeOf(Type type) {
  if (type.isF16())
    return DataType::kFloat16;
  if (type.isBF16())
    return DataType::kBFloat16;
  if (type.isInteger(1))
    return DataType::kBool;
  return type.isInteger(32) ? DataType::kInt32 : DataType::kFloat32;
}

// How a use shapes an argument; nothing where it says nothing.
std::optional<Shape> shapeByUse(OpOperand &use, const CheckSizes &s, int64_t width) {
  Operation *user = use.getOwner();
  if (auto fused = dyn_cast<FusedOp>(user)) {
    if (use.get() == fused.getQuery())
      return Shape{s.batch, s.heads(), s.queries, width};
    return Shape{s.batch, s.keyHeads, s.keys, width};
  }
  if (auto product = dyn_cast<MatmulOp>(user)) {
    if (use.getOperandNumber() == 0)
      return Shape{s.batch, s.heads(), s.queries, width};
    bool transposedKey = isa<BlockArgument>(product.getA());
    return transposedKey ? Shape{s.batch, s.keyHeads, width, s.keys} : Shape{s.batch, s.keyHeads, s.keys, width};
  }
  if (isa<TransposeOp>(user))
    return Shape{s.batch, s.keyHeads, s.keys, width};
  if (auto load = dyn_cast<LoadOp>(user); load && use.getOperandNumber() == 0)
    return Shape(load.getIndices().size(), kTableSize);
  if (auto element = dyn_cast<ElementOp>(user); element && use.getOperandNumber() == 0 && element.getIndices().size() < 4)
    return Shape(element.getIndices().size(), kTableSize);
  return std::nullopt;
}

Shape shapeOf(BlockArgument argument, const CheckSizes &sizes) {
  int64_t width = storageOf(argument).width;
  for (OpOperand &use : argument.getUses())
    if (auto shape = shapeByUse(use, sizes, width ? width : kDefaultWidth))
      return *shape;
  return {sizes.batch, 1, sizes.queries, sizes.keys};
}

Tensor randomOf(Shape shape, DataType dtype, uint64_t seed) {
  Tensor numbers = Tensor::random(shape, DataType::kFloat32, seed).value();
  if (is_floating_point(dtype))
    return numbers.to(dtype).value();
  Tensor tensor = Tensor::empty(shape, dtype).value();
  for (int64_t i = 0; i < tensor.element_count(); ++i)
    store_from_double(tensor.data_as<char>() + i * static_cast<int64_t>(size_in_bytes(dtype)), dtype,
                      dtype == DataType::kBool ? numbers.data_as<float>()[i] < 0.5f : 8 * numbers.data_as<float>()[i]);
  return tensor;
}

} // namespace

CheckSizes sizesFor(func::FuncOp function) {
  CheckSizes sizes;
  sizes.group = std::max<int64_t>(groupOf(function), 1);
  return sizes;
}

std::vector<Tensor> inputsFor(func::FuncOp function, const CheckSizes &sizes, uint64_t seed) {
  std::vector<Tensor> inputs;
  for (BlockArgument argument : function.getArguments()) {
    uint64_t own = seed * 1000 + argument.getArgNumber();
    if (isa<TensorType>(argument.getType())) {
      inputs.push_back(randomOf(shapeOf(argument, sizes), dataTypeOf(storageOf(argument).type), own));
      continue;
    }
    // Scalars are scales and probabilities more often than not: in [0, 1); indices up to the keys.
    double number = Tensor::random({}, DataType::kFloat64, own, Distribution::kUniform).value().item();
    bool real = argument.getType().isF32();
    inputs.push_back(Tensor::full({}, real ? number : std::floor(number * sizes.keys),
                                  real ? DataType::kFloat32 : DataType::kInt32).value());
  }
  return inputs;
}

} // namespace tenon::check
