#include "tenon/KernelCache.h"

#include "../device/TestKernels.h"
#include "tenon/Log.h"

#include <barrier>
#include <chrono>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <thread>

namespace tenon {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

KernelKey key_of(std::string graph, std::string target = "host:x86-64-v3") {
  return KernelKey({std::move(graph), "{}", std::move(target), "{}"});
}

CompileOutcome compiled(const std::string &kernel = "test_kernel") {
  KernelImage image = testing::image_of({testing::phase("count_block")});
  image.kernel = kernel;
  return {image.serialize(), 12.5};
}

// A store in memory that counts what it is asked.
struct MapStore final : KernelStore {
  std::optional<StoredKernel> look_up(const KernelKey &key, CacheNotes &notes) override {
    ++looked_up;
    if (broken)
      notes.push_back("the disk is on fire");
    auto found = images.find(key.hash());
    if (broken || found == images.end())
      return std::nullopt;
    Result<KernelImage> image = verify_entry(found->second, key, {});
    if (image)
      return StoredKernel{std::move(*image), found->second.size(), place()};
    notes.push_back(image.error().message());
    return std::nullopt;
  }
  Result<void> publish(const KernelKey &key, std::span<const std::byte> image,
                       const Provenance &) override {
    if (broken)
      return Error(ErrorCode::kIo, "the disk is full");
    images[key.hash()].assign(image.begin(), image.end());
    return {};
  }
  std::string place() const override { return "map"; }
  Result<std::vector<KernelCacheEntry>> list() override {
    std::vector<KernelCacheEntry> lines;
    for (const auto &[hash, bytes] : images) {
      lines.emplace_back().hash = hash;
      lines.back().key = KernelImage::parse(bytes).value().key;
    }
    return lines;
  }
  Result<uint64_t> evict(uint64_t) override { return uint64_t{0}; }
  std::shared_ptr<void> claim(const KernelKey &key, CacheNotes &) override {
    if (on_claim)
      on_claim(key);
    return std::make_shared<int>();
  }
  void put(const KernelKey &key) {
    KernelImage image = testing::image_of({testing::phase("count_block")});
    image.key = key.text();
    image.graph = key.graph();
    images[key.hash()] = image.serialize();
  }

  std::map<std::string, std::vector<std::byte>> images;
  std::function<void(const KernelKey &)> on_claim;
  int looked_up = 0;
  bool broken = false;
};

TEST(KernelKey, HoldsEveryPart) {
  KernelKey key({"g", "s", "t", "o"});
  EXPECT_EQ(key.text(), "code generation " + std::to_string(kCodeGenerationVersion) +
                            "\ngraph g\ntarget t\nsignature s\noptions o\n");
  EXPECT_EQ(key.hash().size(), 32u);
  for (const KernelKey::Parts &other : {KernelKey::Parts{"x", "s", "t", "o"},
                                        {"g", "x", "t", "o"},
                                        {"g", "s", "x", "o"},
                                        {"g", "s", "t", "x"}}) {
    EXPECT_FALSE(KernelKey(other) == key);
    EXPECT_NE(KernelKey(other).hash(), key.hash());
  }
}

TEST(KernelCache, CompilesAtTheFirstCallAlone) {
  KernelCache cache;
  int built = 0;
  auto build = [&]() -> Result<CompileOutcome> { return ++built, compiled(); };
  EXPECT_EQ(cache.lookup(key_of("a")), nullptr);
  auto first = cache.lookup_or_compile(key_of("a"), build).value();
  auto second = cache.lookup_or_compile(key_of("a"), build).value();
  EXPECT_EQ(first, second);
  EXPECT_EQ(cache.lookup(key_of("a")), first);
  EXPECT_EQ(built, 1);
  EXPECT_EQ(first->hits(), 2u);
  EXPECT_EQ(first->compile_milliseconds(), 12.5);
  EXPECT_EQ(first->image().key, key_of("a").text());
}

TEST(KernelCache, ThreadsThatWantOneKernelCompileItOnce) {
  constexpr int kThreads = 16;
  KernelCache cache;
  std::atomic<int> built{0};
  std::barrier start(kThreads);
  std::vector<std::shared_ptr<const CachedKernel>> got(kThreads);
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] {
      start.arrive_and_wait();
      got[i] = cache
                   .lookup_or_compile(key_of("a"),
                                      [&]() -> Result<CompileOutcome> {
                                        ++built;
                                        std::this_thread::sleep_for(std::chrono::milliseconds(50));
                                        return compiled();
                                      })
                   .value();
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(built, 1);
  EXPECT_THAT(got, ::testing::Each(got.front()));
}

TEST(KernelCache, DifferentKernelsCompileAtTheSameTime) {
  KernelCache cache;
  std::barrier both(2); // each builder waits for the other: one after the other would never end
  auto run = [&](const char *graph) {
    return cache
        .lookup_or_compile(key_of(graph),
                           [&]() -> Result<CompileOutcome> {
                             both.arrive_and_wait();
                             return compiled();
                           })
        .ok();
  };
  bool other = false;
  std::thread thread([&] { other = run("b"); });
  EXPECT_TRUE(run("a"));
  thread.join();
  EXPECT_TRUE(other);
}

TEST(KernelCache, ARefusalIsDeliveredToAllAndKept) {
  KernelCache cache;
  std::atomic<int> built{0}, refused{0};
  std::barrier start(8);
  auto build = [&]() -> Result<CompileOutcome> {
    ++built;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return Error(ErrorCode::kCompilation, "no schedule fits").with_reasons({{"tile", "too wide"}});
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      start.arrive_and_wait();
      auto kernel = cache.lookup_or_compile(key_of("a"), build);
      refused += !kernel && kernel.error().reasons() == std::vector<Reason>{{"tile", "too wide"}};
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(refused, 8);
  EXPECT_EQ(built, 1);
  EXPECT_EQ(cache.lookup(key_of("a"))->refusal()->message(), "no schedule fits");
  EXPECT_EQ(cache.list().front().refusal, "no schedule fits");
}

TEST(KernelCache, AFailureThatMayPassIsTriedAgain) {
  KernelCache cache;
  int built = 0;
  auto build = [&]() -> Result<CompileOutcome> {
    if (++built == 1)
      return Error(ErrorCode::kUnsupported, "libtenon-compiler.so cannot be opened");
    return compiled();
  };
  EXPECT_EQ(cache.lookup_or_compile(key_of("a"), build).error().code(), ErrorCode::kUnsupported);
  EXPECT_TRUE(cache.lookup_or_compile(key_of("a"), build));
}

TEST(KernelCache, ABuilderThatThrowsOrLiesIsAnError) {
  KernelCache cache;
  auto throws = []() -> Result<CompileOutcome> { throw std::runtime_error("boom"); };
  EXPECT_EQ(cache.lookup_or_compile(key_of("a"), throws).error().code(), ErrorCode::kInternal);
  auto lies = []() -> Result<CompileOutcome> { return CompileOutcome{{std::byte{1}}, 0}; };
  EXPECT_EQ(cache.lookup_or_compile(key_of("a"), lies).error().code(), ErrorCode::kCorruptFile);
}

TEST(KernelCache, ListsWhatItHolds) {
  KernelCache cache;
  auto build = [] { return Result<CompileOutcome>(compiled("kernel_of_a")); };
  cache.lookup_or_compile(key_of("a"), build).value();
  cache.lookup(key_of("a"));
  std::vector<KernelCacheEntry> lines = cache.list();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].hash, key_of("a").hash());
  EXPECT_EQ(lines[0].kernel, "kernel_of_a");
  EXPECT_GT(lines[0].bytes, 100u);
  EXPECT_EQ(lines[0].hits, 1u);
  EXPECT_EQ(lines[0].compile_milliseconds, 12.5);
  cache.clear();
  EXPECT_THAT(cache.list(), IsEmpty());
}

TEST(KernelCache, LoadsAKernelOnceADevice) {
  KernelCache cache;
  Device &host = *Device::open(DeviceKind::kHost).value();
  auto kernel = cache.lookup_or_compile(key_of("a"), [] { return Result(compiled()); }).value();
  auto loaded = kernel->loaded_on(host).value();
  EXPECT_EQ(kernel->loaded_on(host).value(), loaded);
  int32_t count = 0;
  KernelArguments arguments = testing::sizes(1, 1, 1);
  arguments.tensors[0].data = &count;
  ASSERT_TRUE(host.launch(*loaded, arguments, 0));
  EXPECT_EQ(count, 1);
}

TEST(KernelCache, LogsOneLineACompilation) {
  std::vector<std::string> lines;
  set_log_sink([&](LogEvent, std::string_view line) { lines.emplace_back(line); },
               parse_log_events("cache"));
  KernelCache cache;
  cache.lookup_or_compile(key_of("a"), [] { return Result(compiled()); }).value();
  cache.lookup_or_compile(key_of("a"), [] { return Result(compiled()); }).value();
  set_log_sink({}, 0);
  EXPECT_THAT(lines,
              ElementsAre(AllOf(StartsWith("compiled " + key_of("a").hash() + " test_kernel"),
                                HasSubstr("12.5 ms"))));
}

TEST(KernelStore, IsAskedBeforeTheCompilerAndGivenWhatItMade) {
  auto store = std::make_shared<MapStore>();
  int built = 0;
  auto build = [&]() -> Result<CompileOutcome> { return ++built, compiled(); };
  for (int process = 0; process < 2; ++process) {
    KernelCache cache;
    cache.set_store(store);
    EXPECT_EQ(cache.lookup_or_compile(key_of("a"), build).value()->compile_milliseconds(),
              process == 0 ? 12.5 : 0);
  }
  EXPECT_EQ(built, 1);
}

TEST(KernelStore, AKernelMadeWhileWaitingForTheClaimIsTaken) {
  auto store = std::make_shared<MapStore>();
  store->on_claim = [&](const KernelKey &key) { store->put(key); };
  KernelCache cache;
  cache.set_store(store);
  EXPECT_TRUE(cache.lookup_or_compile(key_of("a"), []() -> Result<CompileOutcome> {
    return Error(ErrorCode::kInternal, "compiled although another process had");
  }));
}

TEST(KernelStore, ADamagedOrForeignEntryIsRebuilt) {
  auto store = std::make_shared<MapStore>();
  std::vector<std::byte> damaged = compiled().bytes,
                         foreign = compiled().bytes; // of the key "test"
  damaged[damaged.size() / 2] ^= std::byte{1};
  for (const std::vector<std::byte> &bytes : {damaged, foreign}) {
    store->images[key_of("a").hash()] = bytes;
    KernelCache cache;
    cache.set_store(store);
    EXPECT_EQ(cache.lookup_or_compile(key_of("a"), [] { return Result(compiled()); })
                  .value()
                  ->compile_milliseconds(),
              12.5);
    EXPECT_NE(store->images[key_of("a").hash()], bytes) << "the entry was not replaced";
  }
}

TEST(KernelStore, ABrokenStoreDoesNotStandInTheWay) {
  auto store = std::make_shared<MapStore>();
  store->broken = true;
  KernelCache cache;
  cache.set_store(store);
  auto kernel = cache.lookup_or_compile(key_of("a"), [] { return Result(compiled()); }).value();
  EXPECT_THAT(kernel->notes(), ::testing::Contains("the disk is full"));
  EXPECT_THAT(cache.notes(), ElementsAre("the disk is on fire", "the disk is full"));
  cache.lookup_or_compile(key_of("b"), [] { return Result(compiled()); }).value();
  EXPECT_EQ(cache.notes().size(), 2u) << "the same is said once";
}

// The order of look-up: the exact target everywhere, then the best in the lower layers.
struct LayersTest : ::testing::Test {
  LayersTest() {
    cache.set_store(own);
    cache.set_layers({lower});
  }
  std::string choice(const char *target) {
    KernelCache fresh;
    fresh.set_store(own);
    fresh.set_layers({lower});
    const std::vector<std::string> others = {"host:x86-64-v4", "host:x86-64-v3"};
    return fresh
        .lookup_or_compile(
            key_of("a", target), [] { return Result(compiled()); }, others)
        .value()
        ->choice();
  }
  KernelCache cache;
  std::shared_ptr<MapStore> own = std::make_shared<MapStore>(),
                            lower = std::make_shared<MapStore>();
};

TEST_F(LayersTest, TheExactTargetInALowerLayerComesFirst) {
  lower->put(key_of("a", "host:x86-64-v4+bf16"));
  lower->put(key_of("a", "host:x86-64-v4"));
  EXPECT_EQ(choice("host:x86-64-v4+bf16"), "host:x86-64-v4+bf16 from map");
}

TEST_F(LayersTest, TheBestOfALowerLayerComesBeforeCompiling) {
  lower->put(key_of("a", "host:x86-64-v3"));
  lower->put(key_of("a", "host:x86-64-v4"));
  EXPECT_THAT(choice("host:x86-64-v4+bf16"),
              StartsWith("host:x86-64-v4 from map, the best that this device executes"));
}

TEST_F(LayersTest, ALesserTargetOfTheOwnDirectoryDoesNotKeepFromCompiling) {
  own->put(key_of("a", "host:x86-64-v3"));
  EXPECT_EQ(choice("host:x86-64-v4+bf16"), "compiled");
}

TEST_F(LayersTest, ALesserTargetOfTheOwnDirectoryServesWhereNothingCompiles) {
  own->put(key_of("a", "host:x86-64-v3"));
  const std::vector<std::string> others = {"host:x86-64-v3"};
  auto build = []() -> Result<CompileOutcome> {
    return Error(ErrorCode::kUnsupported, "no compiler");
  };
  EXPECT_THAT(
      cache.lookup_or_compile(key_of("a", "host:x86-64-v4"), build, others).value()->choice(),
      StartsWith("host:x86-64-v3 from map"));
  EXPECT_EQ(cache.lookup_or_compile(key_of("b", "host:x86-64-v4"), build, others).error().message(),
            "no compiler");
}

TEST_F(LayersTest, AMissThatMustHitNamesTheKeyAndTheNearest) {
  cache.set_policy(CachePolicy::kMustHit);
  auto build = []() -> Result<CompileOutcome> {
    ADD_FAILURE() << "compiled all the same";
    return compiled();
  };
  const KernelKey near({"a", R"({"inputs": [{"dtype": "f16"}]})", "sm_80", "{}"});
  const KernelKey far({"b", R"({"inputs": []})", "sm_90", R"({"tile_keys": 32})"});
  const KernelKey asked({"a", R"({"inputs": [{"dtype": "f32"}]})", "sm_80", "{}"});
  lower->put(near);
  own->put(far);
  const Error error = cache.lookup_or_compile(asked, build).error();
  EXPECT_EQ(error.code(), ErrorCode::kCacheMiss);
  EXPECT_THAT(error.message(), HasSubstr(asked.text()));
  EXPECT_THAT(error.message(), HasSubstr("signature /inputs/0/dtype is f16, asked is f32"));
  EXPECT_EQ(error.reasons().front().what, near.hash());
}

TEST_F(LayersTest, AMissSaysHowTheGraphsDiffer) {
  cache.set_policy(CachePolicy::kMustHit);
  auto key = [](const char *hash, const std::string &operations) {
    return KernelKey({hash, "{}", "sm_80", "{}", "func.func @f {\n" + operations + "}"});
  };
  const std::string softmax = "%0 = attention.softmax %x\n", mask = "%1 = attention.where %m, %0, %c\n",
                    dropout = "%2 = attention.dropout %0, %p\n", again = "%0 = attention.softmax %y\n";
  auto missed = [&](const KernelKey &asked) {
    return cache.lookup_or_compile(asked, [] { return Result(compiled()); }).error().message();
  };
  own->put(key("a", softmax + dropout));
  EXPECT_THAT(missed(key("b", softmax + mask)),
              AllOf(HasSubstr("\n  graph has no where, which is asked for\n"),
                    HasSubstr("\n  graph has dropout, which is not asked for")));
  EXPECT_THAT(missed(key("c", again + dropout)),
              HasSubstr("\n  graph has the same operations, with other operands or constants"));
}

} // namespace
} // namespace tenon
