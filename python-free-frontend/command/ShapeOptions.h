/// The shape flags that compile, explain and bench have in common, and what they stand for.
#pragma once

#include "Command.h"

#include "tenon/Attention.h"

#include <string>
#include <vector>

namespace tenon::command {

struct ShapeOptions {
  int64_t batch = 1, heads = 1, key_heads = 0, queries = 128, keys = 128, head_dim = 64,
          value_dim = 0;
  std::string dtype = "f32", causal, mask;
  bool dropout = false, logsumexp = false, tf32 = false;

  void add_to(CLI::App &app);
  /// Takes the defaults that depend on others; errors: sizes below zero, heads that do not divide.
  Result<void> complete();

  /// Refuses the flags that say what is computed, given `where` a graph says it.
  Result<void> refuse_formula(const std::string &where) const;

  AttentionGraphOptions graph() const;
  /// query, key, value, [mask]: sizes without memory, as a device of this kind would hold them.
  Result<std::vector<Tensor>> tensors(DeviceKind kind) const;
  /// Pairs of a query and a key that take part.
  double pairs() const;
  /// Floating-point operations of the two products: 2 · pairs · (width + value width).
  double operations() const;
  std::string short_text() const; ///< "(1, 8, 1024, 64), f32, causal": batch, heads, length, width
  std::string text() const; ///< "batch 1, heads 8, 1024 x 1024, width 64, f32, causal"
};

/// Stand-ins for the inputs of any graph: the first three real ones as query, key, value; masks and
/// biases of the scores' size; tables of ones.
Result<std::vector<Tensor>> stand_ins(const Graph &graph, const ShapeOptions &shape);

} // namespace tenon::command
