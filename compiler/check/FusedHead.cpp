#include "compiler/check/FusedHead.h"

#include "tenon/Dropout.h"

#include <cmath>

namespace tenon::check {
namespace {

double elementAt(const Tensor &tensor, int64_t batch, int64_t head, int64_t row, int64_t column) {
  int64_t index[] = {tensor.size(0) == 1 ? 0 : batch, head, row, column};
  return tensor.element_as_double(index);
}

// e^(score - maximum) of a row's visible keys; returns {sum, log-sum-exp}.
std::pair<double, double> formWeights(const Elements &scores, const Elements &visible, int64_t row, std::vector<double> &weights) {
  int64_t keys = static_cast<int64_t>(weights.size());
  double maximum = -INFINITY, sum = 0;
  for (int64_t j = 0; j < keys; ++j)
    if (visible.integers[row * keys + j])
      maximum = std::fmax(maximum, scores.reals[row * keys + j]);
  double reference = maximum == -INFINITY ? 0 : maximum;
  for (int64_t j = 0; j < keys; ++j) {
    bool seen = visible.integers[row * keys + j];
    sum += weights[j] = seen ? std::exp(scores.reals[row * keys + j] - reference) : 0;
  }
  return {sum, reference + std::log(sum)};
}

void applyDropout(const FusedHead &head, const AttentionLaunch &launch, int64_t row, std::vector<double> &weights) {
  auto stream = static_cast<uint32_t>(head.batch * head.query.size(1) + head.head);
  for (size_t j = 0; j < weights.size(); ++j) {
    uint16_t number = dropout_number(launch.seed, static_cast<uint32_t>(launch.offset), stream,
                                     static_cast<uint32_t>(row), static_cast<uint32_t>(j));
    bool kept = number >= dropout_threshold(static_cast<float>(*head.probability));
    weights[j] = kept ? weights[j] / (1 - *head.probability) : 0;
  }
}

} // namespace

void formProducts(const FusedHead &head, Elements &products, Elements &rows, Elements &columns) {
  for (int64_t i = 0; i < head.queries(); ++i)
    for (int64_t j = 0; j < head.keys(); ++j) {
      double sum = 0;
      for (int64_t d = 0; d < head.query.size(3); ++d)
        sum += elementAt(head.query, head.batch, head.head, i, d) * elementAt(head.key, head.batch, head.keyHead, j, d);
      products.reals[i * head.keys() + j] = static_cast<float>(sum);
      rows.integers[i * head.keys() + j] = i;
      columns.integers[i * head.keys() + j] = j;
    }
}

void computeRows(const FusedHead &head, const Elements &scores, const Elements &visible,
                 const AttentionLaunch &launch, Tensor &output, Tensor &logsumexp) {
  int64_t queries = head.queries(), keys = head.keys(), width = head.value.size(3);
  int64_t firstRow = (head.batch * head.query.size(1) + head.head) * queries;
  std::vector<double> weights(keys);
  for (int64_t i = 0; i < queries; ++i) {
    auto [sum, logarithm] = formWeights(scores, visible, i, weights);
    logsumexp.data_as<float>()[firstRow + i] = static_cast<float>(logarithm);
    if (head.probability)
      applyDropout(head, launch, i, weights);
    for (int64_t d = 0; d < width; ++d) {
      double total = 0;
      for (int64_t j = 0; j < keys; ++j) // a masked key's value does not leak, even where it is NaN
        total += weights[j] != 0 ? weights[j] * elementAt(head.value, head.batch, head.keyHead, j, d) : 0;
      output.data_as<float>()[(firstRow + i) * width + d] =
          static_cast<float>(sum == 0 ? 0 : total / sum);
    }
  }
}

} // namespace tenon::check
