/// What shapes the code of a kernel, and nothing else: two calls with equal signatures run one kernel.
///
/// Sequence lengths, batch, heads and strides are arguments of the kernel and stand in no signature,
/// unless the caller asks for an exact shape.
#pragma once

#include "tenon/Api.h"
#include "tenon/DataType.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

class Graph;

/// How the rows of a tensor lie in memory.
enum class Layout : uint8_t {
  kAligned,  ///< elements of a row adjacent; base and all other strides multiples of 16 bytes
  kRows,     ///< elements of a row adjacent
  kStrided,  ///< any strides
};

struct InputSignature {
  std::string name;
  DataType dtype = DataType::kFloat32;
  int32_t width = 0;  ///< the last dimension, where it shapes the code (query, key, value); else 0
  Layout layout = Layout::kAligned;
  bool operator==(const InputSignature &) const = default;
};

/// Sizes that are compiled in when the caller asks for an exact shape.
struct ExactShape {
  int32_t batch = 0, heads = 0, key_heads = 0, query_length = 0, key_length = 0;
  bool operator==(const ExactShape &) const = default;
};

/// The class of a query's length. Code for few queries cuts the keys in chunks that run side by side, and packs
/// the heads of a group into the rows of one tile. An image for any length holds entries of both classes, of which
/// a launch takes those of its own; an image for one class alone shows its stages, or is for an exact shape.
enum class QueryLengths : uint8_t { kAny, kFew, kMany };
inline constexpr int32_t kFewQueries = 16;  ///< at most: a fragment of mma.m16n8k16

struct TENON_API Signature {
  std::vector<InputSignature> inputs;  ///< in the order of the graph's inputs; scalars have width 0
  DataType output = DataType::kFloat32;
  int32_t group = 1;                   ///< query heads that share one key head
  std::optional<ExactShape> exact;
  QueryLengths queries = QueryLengths::kAny;
  bool tf32 = false;  ///< products of float32 on tensor cores, their operands rounded to 11 bits

  /// {"inputs": [{"name", "dtype", "width", "layout"}…], "output", "group", "queries"?, "tf32"?, "exact"?},
  /// one line, keys in this order, what has its default left out: equal signatures give equal text.
  std::string text() const;
  static Result<Signature> parse(std::string_view text);
  bool operator==(const Signature &) const = default;
};

TENON_API std::string_view name(Layout layout);
TENON_API Layout layout_of(const Tensor &tensor);

} // namespace tenon
