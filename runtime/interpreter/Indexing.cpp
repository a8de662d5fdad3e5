#include "interpreter/Blocks.h"
#include "interpreter/Value.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace tenon::interpreter {
namespace {

template <typename Element> Result<Value> single(Element element) {
  auto fresh = allocate({1, 1, 1, 1}, sizeof(Element));
  if (!fresh)
    return fresh.error();
  *fresh->template elements<Element>() = element;
  return std::move(fresh->value);
}

/// The table, and one view of int32 for each of its dimensions.
struct Lookup {
  const Value &table;
  std::span<const Value> indices;

  int64_t offset(int64_t batch, int64_t head, int64_t row, int64_t column) const {
    const size_t first = 4 - indices.size(); // the table's sizes stand at the end
    int64_t offset = 0;
    for (size_t d = 0; d < indices.size(); ++d) {
      const int64_t index = indices[d].elements<int32_t>()[indices[d].at(batch, head, row, column)];
      offset +=
          std::clamp<int64_t>(index, 0, table.shape[first + d] - 1) * table.strides[first + d];
    }
    return offset;
  }

  /// By bits: the elements are copied, never computed with.
  template <typename Bits> void run(const ValueShape &shape, Bits *result) const {
    const auto *elements = table.elements<Bits>();
    const auto cost = static_cast<int64_t>(8 * indices.size());
    for_blocks(shape[0] * shape[1] * shape[2], shape[3] * cost, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i)
        for (int64_t column = 0; column < shape[3]; ++column)
          result[i * shape[3] + column] = elements[offset(
              i / shape[2] / shape[1], i / shape[2] % shape[1], i % shape[2], column)];
    });
  }
};

} // namespace

template <typename Real> TENON_EVALUATION(constant) {
  return node.type.kind == ElementKind::kReal ? single<Real>(node.real())
                                              : single<int32_t>(node.index());
}

template <typename Real> TENON_EVALUATION(index) {
  auto fresh = allocate(shape, sizeof(int32_t));
  if (!fresh)
    return fresh.error();
  const int64_t count = element_count(shape); // all but one dimension are one
  std::iota(fresh->elements<int32_t>(), fresh->elements<int32_t>() + count, 0);
  return std::move(fresh->value);
}

template <typename Real> TENON_EVALUATION(length) {
  const bool of_queries = node.operation == Operation::kQueryLength;
  const InterpreterOptions &options = evaluation.options;
  const std::optional<int32_t> stated = of_queries ? options.query_length : options.key_length;
  const ValueShape &scores = *evaluation.shapes.scores; // shape inference refused graphs without
  return single<int32_t>(stated.value_or(static_cast<int32_t>(scores[of_queries ? 2 : 3])));
}

template <typename Real> TENON_EVALUATION(load) {
  const size_t bytes = element_bytes<Real>(node.type.kind);
  auto fresh = allocate(shape, bytes);
  if (!fresh)
    return fresh.error();
  const Lookup lookup{operands[0], operands.subspan(1)};
  if (bytes == 1)
    lookup.run(shape, fresh->template elements<uint8_t>());
  else if (bytes == 4)
    lookup.run(shape, fresh->template elements<uint32_t>());
  else
    lookup.run(shape, fresh->template elements<uint64_t>());
  return std::move(fresh->value);
}

TENON_INSTANTIATE_EVALUATION(constant);
TENON_INSTANTIATE_EVALUATION(index);
TENON_INSTANTIATE_EVALUATION(length);
TENON_INSTANTIATE_EVALUATION(load);

} // namespace tenon::interpreter
