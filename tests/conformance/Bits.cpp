// The same row gives the same bits whatever else runs: in any batch, beside any other queries of its class, in any
// order of warps, on any number of threads.
#include "Ways.h"

#include "tenon/Parallel.h"
#include "tenon/Signature.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <thread>

namespace tenon::conformance {
namespace {

struct Problem {
  DataType dtype;
  int64_t batch, heads, key_heads, queries, keys, width;
  bool logsumexp = true; ///< without it rows may keep a reference that is no maximum
};

void PrintTo(const Problem &p, std::ostream *out) {
  *out << name(p.dtype) << " " << p.batch << "x" << p.heads << "/" << p.key_heads << "x" << p.queries << "x" << p.keys
       << "x" << p.width << (p.logsumexp ? "" : ", no logsumexp");
}

std::vector<std::byte> bytes_of(const Tensor &tensor) {
  Tensor dense = tensor.contiguous().value();
  const auto *first = dense.data_as<std::byte>();
  return {first, first + dense.element_count() * static_cast<int64_t>(size_in_bytes(dense.dtype()))};
}

// Every other row, from the first on, so many times as large.
Tensor with_loud_rows(const Tensor &query, double loudness) {
  Tensor loud = query.clone().value();
  const int64_t queries = query.shape()[2], width = query.shape()[3];
  for (int64_t i = 0; i < loud.element_count(); ++i)
    if (i / width % queries % 2 == 0) {
      auto *element = loud.data_as<std::byte>() + static_cast<size_t>(i) * size_in_bytes(query.dtype());
      store_from_double(element, query.dtype(), loudness * load_as_double(element, query.dtype()));
    }
  return loud;
}

class Bits : public testing::TestWithParam<std::tuple<RunWay, Problem>> {
protected:
  void SetUp() override {
    if (!way().missing.empty())
      GTEST_SKIP() << way().name << " is not available: " << way().missing;
    auto random = [&](int64_t heads, int64_t rows, uint64_t seed) {
      return Tensor::random({problem().batch, heads, rows, problem().width}, problem().dtype, seed).value();
    };
    query_ = random(problem().heads, problem().queries, 1);
    key_ = random(problem().key_heads, problem().keys, 2);
    value_ = random(problem().key_heads, problem().keys, 3);
    all_ = attend(query_, key_, value_);
  }
  const RunWay &way() const { return std::get<0>(GetParam()); }
  const Problem &problem() const { return std::get<1>(GetParam()); }

  Tensor attend(const Tensor &query, const Tensor &key, const Tensor &value) const {
    Result<Function> function =
        attention_function({.logsumexp = problem().logsumexp}, {.device = way().way, .target = way().target});
    LaunchOptions launch;
    launch.scalars.add({"scale", 0.125});
    return function->call({query, key, value}, launch).value()[0];
  }
  static Tensor part(const Tensor &tensor, int dimension, int64_t at, int64_t count = 1) {
    return tensor.slice(dimension, at, at + count).value();
  }

  Tensor query_, key_, value_, all_;
};

TEST_P(Bits, DoNotDependOnTheBatch) {
  for (int64_t b = 0; b < problem().batch; ++b)
    EXPECT_EQ(bytes_of(part(all_, 0, b)), bytes_of(attend(part(query_, 0, b), part(key_, 0, b), part(value_, 0, b)))) << b;
}

TEST_P(Bits, DoNotDependOnOtherQueries) {
  // As few as are of the same class.
  const int64_t count = problem().queries > kFewQueries ? kFewQueries + 1 : 1;
  for (int64_t q = 0; q + count <= problem().queries; q += count)
    EXPECT_EQ(bytes_of(part(all_, 2, q, count)), bytes_of(attend(part(query_, 2, q, count), key_, value_))) << q;
}

// Rows that share a warp or a tile with others whose scores grow without end, or are beyond what a reference may be: what
// those cost is no matter of these.
TEST_P(Bits, DoNotDependOnRowsThatOutgrowTheirReference) {
  if (problem().queries <= kFewQueries)
    GTEST_SKIP() << "one row may be all there is";
  for (double loudness : {40.0, problem().dtype == DataType::kFloat16 ? 1e4 : 1e6}) {
    const Tensor beside = attend(with_loud_rows(query_, loudness), key_, value_);
    for (int64_t q = 1; q < problem().queries; q += 2)
      ASSERT_EQ(bytes_of(part(beside, 2, q)), bytes_of(part(all_, 2, q))) << q << " " << loudness;
  }
}

// What a thread keeps of a head's keys and values is of one call.
TEST_P(Bits, FollowTheKeysAndValuesOfEachCall) {
  Tensor others = Tensor::random(value_.shape(), problem().dtype, 4).value();
  for (const Tensor &next : {attend(query_, key_, others), attend(query_, others, value_)})
    for (int64_t b = 0; b < problem().batch; ++b)
      for (int64_t h = 0; h < problem().heads; ++h)
        for (int64_t q = 0; q < problem().queries; ++q) {
          auto row = [&](const Tensor &all) { return bytes_of(part(part(part(all, 0, b), 1, h), 2, q)); };
          ASSERT_NE(row(next), row(all_)) << b << " " << h << " " << q;
        }
  EXPECT_EQ(bytes_of(attend(query_, key_, value_)), bytes_of(all_));
}

TEST_P(Bits, DoNotDependOnTheOrderOfWarps) {
  if (way().way != Way::kEmulator)
    GTEST_SKIP() << "warps are the emulator's";
  for (const char *order : {"reverse", "random"}) {
    setenv("TENON_EMULATOR_SCHEDULE", order, /*overwrite=*/1);
    EXPECT_EQ(bytes_of(all_), bytes_of(attend(query_, key_, value_))) << order;
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}

// One thread, from the last block of the grid on, and several at once.
TEST_P(Bits, DoNotDependOnThreads) {
  if (way().way != Way::kHost)
    GTEST_SKIP() << "threads are the host's";
  using Body = FunctionRef<void(int64_t)>;
  auto backwards = [](int64_t count, Body body) {
    while (count > 0)
      body(--count);
  };
  auto onThree = [](int64_t count, Body body) {
    std::vector<std::jthread> threads;
    for (int64_t first = 0; first < 3; ++first)
      threads.emplace_back([=] {
        for (int64_t i = first; i < count; i += 3)
          body(i);
      });
  };
  for (const ParallelFor &spread : {ParallelFor(backwards), ParallelFor(onThree)}) {
    set_parallel_for(spread, 3);
    EXPECT_EQ(bytes_of(all_), bytes_of(attend(query_, key_, value_)));
    set_parallel_for({});
  }
}

class BitsOfMasks : public testing::TestWithParam<RunWay> {};

// Blocks are cut and left out by masks, not by who else runs: each sequence of a batch alone, blocks from the last on,
// beside rows of great scores.
TEST_P(BitsOfMasks, DoNotDependOnWhoElseRuns) {
  const RunWay &way = GetParam();
  if (!way.missing.empty())
    GTEST_SKIP() << way.name << " is not available: " << way.missing;
  using Mask = AttentionGraphOptions::Mask;
  const AttentionGraphOptions kinds[] = {{.causal = CausalAlignment::kTopLeft},
                                         {.causal = CausalAlignment::kBottomRight},
                                         {.mask = Mask::kBool},
                                         {.mask = Mask::kAdditive, .causal = CausalAlignment::kTopLeft}};
  constexpr int64_t kBatch = 3, kHeads = 2, kQueries = 150, kKeys = 330;
  for (const AttentionGraphOptions &kind : kinds)
    for (DataType dtype : {DataType::kFloat32, DataType::kBFloat16}) {
      auto random = [&](int64_t rows, int64_t columns, DataType type, uint64_t seed) {
        return Tensor::random({kBatch, kHeads, rows, columns}, type, seed).value();
      };
      std::vector<Tensor> inputs = {random(kQueries, 64, dtype, 1), random(kKeys, 64, dtype, 2), random(kKeys, 64, dtype, 3)};
      if (kind.mask != Mask::kNone)
        inputs.push_back(random(kQueries, kKeys, kind.mask == Mask::kBool ? DataType::kBool : dtype, 4));
      const Function function = attention_function(kind, {.device = way.way, .target = way.target}).value();
      auto attend = [&](int64_t first, int64_t count) {
        std::vector<Tensor> part;
        for (const Tensor &input : inputs)
          part.push_back(input.slice(0, first, first + count).value());
        Tensor output = Tensor::zeros({count, kHeads, kQueries, 64}, dtype).value();
        LaunchOptions launch;
        launch.scalars.add({"scale", 0.125});
        const std::vector<TensorReference> read(part.begin(), part.end());
        const TensorReference written[] = {output};
        EXPECT_TRUE(function.launch(std::span<const TensorReference>(written), read, launch).ok());
        return output;
      };
      const Tensor all = attend(0, kBatch);
      for (int64_t b = 0; b < kBatch; ++b)
        EXPECT_EQ(bytes_of(attend(b, 1)), bytes_of(all.slice(0, b, b + 1).value())) << b;
      set_parallel_for([](int64_t count, FunctionRef<void(int64_t)> body) {
        while (count > 0)
          body(--count);
      }, 3);
      EXPECT_EQ(bytes_of(attend(0, kBatch)), bytes_of(all));
      set_parallel_for({});
      inputs[0] = with_loud_rows(inputs[0], 1e6);
      const Tensor beside = attend(0, kBatch);
      for (int64_t q = 1; q < kQueries; q += 2)
        ASSERT_EQ(bytes_of(beside.slice(2, q, q + 1).value()), bytes_of(all.slice(2, q, q + 1).value())) << q;
    }
}

INSTANTIATE_TEST_SUITE_P(Host, BitsOfMasks, testing::ValuesIn(host_ways()), [](const auto &info) { return info.param.name; });

// 20,000 keys make 18 chunks of a longer cut, and 32 heads hand on more than a launch may at once: its heads go in parts.
TEST(BitsOfParts, DoNotDependOnTheHeadsBeside) {
  for (const RunWay &way : ways()) {
    if (way.way != Way::kHost || !way.missing.empty())
      continue;
    const Function attend =
        attention_function({.logsumexp = true}, {.device = way.way, .target = way.target}).value();
    LaunchOptions launch;
    launch.scalars.add({"scale", 0.125});
    const Tensor query = Tensor::random({1, 32, 16, 64}, DataType::kBFloat16, 1).value();
    const Tensor key = Tensor::random({1, 8, 20'000, 64}, DataType::kBFloat16, 2).value();
    const Tensor value = Tensor::random({1, 8, 20'000, 64}, DataType::kBFloat16, 3).value();
    const Tensor all = attend.call({query, key, value}, launch).value()[0];
    for (int64_t group : {0, 3, 7}) {
      const Tensor alone = attend.call({query.slice(1, 4 * group, 4 * group + 4).value(), key.slice(1, group, group + 1).value(),
                                        value.slice(1, group, group + 1).value()}, launch).value()[0];
      EXPECT_EQ(bytes_of(alone), bytes_of(all.slice(1, 4 * group, 4 * group + 4).value())) << way.name << " " << group;
    }
  }
}

// Keys beyond a cache that is said to be small are cut in chunks of 512, which blocks of queries share: 700 in two of them,
// by four blocks where there are 1,024 queries, one by one where there are fewer.
TEST(BitsOfGroups, AreThoseOfBlocksAlone) {
  const std::string target = "host:x86-64-v4+amx-emulated:l2=128K";
  if (!Device::open(DeviceKind::kHost).value()->can_execute(Target::parse(target).value()).ok())
    GTEST_SKIP() << "this processor cannot execute " << target;
  for (auto [queries, keys, width, causal] : std::vector<std::tuple<int64_t, int64_t, int64_t, bool>>{
           {1100, 700, 128, false}, {1100, 1100, 64, true}, {100, 4300, 128, false}, {40, 4300, 64, true}, {100, 1024, 128, false}, {200, 513, 64, true}, {1030, 0, 64, false}}) {
    auto attend = [&](const std::string &schedule) {
      const Function function = attention_function({.causal = causal}, {.device = Way::kHost, .target = target, .schedule = schedule}).value();
      LaunchOptions launch;
      launch.scalars.add({"scale", 0.125});
      const auto random = [&](int64_t rows, uint64_t seed) {
        return Tensor::random({1, 2, rows, width}, DataType::kBFloat16, seed).value();
      };
      return bytes_of(function.call({random(queries, 1), random(keys, 2), random(keys, 3)}, launch).value()[0]);
    };
    EXPECT_EQ(attend(R"({"query_groups": 4, "tile_keys": 256})"), attend(R"({"query_groups": 1, "tile_keys": 256})"))
        << queries << " queries, " << keys << " keys, width " << width << (causal ? ", causal" : "");
  }
}

std::vector<RunWay> compiled_ways() {
  std::vector<RunWay> list;
  for (const RunWay &way : ways())
    if (way.way == Way::kEmulator || way.way == Way::kHost)
      list.push_back(way);
  return list;
}

INSTANTIATE_TEST_SUITE_P(Every, Bits,
                         testing::Combine(testing::ValuesIn(compiled_ways()),
                                          testing::Values(Problem{DataType::kFloat16, 3, 8, 2, 1, 1031, 64},
                                                          Problem{DataType::kFloat32, 2, 1, 1, 1, 4096, 64},
                                                          Problem{DataType::kBFloat16, 2, 6, 2, 5, 700, 96},
                                                          Problem{DataType::kFloat32, 2, 4, 4, 3, 530, 40},
                                                          // On the host in parts: 2.8 MB of partial results.
                                                          Problem{DataType::kFloat32, 3, 32, 8, 16, 3600, 64},
                                                          Problem{DataType::kFloat16, 2, 4, 2, 70, 300, 64},
                                                          Problem{DataType::kFloat16, 1, 2, 2, 130, 300, 128},
                                                          Problem{DataType::kBFloat16, 2, 4, 2, 100, 700, 64},
                                                          Problem{DataType::kBFloat16, 2, 4, 2, 100, 700, 64, false},
                                                          Problem{DataType::kBFloat16, 1, 2, 2, 70, 512, 128, false},
                                                          Problem{DataType::kFloat16, 1, 2, 2, 100, 300, 64, false},
                                                          // Up to 128 queries: keys in chunks, on the host also in parts.
                                                          Problem{DataType::kFloat32, 1, 1, 1, 64, 4200, 64},
                                                          Problem{DataType::kFloat16, 1, 2, 1, 33, 2500, 64},
                                                          Problem{DataType::kBFloat16, 2, 2, 1, 100, 4500, 64, false},
                                                          Problem{DataType::kBFloat16, 1, 2, 2, 128, 4608, 128},
                                                          Problem{DataType::kFloat32, 1, 16, 4, 120, 8300, 64, false},
                                                          // Of more than eight blocks, which keep keys.
                                                          Problem{DataType::kBFloat16, 1, 2, 1, 272, 300, 64, false},
                                                          Problem{DataType::kBFloat16, 2, 1, 1, 272, 321, 128})),
                         [](const auto &info) {
                           return std::get<0>(info.param).name + "_" + std::to_string(info.index);
                         });

} // namespace
} // namespace tenon::conformance
