// Generated host code touches no byte outside its tensors: each tensor ends where a page begins that nobody may
// touch, then begins where one ends, and the results have the bits that they have in ordinary memory.
#include "Ways.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <sys/mman.h>
#include <unistd.h>

namespace tenon::conformance {
namespace {

enum class Edge { kEnd, kBegin };

size_t bytes_of(const Tensor &tensor) {
  return static_cast<size_t>(tensor.element_count()) * size_in_bytes(tensor.dtype());
}

// A copy of `tensor` beside a page without access.
Tensor beside_guard(const Tensor &tensor, Edge edge) {
  size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  size_t bytes = bytes_of(tensor);
  size_t room = (bytes + page - 1) / page * page;
  auto *pages = static_cast<std::byte *>(
      mmap(nullptr, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  EXPECT_NE(static_cast<void *>(pages), MAP_FAILED);
  std::byte *inside = pages + page;
  EXPECT_EQ(mprotect(inside, room, PROT_READ | PROT_WRITE), 0);
  std::byte *data = edge == Edge::kBegin ? inside : inside + room - bytes;
  std::memcpy(data, tensor.data(), bytes);
  return Tensor::wrap(data, tensor.shape(), {}, tensor.dtype(), {},
                      [pages, room, page](void *) { munmap(pages, room + 2 * page); })
      .value();
}

struct Widths {
  int64_t key, value;
};
constexpr Widths kWidths[] = {{1, 1}, {7, 3}, {16, 31}, {33, 17}, {64, 64}, {80, 40}, {128, 96}};

struct Sizes {
  int64_t queries, keys, width, value_width;
};

using Mask = AttentionGraphOptions::Mask;

// Of every fifth length all is hidden, so that each row is looked through for what it shows.
Tensor mask_of(Mask kind, const Shape &shape, DataType dtype) {
  if (kind == Mask::kAdditive)
    return Tensor::random(shape, dtype, 4).value();
  return shape.back() % 5 == 0 ? Tensor::full(shape, 0, DataType::kBool).value()
                               : Tensor::random(shape, DataType::kBool, 4).value();
}

// Two heads, which share a key head where there is one.
std::vector<Tensor> inputs_of(DataType dtype, const Sizes &sizes, int64_t key_heads = 2) {
  return {Tensor::random({1, 2, sizes.queries, sizes.width}, dtype, 1).value(),
          Tensor::random({1, key_heads, sizes.keys, sizes.width}, dtype, 2).value(),
          Tensor::random({1, key_heads, sizes.keys, sizes.value_width}, dtype, 3).value()};
}

/// A function by the table that it captures, or by no tensor where it captures none.
using FunctionOf = std::function<Function(const Tensor &captured)>;

/// One call as it is, and with guards on either side: the same bits.
void expect_nothing_beyond(const FunctionOf &function, const Tensor &captured, const std::vector<Tensor> &inputs,
                           const std::vector<Tensor> &outputs, const LaunchOptions &launch, const std::string &what) {
  auto run = [&](const Tensor &table, const std::vector<Tensor> &in, const std::vector<Tensor> &out) {
    const std::vector<TensorReference> read(in.begin(), in.end()), written(out.begin(), out.end());
    Status status = function(table).launch(std::span<const TensorReference>(written), read, launch);
    ASSERT_TRUE(status.ok()) << status.error().message();
  };
  run(captured, inputs, outputs);
  for (Edge edge : {Edge::kEnd, Edge::kBegin}) {
    auto guarded = [&](const std::vector<Tensor> &tensors) {
      std::vector<Tensor> copies;
      for (const Tensor &tensor : tensors)
        copies.push_back(beside_guard(tensor, edge));
      return copies;
    };
    std::vector<Tensor> results = guarded(outputs);
    for (Tensor &result : results)
      std::memset(result.data(), 0xff, bytes_of(result));
    run(captured.element_count() ? beside_guard(captured, edge) : captured, guarded(inputs), results);
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_EQ(std::memcmp(results[i].data(), outputs[i].data(), bytes_of(outputs[i])), 0)
          << "result " << i << " of " << what;
  }
}

/// One call of attention with these options; `mask` is the shape of its mask, by default that of all its scores.
void expect_nothing_beyond(const Function &function, const AttentionGraphOptions &options, DataType dtype,
                           const Sizes &sizes, int64_t key_heads = 2, Shape mask = {}) {
  const auto [queries, keys, width, value_width] = sizes;
  std::vector<Tensor> inputs = inputs_of(dtype, sizes, key_heads);
  if (mask.empty())
    mask = {1, options.mask == Mask::kBool ? 1 : 2, queries, keys};
  if (options.mask != Mask::kNone)
    inputs.push_back(mask_of(options.mask, mask, dtype));
  std::vector<Tensor> outputs = {Tensor::zeros({1, 2, queries, value_width}, dtype).value()};
  if (options.logsumexp)
    outputs.push_back(Tensor::zeros({1, 2, queries}).value());
  LaunchOptions launch;
  launch.scalars.add({"scale", 0.25});
  if (options.dropout)
    launch.scalars.add({"probability", 0.25});
  const std::string what = std::to_string(queries) + " queries, " + std::to_string(keys) + " keys, widths " +
                           std::to_string(width) + " and " + std::to_string(value_width);
  expect_nothing_beyond([&](const Tensor &) { return function; }, Tensor(), inputs, outputs, launch, what);
}

constexpr AttentionGraphOptions kMaskedWithSums = {Mask::kBool, {}, false, true};

class GuardPages : public testing::TestWithParam<std::tuple<RunWay, DataType>> {
protected:
  void SetUp() override {
    if (const RunWay &way = std::get<0>(GetParam()); !way.missing.empty())
      GTEST_SKIP() << way.name << " is not available: " << way.missing;
  }
  Function compiled(const AttentionGraphOptions &graph, bool exact_shape) const {
    const RunWay &way = std::get<0>(GetParam());
    CompileOptions options;
    options.device = way.way;
    options.target = way.target;
    options.exact_shape = exact_shape;
    return attention_function(graph, options).value();
  }
};

// One more key each time, so that every length of a tail has its turn, in two classes of the query's length.
TEST_P(GuardPages, NothingBeyondATensorIsTouched) {
  Function function = compiled(kMaskedWithSums, /*exact_shape=*/false);
  for (int64_t keys = 1; keys <= 66; ++keys) {
    const auto [width, value_width] = kWidths[keys % std::size(kWidths)];
    expect_nothing_beyond(function, kMaskedWithSums, std::get<DataType>(GetParam()),
                          {keys % 3 == 0 ? 1 : keys % 37 + 1, keys, width, value_width});
  }
}

// Every tail of a block of 256 keys, by one of these: open, causal, under an additive mask, with dropout. Few queries too,
// whose keys are cut in chunks, as those of more queries are where they are many; heads that share theirs.
TEST_P(GuardPages, NothingBeyondATensorIsTouchedWhateverTheScores) {
  const AttentionGraphOptions kinds[] = {{},
                                         {Mask::kNone, CausalAlignment::kTopLeft},
                                         {Mask::kAdditive, {}},
                                         {Mask::kNone, {}, /*dropout=*/true},
                                         {Mask::kAdditive, CausalAlignment::kBottomRight}};
  for (int64_t number = 0; number < std::ssize(kinds); ++number) {
    const AttentionGraphOptions &kind = kinds[number];
    Function function = compiled(kind, /*exact_shape=*/false);
    const auto [width, value_width] = kWidths[number % 2 == 0 ? 4 : 6];
    auto expect = [&, width = width, value_width = value_width](int64_t queries, int64_t keys) {
      expect_nothing_beyond(function, kind, std::get<DataType>(GetParam()), {queries, keys, width, value_width},
                            /*key_heads=*/number % 2 == 0 ? 2 : 1);
    };
    for (int64_t keys = 1 + number; keys <= 260; keys += std::ssize(kinds))
      expect(keys % 3 == 0 ? keys % 16 + 1 : keys % 29 + 20, keys);
    expect(3, 1151);                     // two chunks less a key
    expect(40, 2048 + 16 * number + 13); // a chunk and a little more, of the kernel for many queries
  }
}

// Lengths that are constants of the code, with and without whole tiles.
TEST_P(GuardPages, NothingBeyondATensorOfAnExactShapeIsTouched) {
  Function function = compiled(kMaskedWithSums, /*exact_shape=*/true);
  for (int64_t keys : {16, 48, 70, 272})
    expect_nothing_beyond(function, kMaskedWithSums, std::get<DataType>(GetParam()), {20, keys, 128, 128});
}

// Up to the greatest width that calls may have; of some the last tiles of columns are cut.
TEST_P(GuardPages, NothingBeyondAWideTensorIsTouched) {
  Function function = compiled(kMaskedWithSums, /*exact_shape=*/false);
  for (const auto &[width, value_width] : {Widths{256, 256}, {250, 129}, {193, 255}})
    for (int64_t queries : {1, 5, 33})
      for (int64_t keys : {1, 29, 64, 143})
        expect_nothing_beyond(function, kMaskedWithSums, std::get<DataType>(GetParam()),
                              {queries, keys, width, value_width});
}

// One element, row or column of a mask stands for many: nothing is where the others would lie.
TEST_P(GuardPages, NothingBeyondAMaskThatIsBroadcastIsTouched) {
  for (Mask kind : {Mask::kBool, Mask::kAdditive}) {
    const AttentionGraphOptions options = {kind};
    Function function = compiled(options, /*exact_shape=*/false);
    for (int64_t queries : {2, 37})
      for (int64_t keys : {1, 19, 128, 261})
        for (const Shape &mask : {Shape{1, 1, 1, keys}, {1, 2, queries, 1}, {1, 2, 1, 1}, {1, 1, 1, 1}, {1, 2, 1, keys}})
          expect_nothing_beyond(function, options, std::get<DataType>(GetParam()), {queries, keys, 64, 64}, 2, mask);
  }
}

// By head, by distance, by key: indices beyond a table's end take its last element.
TEST_P(GuardPages, NothingBeyondACapturedTableIsTouched) {
  const auto &[way, dtype] = GetParam();
  using Bias = Value (*)(const Tensor &);
  const Bias of_head = [](const Tensor &table) { return load(table, head_index()) * (key_index() - query_index()); };
  const Bias of_distance = [](const Tensor &table) { return load(table, key_index() - query_index()); };
  const Bias of_key = [](const Tensor &table) { return load(table, key_index()); };
  for (Bias bias : {of_head, of_distance, of_key})
    for (int64_t entries : {1, 2, 40}) {
      const Tensor table = Tensor::random({entries}, DataType::kFloat32, 5).value();
      auto function = [&](const Tensor &captured) {
        return compile([&](Value q, Value k, Value v) {
                 return matmul(softmax(matmul(q, transpose(k)) * 0.125f + bias(captured)), v);
               }, {.device = way.way, .target = way.target}).value();
      };
      for (const Sizes &sizes : {Sizes{1, 40, 64, 64}, {5, 700, 64, 64}, {70, 131, 64, 64}})
        expect_nothing_beyond(function, table, inputs_of(dtype, sizes),
                              {Tensor::zeros({1, 2, sizes.queries, 64}, dtype).value()}, {},
                              std::to_string(sizes.keys) + " keys, a table of " + std::to_string(entries));
    }
}

// Of more than eight blocks of queries, which keep keys.
TEST_P(GuardPages, NothingBeyondATensorOfManyQueriesIsTouched) {
  Function function = compiled(kMaskedWithSums, /*exact_shape=*/false);
  for (int64_t keys : {1, 17, 47, 290})
    for (int64_t width : {64, 80, 128})
      expect_nothing_beyond(function, kMaskedWithSums, std::get<DataType>(GetParam()), {270, keys, width, 64});
}

// Keys beyond a cache that is said to be small, of which blocks of queries share chunks by tile units.
TEST(GuardPagesOfGroups, NothingBeyondATensorIsTouched) {
  std::vector<RunWay> ways = host_ways();
  std::erase_if(ways, [](const RunWay &way) { return !way.target.contains("amx") || !way.missing.empty(); });
  if (ways.empty())
    GTEST_SKIP() << "this processor has no tile units, and cannot execute what does the same";
  for (const RunWay &way : ways) {
    const Function function = attention_function({}, {.device = way.way, .target = way.target + ":l2=128K"}).value();
    for (int64_t keys : {513, 700, 1023})
      expect_nothing_beyond(function, {}, DataType::kBFloat16, {1030, keys, 128, 128});
  }
}

INSTANTIATE_TEST_SUITE_P(Host, GuardPages,
                         testing::Combine(testing::ValuesIn(host_ways()),
                                          testing::Values(DataType::kFloat32, DataType::kFloat16,
                                                          DataType::kBFloat16)),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::string(name(std::get<1>(info.param)));
                         });

} // namespace
} // namespace tenon::conformance
