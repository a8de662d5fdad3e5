/// What is computed: shapes, element types, options, and what stands in the inputs.
#pragma once

#include "tenon/Tenon.h"

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace tenon::conformance {

/// What the inputs hold, and how they lie in memory.
enum class Inputs {
  kNormal,
  kLarge,        ///< scores of some thousands
  kTenThousand,  ///< of ±1e4 and more
  kNotANumber,   ///< NaN in one query row, and in keys that a causal mask hides from most queries
  kInfinite,     ///< an infinite element of a query
  kLateKey,      ///< one of the last keys is far above all others for some queries, far below for others
  kEarlyKey,     ///< the same of one of the first
  kSubnormal,    ///< half of all elements, in float16 below 2^-14, else below 2^-126
  kTransposed,   ///< views of [batch, rows, heads, width]
  kUnaligned,    ///< rows adjacent, the base off by one element
  kStrided,      ///< elements of a row not adjacent
  kBroadcast,    ///< one batch of keys and values for all
  kByColumns,    ///< query and key as [batch, heads, width, rows]; a traced lambda reads them so
};

enum class Mask {
  kNone,
  kBool,
  kBoolRows,
  kBoolKeys,
  kAdditive,
  kAdditiveHeads,
  kNothingVisible,
  // Near three times the query: most keys are hidden from all queries of a tile, and some queries see nothing.
  kBoolBand,          ///< the same for all batches and heads, by strides of 0
  kBoolBandHeads,     ///< of each head another
  kBoolBandByColumns, ///< whose columns, not rows, are adjacent
  kAdditiveBand,
  kBoolGap, ///< of keys, for all queries
  kAdditiveLowest, ///< the least number of its type instead of -inf; for some queries at all keys
};

struct Case {
  std::string name;
  DataType dtype = DataType::kFloat32;
  int64_t batch = 1, heads = 2, key_heads = 2, queries = 33, keys = 70, width = 32, value_width = 32;
  Inputs inputs = Inputs::kNormal;
  double far = 40; ///< kLateKey, kEarlyKey: what that key is multiplied by
  Mask mask = Mask::kNone;
  CausalAlignment causal = CausalAlignment::kNone;
  double dropout = 0;
  std::optional<double> scale;
  bool logsumexp = true;
  std::string without; ///< an effect that is left out: compiler/attention/Effects.h
  bool tf32 = false; ///< may be used for the products of float32
  /// Traced instead of scaled_dot_product_attention, where given.
  std::function<Result<Function>(CompileOptions)> traced;
  LaunchOptions launch;
};

inline void PrintTo(const Case &c, std::ostream *out) { *out << c.name; }

/// All cases; every name is an identifier.
const std::vector<Case> &cases();

// What the list is made of.
inline constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16};
/// Of these sizes, and nothing besides.
Case sized(std::string name, DataType dtype, int64_t batch, int64_t heads, int64_t key_heads, int64_t queries, int64_t keys,
           int64_t width, int64_t value_width);
void add_traced(std::vector<Case> &list); ///< TracedCases.cpp

/// The tensors of a case: query, key, value, then the mask where there is one.
std::vector<Tensor> make_inputs(const Case &c);

} // namespace tenon::conformance
