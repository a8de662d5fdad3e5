/// One head of `attention.fused`, computed from its definition: products, then softmax, dropout and the
/// product with the values, in float64.
#pragma once

#include "compiler/check/AttentionInterpreter.h"
#include "compiler/check/Elements.h"

#include <optional>

namespace tenon::check {

/// One head of one sequence: what it attends with.
struct FusedHead {
  const Tensor &query, &key, &value;  ///< of rank 4, broadcast over the batch where it has one sequence
  std::optional<double> probability;  ///< of dropout
  int64_t batch, head, keyHead;
  int64_t queries() const { return query.size(2); }
  int64_t keys() const { return key.size(2); }
};

/// query . keyT, and the indices of its rows and columns.
void formProducts(const FusedHead &head, Elements &products, Elements &rows, Elements &columns);

/// The head's rows of the results, from scores and mask of [queries, keys].
void computeRows(const FusedHead &head, const Elements &scores, const Elements &visible,
                 const AttentionLaunch &launch, Tensor &output, Tensor &logsumexp);

} // namespace tenon::check
