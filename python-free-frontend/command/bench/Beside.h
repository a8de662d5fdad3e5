/// Figures of other programs for the same shapes, measured in turns with Tenon by tests/benchmarks/peers.
///
///     [{"by": "PyTorch", "batch": 1, "heads": 8, "kv_heads": 8, "queries": 1024, "keys": 1024, "head_dim": 64,
///       "dtype": "f32", "causal": false, "milliseconds": 21.4}, …]
///
/// Rows by "Tenon" are what it took in those turns; where there are none, what this run measured stands beside.
#pragma once

#include "ShapeOptions.h"

#include <optional>
#include <string>
#include <vector>

namespace tenon::command {

class Beside {
public:
  /// Errors: kIo, and kInvalidArgument for what is not of the form above, naming `path`.
  static Result<Beside> read(const std::string &path);

  /// Everybody but Tenon, in the order of the file.
  std::vector<std::string> names() const;
  std::optional<double> milliseconds(const std::string &by, const ShapeOptions &shape) const;

private:
  struct Row {
    std::string by;
    ShapeOptions shape;
    double milliseconds;
  };
  std::vector<Row> rows_;
};

} // namespace tenon::command
