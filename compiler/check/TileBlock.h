/// The values of one block of a tile kernel while it is interpreted (TileInterpreter.h).
#pragma once

#include "compiler/check/Elements.h"
#include "compiler/check/ElementwiseOps.h"
#include "compiler/check/TileInterpreter.h"

#include "llvm/ADT/DenseMap.h"

#include <deque>
#include <memory>
#include <vector>

namespace tenon::check {

using mlir::LogicalResult;
using mlir::Operation;
using mlir::Value;

class TileBlock {
public:
  TileBlock(const TileLaunch &launch, const int32_t (&program)[3]) : launch(launch), program(program) {}

  /// A value, or a stage of a ring in shared memory.
  using Place = std::pair<Value, int64_t>;
  Place placeOf(Value value) const {
    auto stage = stages_.find(value);
    return stage == stages_.end() ? Place(value, 0) : stage->second;
  }
  void setStage(Value value, Place place) { stages_[value] = place; }

  const Elements &get(Value value) const { return *values_.at(placeOf(value)); }
  void set(Value value, Elements elements) { set(placeOf(value), std::move(elements)); }
  void set(Place place, Elements elements) {
    values_[place] = std::make_shared<const Elements>(std::move(elements));
  }
  void copy(Value to, std::shared_ptr<const Elements> from) { values_[placeOf(to)] = std::move(from); }
  std::shared_ptr<const Elements> share(Value value) const { return values_.at(placeOf(value)); }
  void setInteger(Value value, int64_t integer) {
    Elements elements = Elements::zeros(value.getType());
    elements.integers[0] = wrapTo(value.getType(), integer);
    set(value, std::move(elements));
  }

  /// Interprets the operations of a region (TileInterpreter.cpp).
  LogicalResult run(mlir::Block &block);

  const TileLaunch &launch;
  const int32_t (&program)[3];

  /// Copies into shared memory: they arrive at the wait that covers their group, not before.
  using Copies = std::vector<std::pair<Place, Elements>>;
  Copies openGroup;
  std::deque<Copies> groups;

private:
  llvm::DenseMap<Place, std::shared_ptr<const Elements>> values_;
  llvm::DenseMap<Value, Place> stages_;
};

} // namespace tenon::check
