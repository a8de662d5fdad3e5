#include "compiler/check/CheckInputs.h"

#include "compiler/attention/KernelSignature.h"
#include "compiler/check/Elements.h"
#include "dialects/attention/Attention.h"

#include "llvm/ADT/EquivalenceClasses.h"

using namespace mlir;
using namespace tenon::attention;

namespace tenon::check {
namespace {

constexpr int64_t kDefaultWidth = 16;

// Which rows and columns of a function's values are as many as there are queries or keys: classes of equal lengths.
class Lengths {
public:
  explicit Lengths(func::FuncOp function) {
    function.walk([&](Operation *op) { visit(op); });
  }
  enum Axis { kRows, kColumns };
  bool areQueries(Value value, Axis axis) const {
    return classes_.isEquivalent({value.getAsOpaquePointer(), axis}, kQueries);
  }
  bool areKeys(Value value, Axis axis) const {
    return classes_.isEquivalent({value.getAsOpaquePointer(), axis}, kKeys);
  }
  bool areEither(Value value, Axis axis) const { return areQueries(value, axis) || areKeys(value, axis); }

private:
  using Class = std::pair<const void *, int>;
  static constexpr Class kQueries{nullptr, kRows}, kKeys{nullptr, kColumns};
  static Class rows(Value value) { return {value.getAsOpaquePointer(), kRows}; }
  static Class columns(Value value) { return {value.getAsOpaquePointer(), kColumns}; }
  void join(Class a, Class b) { classes_.unionSets(a, b); }
  void join(Value a, Value b) {
    join(rows(a), rows(b));
    join(columns(a), columns(b));
  }
  void visit(Operation *op);
  void visitFused(FusedOp op);

  llvm::EquivalenceClasses<Class> classes_;
};

void Lengths::visitFused(FusedOp op) {
  join(rows(op.getQuery()), kQueries);
  join(rows(op.getKey()), kKeys);
  join(rows(op.getValue()), kKeys);
  join(columns(op.getQuery()), columns(op.getKey()));
  join(rows(op.getOutput()), kQueries);
  join(columns(op.getOutput()), columns(op.getValue()));
}

void Lengths::visit(Operation *op) {
  if (auto fused = dyn_cast<FusedOp>(op))
    return visitFused(fused);
  if (op->getNumResults() != 1 || !isa<TensorType>(op->getResult(0).getType()))
    return;
  Value result = op->getResult(0);
  if (isa<QueryIndexOp>(op))
    return join(rows(result), kQueries);
  if (isa<KeyIndexOp>(op))
    return join(columns(result), kKeys);
  if (auto product = dyn_cast<MatmulOp>(op)) {
    join(columns(product.getA()), rows(product.getB()));
    join(rows(result), rows(product.getA()));
    return join(columns(result), columns(product.getB()));
  }
  if (isa<TransposeOp>(op)) {
    join(rows(result), columns(op->getOperand(0)));
    return join(columns(result), rows(op->getOperand(0)));
  }
  if (isa<SoftmaxOp, LogsumexpOp>(op)) {
    join(rows(op->getOperand(0)), kQueries);
    join(columns(op->getOperand(0)), kKeys);
  }
  if (isa<LogsumexpOp>(op))
    return join(rows(result), kQueries);
  for (Value operand : op->getOperands().drop_front(isa<LoadOp>(op) ? 1 : 0))
    if (isa<TensorType>(operand.getType()))
      join(result, operand);
}

// How many dimensions a table has, by its indices; nothing where it is none.
std::optional<size_t> indicesOf(BlockArgument argument) {
  for (OpOperand &use : argument.getUses()) {
    if (auto load = dyn_cast<LoadOp>(use.getOwner()); load && use.getOperandNumber() == 0)
      return load.getIndices().size();
    if (auto element = dyn_cast<ElementOp>(use.getOwner()); element && element.getIndices().size() < 4)
      return element.getIndices().size();
  }
  return std::nullopt;
}

// Whether what follows from a value, element by element, is the right operand of a product: keys and values.
bool isRightOfProduct(Value value) {
  return llvm::any_of(value.getUses(), [](OpOperand &use) {
    Operation *user = use.getOwner();
    if (auto fused = dyn_cast<FusedOp>(user))
      return use.get() != fused.getQuery();
    if (isa<MatmulOp>(user))
      return use.getOperandNumber() == 1;
    return isa_and_nonnull<AttentionDialect>(user->getDialect()) &&
           !isa<SoftmaxOp, LogsumexpOp, LoadOp, ElementOp, YieldOp>(user) && user->getNumResults() == 1 &&
           isRightOfProduct(user->getResult(0));
  });
}

// What stands beside the scores is broadcast in one of these ways, by the seed.
Shape broadcast(const Shape &scores, uint64_t seed) {
  constexpr bool kKept[][4] = {{true, false, true, true}, {false, true, true, true}, {true, false, false, true},
                               {false, false, true, false}};
  Shape shape;
  for (auto [size, kept] : llvm::zip_equal(scores, kKept[seed % std::size(kKept)]))
    shape.push_back(kept ? size : 1);
  return shape;
}

Shape shapeOf(BlockArgument argument, const Lengths &lengths, const CheckSizes &sizes, uint64_t seed) {
  if (std::optional<size_t> indices = indicesOf(argument))
    return Shape(*indices, kTableSize);
  int64_t given = storageOf(argument).width, width = given ? given : kDefaultWidth;
  auto size = [&](Lengths::Axis axis) {
    return lengths.areQueries(argument, axis) ? sizes.queries : lengths.areKeys(argument, axis) ? sizes.keys : width;
  };
  Shape shape{sizes.batch, sizes.heads(), size(Lengths::kRows), size(Lengths::kColumns)};
  if (isRightOfProduct(argument))
    shape[1] = sizes.keyHeads;
  else if (lengths.areEither(argument, Lengths::kRows) && lengths.areEither(argument, Lengths::kColumns))
    return broadcast(shape, seed);
  else if (!lengths.areEither(argument, Lengths::kRows) && !lengths.areEither(argument, Lengths::kColumns))
    return broadcast({sizes.batch, sizes.heads(), sizes.queries, sizes.keys}, seed); // of fused regions
  return shape;
}

} // namespace

Tensor randomTensor(Shape shape, DataType dtype, uint64_t seed) {
  Tensor numbers = Tensor::random(shape, DataType::kFloat32, seed).value();
  if (is_floating_point(dtype))
    return numbers.to(dtype).value();
  Tensor tensor = Tensor::empty(shape, dtype).value();
  for (int64_t i = 0; i < tensor.element_count(); ++i)
    store_from_double(tensor.data_as<char>() + i * static_cast<int64_t>(size_in_bytes(dtype)), dtype,
                      dtype == DataType::kBool ? numbers.data_as<float>()[i] < 0.5f : 8 * numbers.data_as<float>()[i]);
  return tensor;
}

// Scales and probabilities more often than not: in [0, 1); indices up to the keys.
Tensor randomNumber(bool real, const CheckSizes &sizes, uint64_t seed) {
  double number = Tensor::random({}, DataType::kFloat64, seed, Distribution::kUniform).value().item();
  return Tensor::full({}, real ? number : std::floor(number * static_cast<double>(sizes.keys)),
                      real ? DataType::kFloat32 : DataType::kInt32).value();
}

CheckSizes sizesFor(func::FuncOp function) {
  CheckSizes sizes;
  sizes.group = std::max<int64_t>(groupOf(function), 1);
  if (hasFewQueries(function)) // more than one chunk of keys
    sizes.queries = 5, sizes.keys = 530;
  if (std::optional<ExactShape> exact = exactShapeOf(function))
    sizes = {exact->batch, exact->key_heads, std::max(1, exact->heads / exact->key_heads), exact->query_length,
             exact->key_length};
  return sizes;
}

std::vector<Tensor> inputsFor(func::FuncOp function, const CheckSizes &sizes, uint64_t seed) {
  std::vector<Tensor> inputs;
  Lengths lengths(function);
  for (BlockArgument argument : function.getArguments()) {
    uint64_t own = seed * 1000 + argument.getArgNumber();
    if (isa<TensorType>(argument.getType())) {
      Shape shape = shapeOf(argument, lengths, sizes, seed + argument.getArgNumber());
      inputs.push_back(randomTensor(std::move(shape), dataTypeOf(storageOf(argument).type), own));
      continue;
    }
    inputs.push_back(randomNumber(argument.getType().isF32(), sizes, own));
  }
  return inputs;
}

} // namespace tenon::check
