// Subnormal numbers are zero on both sides: tile units have them so always, and kernels run so.
#include "compiler/host/EmulatedTiles.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace tenon::tile_unit;

void EmulatedTiles::zero(int64_t tile) {
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(words_));
  forEachRow({}, [&](Value row, ValueRange) {
    write(none, place(of(tile), row, i64(kRowBytes)));
    return Values();
  });
}

void EmulatedTiles::load(int64_t tile, Value pointer, Value stride) {
  copy(pointer, stride, of(tile), i64(kRowBytes));
}

void EmulatedTiles::store(int64_t tile, Value pointer, Value stride) {
  copy(of(tile), i64(kRowBytes), pointer, stride);
}

// Even and odd terms are summed up apart, from zero, before both join the sum.
void EmulatedTiles::multiply(int64_t sum, int64_t left, int64_t right) {
  Value none = arith::ConstantOp::create(b, b.getZeroAttr(floats_));
  Value a = of(left), pairs = of(right), c = of(sum);
  forEachRow({}, [&](Value row, ValueRange) {
    Value ofRow = place(a, row, i64(kRowBytes));
    Values sums = forEachRow({none, none}, [&](Value k, ValueRange soFar) {
      Value word = LLVM::LoadOp::create(b, b.getI32Type(), place(ofRow, k, i64(4)), 2);
      Value terms = vector::BroadcastOp::create(b, words_, word);
      Value others = read(words_, place(pairs, k, i64(kRowBytes)));
      return Values{math::FmaOp::create(b, first(terms), first(others), soFar[0]).getResult(),
                    math::FmaOp::create(b, second(terms), second(others), soFar[1]).getResult()};
    });
    Value both = arith::AddFOp::create(b, sums[0], sums[1]);
    Value target = place(c, row, i64(kRowBytes));
    write(arith::AddFOp::create(b, read(floats_, target), both), target);
    return Values();
  });
}

Value EmulatedTiles::i64(int64_t value) { return arith::ConstantOp::create(b, b.getI64IntegerAttr(value)); }

Value EmulatedTiles::at(Value pointer, Value bytes) {
  return LLVM::GEPOp::create(b, pointer.getType(), b.getI8Type(), pointer, bytes);
}

Value EmulatedTiles::place(Value pointer, Value row, Value stride) {
  return at(pointer, arith::MulIOp::create(b, row, stride));
}

Value EmulatedTiles::read(Type type, Value pointer) { return LLVM::LoadOp::create(b, type, pointer, /*alignment=*/2); }

void EmulatedTiles::write(Value value, Value pointer) { LLVM::StoreOp::create(b, value, pointer, /*alignment=*/2); }

Value EmulatedTiles::constant(int64_t word) {
  return arith::ConstantOp::create(b, DenseElementsAttr::get(words_, static_cast<int32_t>(word)));
}

Value EmulatedTiles::first(Value words) {
  return arith::BitcastOp::create(b, floats_, arith::ShLIOp::create(b, words, constant(16)));
}

Value EmulatedTiles::second(Value words) {
  return arith::BitcastOp::create(b, floats_, arith::AndIOp::create(b, words, constant(0xffff0000)));
}

void EmulatedTiles::copy(Value source, Value sourceStride, Value target, Value targetStride) {
  forEachRow({}, [&](Value row, ValueRange) {
    write(read(words_, place(source, row, sourceStride)), place(target, row, targetStride));
    return Values();
  });
}

EmulatedTiles::Values EmulatedTiles::forEachRow(ValueRange carried,
                                                llvm::function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(b, i64(0), i64(kRows), i64(1), carried);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!carried.empty()) // otherwise the loop came with its terminator
    scf::YieldOp::create(b, next);
  return Values(loop.getResults());
}
