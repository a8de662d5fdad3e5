/// scaled_dot_product_attention with PyTorch's meaning of every argument.
///
///     softmax(scale · query · keyᵀ + mask) · value
///
///     query   [batch, heads, queries, width]        of 2 to 4 dimensions; missing ones are leading ones
///     key     [batch, key heads, keys, width]
///     value   [batch, key heads, keys, value width]
///     mask    any shape that broadcasts to [batch, heads, queries, keys]: bool (true takes part), or
///             a floating-point number that is added to the score
///     result  [batch, heads, queries, value width], of the query's element type
///
/// Where PyTorch leaves room: causal and a mask may be given together and both apply; a row with
/// nothing to attend to is zeros; dropout is a function of seed, offset and position (Dropout.h).
/// On a GPU scores beyond 10⁸ (float16) or 10⁹ (float32, bfloat16) give rows that are wrong or not
/// numbers; host and interpreter hold there.
/// https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
#pragma once

#include "tenon/Api.h"
#include "tenon/Function.h"
#include "tenon/Result.h"
#include "tenon/Tensor.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace tenon {

/// Which keys a query may see where it sees only those before it.
enum class CausalAlignment : uint8_t {
  kNone,
  kTopLeft,     ///< key <= query: PyTorch's is_causal
  kBottomRight, ///< key <= query + keys − queries: decoding with a cache
};

/// A CausalAlignment that may be written as a bool: true is kTopLeft.
class Causal {
public:
  Causal() = default;
  Causal(CausalAlignment alignment)
      : alignment_(alignment) {} // NOLINT(google-explicit-constructor)
  Causal(bool causal)            // NOLINT(google-explicit-constructor)
      : alignment_(causal ? CausalAlignment::kTopLeft : CausalAlignment::kNone) {}
  operator CausalAlignment() const { return alignment_; } // NOLINT(google-explicit-constructor)

private:
  CausalAlignment alignment_ = CausalAlignment::kNone;
};

struct AttentionOptions {
  const Tensor *mask = nullptr;
  double dropout = 0; ///< probability in [0, 1]
  Causal causal = {};
  std::optional<double> scale = {}; ///< by default 1/√width; any finite number
  bool enable_gqa = false;          ///< key heads may divide query heads: grouped-query attention
  Tensor *logsumexp = nullptr; ///< receives [batch, heads, queries], float32, natural logarithm
  Way device = Way::kAuto;
  int ordinal = 0;     ///< of a named cuda or emulator device
  uint64_t seed = 0;   ///< of dropout
  uint64_t offset = 0; ///< of dropout; at most 32 bits
  Stream stream = {};
  bool tf32 = false; ///< on a GPU: products of float32 by tensor cores, operands rounded to 11 bits
};

/// The short form: allocates the result where the inputs lie; copies to a named device and back
/// where it must; waits. Errors: the argument, what it was, and what it must be.
TENON_API Result<Tensor> scaled_dot_product_attention(const Tensor &query, const Tensor &key,
                                                      const Tensor &value,
                                                      const AttentionOptions &options = {});

/// Into tensors of the caller's, which lie on the device that runs it, as all inputs must.
/// options.logsumexp, where given, is such a tensor too. On a GPU it returns before the kernel
/// ends.
TENON_API Status scaled_dot_product_attention_into(const Tensor &output, const Tensor &query,
                                                   const Tensor &key, const Tensor &value,
                                                   const AttentionOptions &options = {});

/// The function behind a call, what it is called with and how: to prepare, explain or repeat it.
/// All calls of one process with the same combination of options share one Function; scale and
/// probability are scalars of the launch.
struct AttentionCall {
  Function function;
  std::vector<TensorReference> inputs;
  LaunchOptions launch;
};
TENON_API Result<AttentionCall> attention_call(const Tensor &query, const Tensor &key,
                                               const Tensor &value,
                                               const AttentionOptions &options = {});

/// Which parts of the graph a combination of options has: what the `tenon` command compiles by
/// shape.
struct AttentionGraphOptions {
  enum class Mask : uint8_t { kNone, kBool, kAdditive };
  Mask mask = Mask::kNone;
  Causal causal = {};
  bool dropout = false;
  bool logsumexp = false;
};
/// attention_function({…}) has inputs query, key, value, [mask], and scalars scale, [probability].
TENON_API Result<Function> attention_function(const AttentionGraphOptions &options,
                                              CompileOptions compile_options = {});

} // namespace tenon
