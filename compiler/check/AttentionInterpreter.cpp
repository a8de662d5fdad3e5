#include "compiler/check/AttentionInterpreter.h"

#include "compiler/check/ElementwiseOps.h"
#include "compiler/check/FusedHead.h"
#include "dialects/attention/Attention.h"
#include "tenon/Graph.h"
#include "tenon/Interpreter.h"

#include "llvm/ADT/DenseMap.h"

#include <algorithm>

using namespace mlir;
using namespace tenon::attention;

namespace tenon::check {
namespace {

// Queries for which one set of bounds is asked: any size must do.
constexpr int64_t kBoundsQueries = 16;

ValueType valueTypeOf(Type type) {
  Type element = getElementTypeOrSelf(type);
  ElementKind kind = element.isF32() ? ElementKind::kReal : element.isInteger(1) ? ElementKind::kMask : ElementKind::kIndex;
  return {kind, !isa<TensorType>(type)};
}

// A tensor of rank 4, its missing dimensions of size 1.
Tensor withFourDimensions(Tensor tensor) {
  while (tensor.rank() < 4)
    tensor = tensor.unsqueeze(0).value();
  return tensor;
}

Elements integerScalar(MLIRContext *context, int64_t value) {
  Elements scalar = Elements::zeros(IntegerType::get(context, 32));
  scalar.integers[0] = value;
  return scalar;
}

class FunctionRun {
public:
  FunctionRun(func::FuncOp function, const AttentionLaunch &launch) : function_(function), launch_(launch) {
    for (auto [argument, tensor] : llvm::zip(function.getArguments(), launch.inputs))
      tensors_[argument] = tensor;
    function.walk([&](FusedOp op) { fused_ = op; });
  }

  FailureOr<std::vector<Tensor>> run();

private:
  FailureOr<Tensor> tensorOf(Value value);
  FailureOr<ValueId> exportValue(Value value, Graph &graph, DenseMap<Value, ValueId> &known, std::vector<Tensor> &inputs);
  LogicalResult runFused(FusedOp op);
  LogicalResult runHead(FusedOp op, const FusedHead &head, Tensor &output, Tensor &logsumexp);
  FailureOr<SmallVector<Elements>> runRegion(Region &region, ArrayRef<Elements> arguments);
  FailureOr<Elements> element(ElementOp op, const DenseMap<Value, Elements> &known);
  FailureOr<Elements> valueIn(Value value, const DenseMap<Value, Elements> &known);
  LogicalResult applyBounds(FusedOp op, int64_t batch, int64_t head, Elements &visible);

  func::FuncOp function_;
  const AttentionLaunch &launch_;
  DenseMap<Value, Tensor> tensors_;
  FusedOp fused_;
};

// What the value depends on becomes a graph again; tensors that are known already are its inputs.
FailureOr<ValueId> FunctionRun::exportValue(Value value, Graph &graph, DenseMap<Value, ValueId> &known,
                                            std::vector<Tensor> &inputs) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  auto done = [&](ValueId id) { return known[value] = id; };
  if (auto tensor = tensors_.find(value); tensor != tensors_.end()) {
    inputs.push_back(tensor->second);
    return done(*graph.add_input("input" + std::to_string(inputs.size()), valueTypeOf(value.getType())));
  }
  mlir::Operation *op = value.getDefiningOp();
  // Beside a fused operation there is no score space left to speak of.
  if (fused_ && isa<QueryLengthOp, KeyLengthOp>(op)) {
    Value rows = isa<QueryLengthOp>(op) ? fused_.getQuery() : fused_.getKey();
    FailureOr<Tensor> tensor = tensorOf(rows);
    if (failed(tensor))
      return failure();
    return done(graph.constant(static_cast<int32_t>(tensor->size(-2))));
  }
  if (auto constant = dyn_cast<attention::ConstantOp>(op)) {
    if (auto real = dyn_cast<FloatAttr>(constant.getValue()))
      return done(graph.constant(static_cast<float>(real.getValueAsDouble())));
    return done(graph.constant(static_cast<int32_t>(cast<IntegerAttr>(constant.getValue()).getInt())));
  }
  auto operation = find_operation(op->getName().stripDialect());
  if (!operation)
    return op->emitError("the attention interpreter has no such operation");
  SmallVector<ValueId> operands;
  for (Value operand : op->getOperands()) {
    FailureOr<ValueId> id = exportValue(operand, graph, known, inputs);
    if (failed(id))
      return failure();
    operands.push_back(*id);
  }
  auto id = graph.add(*operation, std::span<const ValueId>(operands.data(), operands.size()));
  if (!id)
    return op->emitError(id.error().message());
  return done(*id);
}

FailureOr<Tensor> FunctionRun::tensorOf(Value value) {
  if (auto found = tensors_.find(value); found != tensors_.end())
    return found->second;
  Graph graph;
  DenseMap<Value, ValueId> known;
  std::vector<Tensor> inputs;
  FailureOr<ValueId> id = exportValue(value, graph, known, inputs);
  if (failed(id))
    return failure();
  InterpreterOptions options;
  options.seed = launch_.seed, options.offset = launch_.offset;
  // Results of a graph are tensors: a scalar is made one, and taken out again.
  bool scalar = !isa<TensorType>(value.getType());
  ValueId result = *id;
  if (scalar) {
    auto one = graph.add_input("shape", valueTypeOf(UnrankedTensorType::get(value.getType())));
    auto mask = graph.add_input("chosen", kMaskTensor);
    result = graph.add(tenon::Operation::kWhere, {*mask, result, *one}).value();
    inputs.push_back(Tensor::zeros({1, 1, 1, 1}, value.getType().isF32() ? DataType::kFloat32 : DataType::kInt32).value());
    inputs.push_back(Tensor::full({1, 1, 1, 1}, 1, DataType::kBool).value());
  }
  if (auto status = graph.set_results({result}); !status)
    return function_.emitError(status.error().message());
  auto results = interpret(graph, inputs, options);
  if (!results)
    return function_.emitError(results.error().message());
  Tensor tensor = scalar ? results->front().reshape({}).value() : results->front();
  tensors_[value] = tensor;
  return tensor;
}

FailureOr<Elements> FunctionRun::valueIn(Value value, const DenseMap<Value, Elements> &known) {
  if (auto found = known.find(value); found != known.end())
    return found->second;
  FailureOr<Tensor> tensor = tensorOf(value); // a scalar from outside
  if (failed(tensor))
    return failure();
  Elements scalar = Elements::zeros(value.getType());
  if (scalar.isReal())
    scalar.reals[0] = tensor->item();
  else
    scalar.integers[0] = static_cast<int64_t>(tensor->item());
  return scalar;
}

FailureOr<Elements> FunctionRun::element(ElementOp op, const DenseMap<Value, Elements> &known) {
  FailureOr<Tensor> tensor = tensorOf(op.getTensor());
  if (failed(tensor))
    return failure();
  Tensor table = *tensor;
  while (table.rank() < static_cast<int>(op.getIndices().size()))
    table = table.unsqueeze(0).value();
  SmallVector<Elements, 4> indices;
  Elements result = Elements::zeros(op.getType());
  for (Value value : op.getIndices()) {
    FailureOr<Elements> index = valueIn(value, known);
    if (failed(index))
      return failure();
    if (index->size() > result.size())
      result.resizeLike(*index);
    indices.push_back(std::move(*index));
  }
  for (size_t i = 0; i < result.size(); ++i) {
    SmallVector<int64_t, 4> position;
    for (auto [dimension, index] : llvm::enumerate(indices))
      position.push_back(std::clamp<int64_t>(index.integers[index.size() == 1 ? 0 : i], 0,
                                             std::max<int64_t>(table.shape()[dimension] - 1, 0)));
    double value = table.element_as_double(std::span(position.data(), position.size()));
    if (result.isReal())
      result.reals[i] = value;
    else
      result.integers[i] = static_cast<int64_t>(value);
  }
  return result;
}

FailureOr<SmallVector<Elements>> FunctionRun::runRegion(Region &region, ArrayRef<Elements> arguments) {
  DenseMap<Value, Elements> known;
  for (auto [argument, elements] : llvm::zip(region.getArguments(), arguments))
    known[argument] = elements;
  SmallVector<Elements> yielded;
  for (mlir::Operation &op : region.front()) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      known[constant] = evaluateConstant(constant);
      continue;
    }
    if (isa<QueryLengthOp, KeyLengthOp>(op)) {
      FailureOr<Tensor> tensor = tensorOf(isa<QueryLengthOp>(op) ? fused_.getQuery() : fused_.getKey());
      if (failed(tensor))
        return failure();
      known[op.getResult(0)] = integerScalar(op.getContext(), tensor->size(-2));
      continue;
    }
    if (auto read = dyn_cast<ElementOp>(op)) {
      FailureOr<Elements> value = element(read, known);
      if (failed(value))
        return failure();
      known[read] = *value;
      continue;
    }
    SmallVector<Elements> operands;
    for (Value operand : op.getOperands()) {
      FailureOr<Elements> value = valueIn(operand, known);
      if (failed(value))
        return failure();
      operands.push_back(std::move(*value));
    }
    if (isa<YieldOp>(op)) {
      yielded = std::move(operands);
      break;
    }
    SmallVector<const Elements *> pointers;
    for (const Elements &operand : operands)
      pointers.push_back(&operand);
    auto result = evaluateElementwise(&op, pointers);
    if (!result)
      return op.emitError("the attention interpreter has no such operation");
    known[op.getResult(0)] = std::move(*result);
  }
  return yielded;
}

LogicalResult FunctionRun::applyBounds(FusedOp op, int64_t batch, int64_t head, Elements &visible) {
  int64_t queries = visible.shape[0], keys = visible.shape[1];
  for (int64_t first = 0; first < queries; first += kBoundsQueries) {
    int64_t last = std::min(first + kBoundsQueries, queries) - 1;
    MLIRContext *context = op.getContext();
    Elements arguments[] = {integerScalar(context, batch), integerScalar(context, head),
                            integerScalar(context, first), integerScalar(context, last)};
    auto bounds = runRegion(op.getBounds(), arguments);
    if (failed(bounds))
      return failure();
    int64_t keyBegin = (*bounds)[0].integer(), openBegin = (*bounds)[1].integer();
    int64_t openEnd = (*bounds)[2].integer(), keyEnd = (*bounds)[3].integer();
    for (int64_t i = first; i <= last; ++i)
      for (int64_t j = 0; j < keys; ++j) {
        int64_t &seen = visible.integers[i * keys + j];
        if (j < keyBegin || j >= keyEnd)
          seen = 0;
        else if (j >= openBegin && j < openEnd)
          seen = 1;
      }
  }
  return success();
}

// A constant region yields one element for all.
void spreadOver(const Elements &space, Elements &values) {
  if (values.size() == space.size() || values.size() != 1)
    return;
  Elements one = values;
  values.resizeLike(space);
  std::fill(values.reals.begin(), values.reals.end(), one.isReal() ? one.reals[0] : 0);
  std::fill(values.integers.begin(), values.integers.end(), one.isReal() ? 0 : one.integers[0]);
}

LogicalResult FunctionRun::runHead(FusedOp op, const FusedHead &head, Tensor &output, Tensor &logsumexp) {
  int64_t queries = head.queries(), keys = head.keys();
  MLIRContext *context = op.getContext();
  auto space = [&](Type type) { return Elements::zeros(RankedTensorType::get({queries, keys}, type)); };
  Type index = IntegerType::get(context, 32);
  Elements products = space(Float32Type::get(context)), rows = space(index), columns = space(index);
  formProducts(head, products, rows, columns);
  Elements batch = integerScalar(context, head.batch), number = integerScalar(context, head.head);
  auto mask = runRegion(op.getMask(), {batch, number, rows, columns});
  auto score = runRegion(op.getScore(), {products, batch, number, rows, columns});
  if (failed(mask) || failed(score))
    return failure();
  Elements &visible = mask->front(), &scores = score->front();
  spreadOver(products, visible);
  spreadOver(products, scores);
  if (!op.getBounds().empty() && failed(applyBounds(op, head.batch, head.head, visible)))
    return failure();
  computeRows(head, scores, visible, launch_, output, logsumexp);
  return success();
}

LogicalResult FunctionRun::runFused(FusedOp op) {
  Tensor operands[3];
  const Value values[] = {op.getQuery(), op.getKey(), op.getValue()};
  for (auto [tensor, value] : llvm::zip(operands, values)) {
    FailureOr<Tensor> known = tensorOf(value);
    if (failed(known))
      return failure();
    tensor = withFourDimensions(*known);
  }
  auto &[query, key, value] = operands;
  std::optional<double> probability;
  if (op.getProbability()) {
    FailureOr<Tensor> scalar = tensorOf(op.getProbability());
    if (failed(scalar))
      return failure();
    probability = scalar->item();
  }
  int64_t batches = std::max(query.size(0), key.size(0)), heads = query.size(1), queries = query.size(2);
  int64_t group = heads / std::max<int64_t>(key.size(1), 1);
  Tensor output = Tensor::zeros({batches, heads, queries, value.size(3)}).value();
  Tensor logsumexp = Tensor::zeros({batches, heads, queries}).value();
  for (int64_t b = 0; b < batches; ++b)
    for (int64_t h = 0; h < heads; ++h)
      if (failed(runHead(op, {query, key, value, probability, b, h, h / group}, output, logsumexp)))
        return failure();
  tensors_[op.getOutput()] = output;
  if (op.getLogsumexp())
    tensors_[op.getLogsumexp()] = logsumexp;
  return success();
}

FailureOr<std::vector<Tensor>> FunctionRun::run() {
  for (mlir::Operation &op : function_.getBody().front()) {
    if (auto fused = dyn_cast<FusedOp>(op))
      if (failed(runFused(fused)))
        return failure();
    if (!isa<func::ReturnOp>(op))
      continue;
    std::vector<Tensor> results;
    for (Value value : op.getOperands()) {
      FailureOr<Tensor> tensor = tensorOf(value);
      if (failed(tensor))
        return failure();
      results.push_back(*tensor);
    }
    return results;
  }
  return function_.emitError("the function returns nothing");
}

} // namespace

FailureOr<std::vector<Tensor>> runAttention(func::FuncOp function, const AttentionLaunch &launch) {
  if (launch.inputs.size() != function.getNumArguments())
    return function.emitError("takes ") << function.getNumArguments() << " inputs, was given " << launch.inputs.size();
  return FunctionRun(function, launch).run();
}

} // namespace tenon::check
