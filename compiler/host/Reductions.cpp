// Maxima and sums over the columns of a tile.
#include "compiler/host/BlockProgram.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

LogicalResult BlockProgram::lowerReduce(ReduceOp op) {
  Value source = op.getSource();
  auto type = cast<RankedTensorType>(source.getType());
  bool isSum = op.getReduction() == Reduction::sum, pairs = hasPairs(type);
  if (!type.getElementType().isF32() && !(pairs && isSum))
    return op.emitOpError("reduces float32 on the host, not ") << type.getElementType();
  int64_t rows = type.getDimSize(0);
  if (auto pending = pendingProducts_.find(op); pending != pendingProducts_.end())
    return lowerProductAndReduce(pending->second, op);
  Values carried = identityOf(op.getReduction(), rows);
  Cone cone;
  if (failed(collect(source, cone)))
    return failure();
  done_.insert(op);
  auto hook = [&](Value, const Values &elements, ValueRange state) {
    return fold(op.getReduction(), type, elements, state);
  };
  if (failed(forEachColumn(source, cone, planStores(source, cone, /*storeTile=*/false), carried,
                           hook)))
    return failure();
  vectors_[op.getResult()] = carried;
  return success();
}

Values BlockProgram::identityOf(Reduction reduction, int64_t rows) {
  double identity = reduction == Reduction::sum ? 0 : -std::numeric_limits<double>::infinity();
  return Values(rows / lanesOf(rows), filled(vectorOf(builder_.getF32Type(), rows), identity));
}

Values BlockProgram::fold(Reduction reduction, Type type, const Values &elements, ValueRange soFar) {
  int64_t lanes = lanesOf(cast<RankedTensorType>(type).getDimSize(0));
  Values next;
  for (auto [i, sum] : llvm::enumerate(soFar)) {
    Value element = broadcast(elements.size() == 1 ? elements[0] : elements[i], lanes);
    if (sumsWords(type)) {
      next.push_back(units_ ? addPairs(element, sum)
                            : multiplyPairs(element, filled(element.getType(), kPairOfOnes), sum));
    } else if (reduction == Reduction::sum) {
      next.push_back(arith::AddFOp::create(builder_, sum, element));
    } else {
      // One instruction on x86, that passes over NaN.
      Value greater = arith::CmpFOp::create(builder_, arith::CmpFPredicate::OGT, element, sum);
      next.push_back(arith::SelectOp::create(builder_, greater, element, sum));
    }
  }
  return next;
}
