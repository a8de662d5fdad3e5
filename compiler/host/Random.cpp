// The numbers of dropout: Philox 4x32-10, for one query a lane.
#include "compiler/host/BlockProgram.h"
#include "tenon/Dropout.h"

using namespace mlir;
using namespace tenon;
using namespace tenon::tile;

namespace {

// Keys that one call covers repeat after this many; four calls cover them all, two adjacent of
// eight each.
constexpr int64_t kPeriod = 32, kStride = 8, kCalls = 4;

struct Philox {
  ImplicitLocOpBuilder &b;
  Type type; // vector of i32

  Value constant(uint32_t value) {
    return arith::ConstantOp::create(
        b, DenseElementsAttr::get(cast<VectorType>(type), static_cast<int32_t>(value)));
  }
  Value exclusiveOr(Value x, Value y) { return arith::XOrIOp::create(b, x, y); }

  // counter ends as the four words
  void operator()(Value (&counter)[4], Value key0, Value key1) {
    Value multiplier0 = constant(kPhiloxMultiplier0), multiplier1 = constant(kPhiloxMultiplier1);
    Value weyl0 = constant(kPhiloxWeyl0), weyl1 = constant(kPhiloxWeyl1);
    for (int round = 0; round < kPhiloxRounds; ++round) {
      auto product0 = arith::MulUIExtendedOp::create(b, counter[0], multiplier0);
      auto product1 = arith::MulUIExtendedOp::create(b, counter[2], multiplier1);
      Value word0 = exclusiveOr(exclusiveOr(product1.getHigh(), counter[1]), key0);
      Value word2 = exclusiveOr(exclusiveOr(product0.getHigh(), counter[3]), key1);
      counter[0] = word0, counter[1] = product1.getLow();
      counter[2] = word2, counter[3] = product0.getLow();
      key0 = arith::AddIOp::create(b, key0, weyl0);
      key1 = arith::AddIOp::create(b, key1, weyl1);
    }
  }
};

} // namespace

LogicalResult BlockProgram::lowerRandom(RandomOp op) {
  auto tile = cast<RankedTensorType>(op.getResult().getType());
  int64_t rows = tile.getDimSize(0), lanes = lanesOf(rows);
  int64_t vectorBytes = lanes * sizeof(int32_t), columnBytes = rows * sizeof(int32_t);
  int64_t offset = allocateBuffer(tile);
  bind(op.getResult(), offset);

  auto vector = VectorType::get({lanes}, builder_.getI32Type());
  Type word = builder_.getI32Type();
  Value seed = scalars_.lookup(op.getSeed());
  Value high = arith::ShRUIOp::create(builder_, seed, i64(32));
  Value key0 = broadcast(arith::TruncIOp::create(builder_, word, seed), lanes);
  Value key1 = broadcast(arith::TruncIOp::create(builder_, word, high), lanes);
  Value stream = broadcast(scalars_.lookup(op.getStream()), lanes);
  Value position = broadcast(scalars_.lookup(op.getOffset()), lanes);
  Value firstBlock =
      arith::DivUIOp::create(builder_, scalars_.lookup(op.getColumn()), i32(kPeriod));
  auto numbers = llvm::to_vector(llvm::seq<int32_t>(0, lanes));
  Value lane =
      arith::ConstantOp::create(builder_, DenseElementsAttr::get(vector, ArrayRef(numbers)));
  Value firstRow = add(broadcast(scalars_.lookup(op.getRow()), lanes), lane);

  Value calls = i64(tile.getDimSize(1) / kPeriod * kCalls);
  loop(i64(0), calls, 1, [&](Value call) {
    Value call32 = arith::TruncIOp::create(builder_, word, call);
    Value counter1 = add(multiply(firstBlock, i32(kCalls)), call32);
    Value block = arith::DivUIOp::create(builder_, call, i64(kCalls));
    Value within = arith::RemUIOp::create(builder_, call, i64(kCalls));
    Value column = add(multiply(block, i64(kPeriod)), multiply(within, i64(2)));
    Value start = byte(buffer(offset), multiply(column, i64(columnBytes)));
    loop(i64(0), i64(rows), lanes, [&](Value row) {
      Value row32 = arith::TruncIOp::create(builder_, word, row);
      Value query = add(firstRow, broadcast(row32, lanes)), ofRow = stream;
      if (op.getGroup() != 1) { // packed rows
        Value group = filled(vector, op.getGroup());
        ofRow = add(stream, arith::RemUIOp::create(builder_, query, group));
        query = arith::DivUIOp::create(builder_, query, group);
      }
      Value counter[] = {query, broadcast(counter1, lanes), ofRow, position};
      Philox{builder_, vector}(counter, key0, key1);
      Value place = byte(start, multiply(row, i64(sizeof(int32_t))));
      for (auto [i, drawn] : llvm::enumerate(counter)) {
        Value even = arith::AndIOp::create(builder_, drawn, filled(vector, 0xffff));
        Value odd = arith::ShRUIOp::create(builder_, drawn, filled(vector, 16));
        store(even, byte(place, i * kStride * columnBytes), vectorBytes);
        store(odd, byte(place, (i * kStride + 1) * columnBytes), vectorBytes);
      }
    });
  });
  return success();
}
