// Flash attention on the host against float64, on the same rounded inputs.
#include "CompiledKernel.h"

#include "compiler/Precompiled.h"
#include "kernels/FlashForward.h"
#include "tenon/Half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <random>

using namespace mlir;
using namespace tenon;
using namespace tenon::test;

namespace {

enum class Storage { f32, f16, bf16 };

struct Case {
  const char *name;
  Storage storage;
  int32_t width, tileQueries, tileKeys, queries, keys;
  bool causal;
  uint32_t layout = 0; // 0 and 1: rows adjacent, 1 with odd strides; 2: columns adjacent
};
void PrintTo(const Case &c, std::ostream *out) {
  *out << c.name;
}

const Case kCases[] = {
    {"Whole", Storage::f32, 64, 64, 96, 128, 192, false},
    {"Tails", Storage::f32, 64, 64, 96, 70, 101, false},
    {"OneQueryOneKey", Storage::f32, 64, 64, 96, 1, 1, true},
    {"Causal", Storage::f32, 64, 64, 96, 200, 200, true},
    {"MoreKeysThanQueries", Storage::f32, 32, 64, 96, 7, 300, true},
    {"OddWidth", Storage::f32, 50, 64, 96, 70, 101, true, 1},
    {"WidthOne", Storage::f32, 1, 64, 96, 65, 97, false, 1},
    {"WidthThree", Storage::f32, 3, 64, 96, 65, 97, false, 1},
    {"WideHeads", Storage::f32, 256, 64, 96, 65, 97, false},
    {"AnyStrides", Storage::f32, 64, 64, 96, 70, 101, true, 2},
    {"SmallTiles", Storage::f32, 64, 16, 32, 70, 101, true},
    {"Half", Storage::f16, 64, 64, 96, 70, 101, true},
    {"HalfAnyStrides", Storage::f16, 40, 64, 96, 70, 101, true, 2},
    {"Bfloat", Storage::bf16, 64, 64, 96, 70, 101, true},
    {"BfloatOddWidth", Storage::bf16, 37, 64, 96, 70, 101, false, 1},
};

/// [1, heads, rows, width], all else in memory NaN.
class Matrix {
public:
  Matrix(uint32_t layout, Storage storage, int32_t rows, int32_t width)
      : storage_(storage), rows_(rows), width_(width) {
    int64_t odd = layout == 1 ? 3 : 0;
    if (layout == 2)
      strides_[2] = 1, strides_[3] = rows;
    else
      strides_[2] = width + odd, strides_[3] = 1;
    size_t count = static_cast<size_t>((width + odd) * (rows + 4));
    if (storage == Storage::f32)
      words_.assign(count, NAN);
    else
      halves_.assign(count, 0x7fff);
  }
  TensorArgument argument() {
    void *data = storage_ == Storage::f32 ? static_cast<void *>(words_.data()) : halves_.data();
    return {data, {0, 0, strides_[2], strides_[3]}, {1, 1, rows_, width_}};
  }
  float get(int64_t row, int64_t column) const {
    size_t i = index(row, column);
    if (storage_ == Storage::f32)
      return words_[i];
    return storage_ == Storage::f16 ? float_from_float16(halves_[i])
                                    : float_from_bfloat16(halves_[i]);
  }
  void set(int64_t row, int64_t column, float value) {
    size_t i = index(row, column);
    if (storage_ == Storage::f32)
      words_[i] = value;
    else
      halves_[i] =
          storage_ == Storage::f16 ? float16_from_float(value) : bfloat16_from_float(value);
  }
  void fill(std::mt19937 &random) {
    std::normal_distribution<float> normal;
    for (int64_t row = 0; row < rows_; ++row)
      for (int64_t column = 0; column < width_; ++column)
        set(row, column, normal(random));
  }

private:
  size_t index(int64_t row, int64_t column) const {
    return static_cast<size_t>(row * strides_[2] + column * strides_[3]);
  }
  Storage storage_;
  int32_t rows_, width_;
  int64_t strides_[4]{};
  std::vector<float> words_;
  std::vector<uint16_t> halves_;
};

OwningOpRef<ModuleOp> makeKernel(MLIRContext &context, const Case &c) {
  OpBuilder builder(&context);
  OwningOpRef<ModuleOp> module = ModuleOp::create(builder.getUnknownLoc());
  builder.setInsertionPointToEnd(module->getBody());
  Type f32 = builder.getF32Type();
  const Type types[] = {f32, builder.getF16Type(), builder.getBF16Type()};
  Type stored = types[static_cast<int>(c.storage)];
  int64_t padded = llvm::alignTo(c.width, 16);
  kernels::FlashForwardPlan plan{c.tileQueries, c.tileKeys, c.width, c.width, padded, padded,
                                 f32,           stored,     stored,  stored,  stored, c.layout,
                                 c.layout,      c.layout,   1,       true};
  auto scores = RankedTensorType::get({c.tileQueries, c.tileKeys}, f32);
  kernels::FlashForwardHoles holes;
  kernels::FlashForwardBlock block;
  using Builder = ImplicitLocOpBuilder;
  holes.bounds = [&](Builder &b,
                     const kernels::FlashForwardBlock &given) -> std::optional<kernels::KeyBounds> {
    block = given;
    if (!c.causal)
      return std::nullopt;
    Value zero = arith::ConstantOp::create(b, b.getI32IntegerAttr(0));
    Value one = arith::ConstantOp::create(b, b.getI32IntegerAttr(1));
    auto keysUpTo = [&](Value query) -> Value {
      return arith::MinSIOp::create(b, arith::AddIOp::create(b, query, one), given.keyLength);
    };
    return kernels::KeyBounds{zero, zero, keysUpTo(given.first), keysUpTo(given.last)};
  };
  holes.score = [&](Builder &b, Value products, Value) -> Value {
    float scale = std::numbers::log2e_v<float> / std::sqrt(static_cast<float>(c.width));
    Value factor = arith::ConstantOp::create(b, DenseElementsAttr::get(scores, scale));
    return arith::MulFOp::create(b, products, factor);
  };
  holes.mask = [&](Builder &b, Value firstKey, int64_t) -> Value {
    if (!c.causal)
      return nullptr;
    auto type = scores.clone(b.getI32Type());
    Value query = tile::IndexOp::create(b, type, tile::Direction::rows, block.first);
    Value key = tile::IndexOp::create(b, type, tile::Direction::columns, firstKey);
    return arith::CmpIOp::create(b, arith::CmpIPredicate::sge, query, key);
  };
  kernels::buildFlashForward(builder, builder.getUnknownLoc(), plan, holes);
  return module;
}

struct Reference {
  std::vector<double> output;
  double logsumexp;
};

Reference attend(const Case &c, const Matrix &q, const Matrix &k, const Matrix &v, int32_t query) {
  int32_t keys = c.causal ? std::min(query + 1, c.keys) : c.keys;
  std::vector<double> scores(static_cast<size_t>(keys));
  double maximum = -INFINITY, sum = 0;
  for (int32_t key = 0; key < keys; ++key) {
    for (int32_t i = 0; i < c.width; ++i)
      scores[key] += double{q.get(query, i)} * k.get(key, i);
    scores[key] /= std::sqrt(c.width);
    maximum = std::max(maximum, scores[key]);
  }
  Reference reference{std::vector<double>(static_cast<size_t>(c.width)), 0};
  for (int32_t key = 0; key < keys; ++key) {
    double p = std::exp(scores[key] - maximum);
    sum += p;
    for (int32_t i = 0; i < c.width; ++i)
      reference.output[i] += p * v.get(key, i);
  }
  for (double &o : reference.output)
    o /= sum;
  reference.logsumexp = maximum + std::log(sum);
  return reference;
}

class FlashForwardTest : public testing::TestWithParam<Case> {};

TEST_P(FlashForwardTest, AgreesWithFloat64) {
  const Case &c = GetParam();
  // A few units in the last place of the row's largest element: of the storage, and of float32
  // sums.
  const double tolerance[] = {3e-6, 0x1p-11 + 3e-6, 0x1p-8 + 3e-6};
  std::mt19937 random(1);
  Matrix q(c.layout, c.storage, c.queries, c.width), k(c.layout, c.storage, c.keys, c.width),
      v(c.layout, c.storage, c.keys, c.width), o(1, c.storage, c.queries, c.width);
  for (Matrix *matrix : {&q, &k, &v})
    matrix->fill(random);
  std::vector<float> logsumexp(static_cast<size_t>(c.queries) + 1, NAN);
  KernelArguments arguments{};
  arguments.batch = arguments.heads = arguments.key_heads = 1;
  arguments.query_length = c.queries, arguments.key_length = c.keys;
  int slot = 0;
  for (Matrix *matrix : {&q, &k, &v, &o})
    arguments.tensors[slot++] = matrix->argument();
  arguments.tensors[slot] = {logsumexp.data(), {0, 0, 1, 1}, {1, 1, c.queries, 1}};

  for (const std::string &target : runnableTargets()) {
    auto context = makeContext();
    auto module = makeKernel(*context, c);
    CompiledKernel kernel(*module, target);
    for (int32_t x = 0; x * c.tileQueries < c.queries; ++x)
      kernel.run(arguments, x);
    for (int32_t query = 0; query < c.queries; ++query) {
      Reference reference = attend(c, q, k, v, query);
      double largest = 1e-30;
      for (double element : reference.output)
        largest = std::max(largest, std::abs(element));
      for (int32_t i = 0; i < c.width; ++i)
        ASSERT_NEAR(o.get(query, i), reference.output[i],
                    tolerance[static_cast<int>(c.storage)] * std::max(largest, 0.1))
            << target << " query " << query << " column " << i;
      ASSERT_NEAR(logsumexp[query], reference.logsumexp, 5e-6) << target << " query " << query;
    }
    EXPECT_TRUE(std::isnan(logsumexp.back())) << "wrote beyond the last query";
  }
}
INSTANTIATE_TEST_SUITE_P(All, FlashForwardTest, testing::ValuesIn(kCases),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
