#include "tenon/Dropout.h"

#include "interpreter/Blocks.h"
#include "interpreter/Value.h"

#include <cmath>
#include <limits>
#include <string>

namespace tenon {
namespace {

constexpr int64_t kKeysOfBlock = 32;
constexpr int64_t kStepsPerKey = 16; // ten rounds for eight keys

Status check_draw(uint64_t offset, double probability) {
  if (!(probability >= 0 && probability <= 1))
    return Error::invalid_argument("dropout probability", std::to_string(probability),
                                   "a number in [0, 1]");
  if (offset > kMaxDropoutOffset)
    return Error::invalid_argument("offset", std::to_string(offset), "at most 4294967295");
  return {};
}

/// One row of draws: which heads, and which query.
struct DropoutRow {
  uint64_t seed;
  uint32_t offset, head, query, threshold;

  /// Calls visit(key, kept) for all keys, in ascending order.
  template <typename Visit> void for_keys(int64_t keys, const Visit &visit) const {
    for (int64_t first = 0; first < keys; first += kKeysOfBlock) {
      const auto numbers =
          dropout_numbers(seed, offset, head, query, static_cast<uint32_t>(first / kKeysOfBlock));
      const int64_t count = std::min(kKeysOfBlock, keys - first);
      for (int64_t i = 0; i < count; ++i)
        visit(first + i, numbers[static_cast<size_t>(i)] >= threshold);
    }
  }
};

} // namespace

Result<Tensor> dropout_mask(uint64_t seed, uint64_t offset, int64_t batch, int64_t heads,
                            int64_t queries, int64_t keys, float probability) {
  TENON_TRY(check_draw(offset, probability));
  for (const int64_t size : {batch, heads, queries, keys})
    if (size < 0 || size > std::numeric_limits<int32_t>::max())
      return Error::invalid_argument("size of the dropout mask", std::to_string(size),
                                     "0 to 2147483647");
  TENON_ASSIGN_OR_RETURN(Tensor mask,
                         Tensor::empty({batch, heads, queries, keys}, DataType::kBool));
  const uint32_t threshold = dropout_threshold(probability);
  interpreter::for_blocks(
      batch * heads * queries, keys * kStepsPerKey, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          bool *row_mask = mask.data_as<bool>() + i * keys;
          const DropoutRow row{seed, static_cast<uint32_t>(offset),
                               static_cast<uint32_t>(i / queries),
                               static_cast<uint32_t>(i % queries), threshold};
          row.for_keys(keys, [&](int64_t key, bool kept) { row_mask[key] = kept; });
        }
      });
  return mask;
}

namespace interpreter {

template <typename Real> TENON_EVALUATION(dropout) {
  const Value &probabilities = operands[0];
  const Real probability = *operands[1].elements<Real>();
  const InterpreterOptions &options = evaluation.options;
  TENON_TRY(check_draw(options.offset, static_cast<double>(probability)));
  TENON_ASSIGN_OR_RETURN(Fresh fresh, allocate(shape, sizeof(Real)));
  const uint32_t threshold = dropout_threshold(static_cast<float>(probability));
  const Real scale = 1 / (1 - probability);
  for_blocks(shape[0] * shape[1] * shape[2], shape[3] * kStepsPerKey,
             [&](int64_t first, int64_t last) {
               for (int64_t i = first; i < last; ++i) {
                 const int64_t query = i % shape[2], head = i / shape[2]; // batch * heads + head
                 const Real *from = probabilities.elements<Real>() +
                                    probabilities.at(head / shape[1], head % shape[1], query, 0);
                 Real *to = fresh.elements<Real>() + i * shape[3];
                 const DropoutRow row{options.seed, static_cast<uint32_t>(options.offset),
                                      static_cast<uint32_t>(head), static_cast<uint32_t>(query),
                                      threshold};
                 row.for_keys(shape[3], [&](int64_t key, bool kept) {
                   to[key] = kept ? from[key * probabilities.strides[3]] * scale : Real{0};
                 });
               }
             });
  return std::move(fresh.value);
}

TENON_INSTANTIATE_EVALUATION(dropout);

} // namespace interpreter
} // namespace tenon
