/// What is to be compiled ahead: a list of kernels in JSON.
///
///     {"tenon_manifest": 1,
///      "targets": ["sm_80", "host:x86-64-v3"],
///      "kernels": [
///        {"sdpa": {"heads": 32, "kv_heads": [32, 8], "head_dim": {"from": 64, "to": 128, "step":
///        64},
///                  "dtype": ["f16", "bf16"], "causal": [false, true], "logsumexp": false}},
///        {"graph": "func.func @attention(…", "signature": {"inputs": […], "output": "f16",
///        "group": 4}},
///        {"file": "alibi.mlir", "shape": {"heads": 8, "head_dim": 64, "dtype": "f16"},
///         "options": {"tile_queries": 64}}]}
///
/// Every member of "sdpa" and "shape" may be a value, a list, or, for a number, a range: all
/// combinations are meant. `causal` is false, true, "top-left" or "bottom-right"; `mask` "none",
/// "bool" or "additive"; `dropout` and `logsumexp` are false or true. "targets" may be left to the
/// command line. A graph with a signature is what `tenon cache record` writes. Files are found
/// beside the manifest.
#pragma once

#include "tenon/Result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::command {

struct KernelShape {
  int64_t heads = 1, key_heads = 0, head_dim = 64, value_dim = 0; ///< 0: as the one before it
  std::string dtype = "f16", causal = "false", mask = "none";
  bool dropout = false, logsumexp = false;
};

/// One kernel, whatever the target.
struct ManifestKernel {
  std::string place;                ///< "kernels[2].sdpa"
  std::optional<KernelShape> shape; ///< of attention, or of the graph in `file`
  std::string file;
  std::string graph, signature; ///< where there is no shape
  std::string options = "{}";
};

struct Manifest {
  std::vector<std::string> targets;
  std::vector<ManifestKernel> kernels; ///< ranges taken apart, in the order of the text
};

/// Errors: kInvalidArgument that names the member, what it was and what it must be.
Result<Manifest> parse_manifest(std::string_view text);

} // namespace tenon::command
