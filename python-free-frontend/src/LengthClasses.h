/// Which rows and columns of a graph have the same length: a union of classes, one for the rows and
/// one for the columns of each value.
#pragma once

#include "tenon/Graph.h"

#include <cstddef>
#include <vector>

namespace tenon {

class LengthClasses {
public:
  explicit LengthClasses(const Graph &graph);

  bool columns_are_keys(ValueId value) { return find(columns(value)) == find(keys()); }
  bool columns_are_queries(ValueId value) { return find(columns(value)) == find(queries()); }

private:
  size_t rows(ValueId value) const { return 2 * static_cast<size_t>(value); }
  size_t columns(ValueId value) const { return rows(value) + 1; }
  size_t queries() const { return parent_.size() - 2; }
  size_t keys() const { return parent_.size() - 1; }

  size_t find(size_t i);
  void join(size_t a, size_t b) { parent_[find(a)] = find(b); }
  void visit(ValueId value);

  const Graph &graph_;
  std::vector<size_t> parent_;
};

} // namespace tenon
