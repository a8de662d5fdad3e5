/// Makes the kernel of FlashForward.h: its frame and the plain step in FlashForward.cpp, the steps that rescale only
/// where they must in LazyRescaling.cpp, blocks that share chunks of keys in GroupedQueries.cpp, launches whose keys
/// are cut in ChunkedQueries.cpp.
#pragma once

#include "kernels/FlashForward.h"
#include "kernels/KeyLoops.h"

#include "dialects/tile/Schedule.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

namespace tenon::kernels {

using mlir::ImplicitLocOpBuilder;
using mlir::RankedTensorType;
using mlir::SmallVector;
using mlir::Type;
using mlir::Value;
namespace arith = mlir::arith;

inline constexpr float kInfinity = std::numeric_limits<float>::infinity();

class FlashForwardMaker {
public:
  FlashForwardMaker(ImplicitLocOpBuilder &builder, const FlashForwardPlan &plan,
                    const FlashForwardHoles &holes)
      : b(builder), plan_(plan), holes_(holes), f32_(b.getF32Type()),
        rows_(RankedTensorType::get({plan.tileQueries}, f32_)),
        scores_(RankedTensorType::get({plan.tileQueries, plan.tileKeys}, f32_)),
        output_(RankedTensorType::get({plan.tileQueries, plan.paddedValueWidth}, f32_)) {}

  void build();

private:
  struct State {
    Value maximum, sum, output; // m, ℓ, O
  };
  struct Left {
    Value maximum, sum, output; // tensors that begin where these do
    Value row;
  };
  struct Probabilities {
    Value maximum, correction, p; // m', α, P
  };

  Value index(int64_t value) { return arith::ConstantOp::create(b, b.getI32IntegerAttr(value)); }
  Value real(float value) { return arith::ConstantOp::create(b, b.getF32FloatAttr(value)); }
  Value filled(RankedTensorType type, float value) {
    return arith::ConstantOp::create(b, mlir::DenseElementsAttr::get(type, value));
  }
  Value tensor(uint32_t slot, Type element) {
    return tile::TensorOp::create(b, tile::TensorType::get(b.getContext(), element), slot);
  }
  // Sums and products of the softmax may be contracted to fused multiply-adds.
  template <typename Op> Value contracted(Value left, Value right) {
    return Op::create(b, left, right, arith::FastMathFlags::contract);
  }
  Value expand(Value rows, RankedTensorType type) { return tile::ExpandOp::create(b, type, rows); }
  Value select(Value condition, Value yes, Value no) {
    return arith::SelectOp::create(b, condition, yes, no);
  }

  void prologue();
  void findBlock();
  void beginRows(Value number);
  KeyLoops planLoops(std::optional<KeyRange> range);
  State visit(const KeyLoops &loops, State state);
  void buildGroups();
  void visitChunk(const KeyRange &range, const KeyRange &all, Value group);
  void cutKeys(Value blocks);
  KeyRange rangeOfCut();
  Left leftBy(Value chunk);
  State addChunks(const State &state);
  Value leaveChunk(const State &state);
  void prepareDropout();
  std::optional<KeyBounds> findBounds();
  using Step = State (FlashForwardMaker::*)(Value firstKey, const KeyLoop &keys, const State &state);
  State loop(const KeyLoop &keys, State state);
  State turn(Value firstKey, const KeyLoop &keys, const State &state);
  bool hasFirstReference(const KeyLoops &keys) const;
  Value firstReference(const KeyLoops &keys);
  Step stepOf(const KeyLoop &keys) const;
  State step(Value firstKey, const KeyLoop &keys, const State &state);
  State stepByRowSum(Value firstKey, const KeyLoop &keys, const State &state);
  State stepByLaneMaxima(Value firstKey, const KeyLoop &keys, const State &state);
  Value endOf(const KeyLoop &keys);
  SmallVector<Value> follow(Value x, Value factor, const State &state);
  Value greatestScore(Value x, Value factor, bool ofLane);
  Value grown(Value maximum, Value reference);
  SmallVector<Value> renew(Value firstKey, Value key, Value mask, Value stale, const State &state);
  tile::LoadOp load(Value tensor, Type element, Value head, Value row, Value limit, int64_t rows,
                    int64_t width, int64_t padded, uint32_t layout, int64_t group = 1);
  Value loadKey(Value firstKey, Value end) { return loadKey(firstKey, end, plan_.tileKeys); }
  Value loadKey(Value firstKey, Value end, int64_t keys);
  Value loadValue(Value firstKey, Value end);
  Value products(Value key, bool again);
  Value score(Value firstKey, Value key);
  Probabilities exponentiate(Value x, Value blockMaximum, Value maximum, Value stale, Value mask);
  Value isSmall(Value reference);
  Value smallOrNaN(Value reference);
  Value inSteps(Value reference);
  Value lessReference(Value x, Value reference);
  Value power(Value difference);
  Value visible(Value firstKey, Value end, RankedTensorType scores);
  Value hidden(Value mask, Value scores);
  Value rounded(Value probabilities);
  Value rowSum(Value probabilities, Value operand);
  Value dropped(Value probabilities, Value operand, Value firstKey);
  void epilogue(const State &state);
  void storeResults(Value output, Value logsumexp, Value rows);
  void storePartial(Value output, const State &state);

  ImplicitLocOpBuilder &b;
  const FlashForwardPlan &plan_;
  const FlashForwardHoles &holes_;
  Type f32_;
  RankedTensorType rows_, scores_, output_;

  FlashForwardBlock block_;
  Value number_; // of the block of rows
  Value chunk_;  // its number, where there are chunks
  Value blocks_, combines_, chunkKeys_; // of chunkedQueries: blocks of rows, whether this is the second phase
  Value keptMaximum_, keptSum_, keptOutput_; // rings of m, ℓ and O, where blocks share chunks
  Value keyHead_, queryTensor_, keyTensor_, valueTensor_, outputTensor_, query_;
  Value factor_;       // log₂e · c, where maxima are taken of products
  bool standsBesideMasks_ = false; // the reference of rows, in blocks with a mask too
  Value firstVisited_; // key, where the loops count distances down from it
  // Dropout: the threshold of the 16-bit numbers, 1 / (1 − p), and what the numbers depend on.
  Value threshold_, keepScale_, seed_, offset_, stream_;
};

} // namespace tenon::kernels
