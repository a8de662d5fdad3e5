#include "bench/Beside.h"

#include <algorithm>
#include <sstream>
#include <tuple>

namespace tenon::command {
namespace {

auto sizes_of(const ShapeOptions &shape) {
  return std::tuple(shape.batch, shape.heads, shape.key_heads, shape.queries, shape.keys,
                    shape.head_dim, shape.dtype, shape.causal.empty());
}

} // namespace

Result<Beside> Beside::read(const std::string &path) {
  TENON_ASSIGN_OR_RETURN(const std::string text, read_text(path));
  Beside beside;
  try {
    for (const Json &row : Json::parse(text)) {
      ShapeOptions shape;
      shape.batch = row.at("batch"), shape.heads = row.at("heads"),
      shape.key_heads = row.at("kv_heads");
      shape.queries = row.at("queries"), shape.keys = row.at("keys"),
      shape.head_dim = row.at("head_dim");
      shape.dtype = row.at("dtype");
      shape.causal = row.at("causal").get<bool>() ? "top-left" : "";
      beside.rows_.push_back({row.at("by"), shape, row.at("milliseconds")});
    }
  } catch (const Json::exception &wrong) {
    return Error::invalid_argument("--beside", path,
                                   std::string("an array of figures: ") + wrong.what());
  }
  return beside;
}

std::vector<std::string> Beside::names() const {
  std::vector<std::string> names;
  for (const Row &row : rows_)
    if (row.by != "Tenon" && std::ranges::find(names, row.by) == names.end())
      names.push_back(row.by);
  return names;
}

std::optional<double> Beside::milliseconds(const std::string &by, const ShapeOptions &shape) const {
  for (const Row &row : rows_)
    if (row.by == by && sizes_of(row.shape) == sizes_of(shape))
      return row.milliseconds;
  return std::nullopt;
}

} // namespace tenon::command
