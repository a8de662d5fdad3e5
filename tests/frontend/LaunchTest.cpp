// What stands around a kernel: signatures, the cache, the memory of calls. The kernel itself does
// nothing.
#include "EmptyKernel.h"

#include "tenon/Signature.h"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>
#include <thread>

static std::atomic<int64_t> allocations{0};
void *operator new(size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void *memory = std::malloc(size ? size : 1))
    return memory;
  throw std::bad_alloc();
}
void *operator new(size_t size, const std::nothrow_t &) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size ? size : 1);
}
[[gnu::noinline]] void operator delete(void *memory) noexcept { // GCC would see free after new
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void *memory, size_t) noexcept {
  std::free(memory);
}

namespace tenon {
namespace {

using test::random;

class Launch : public ::testing::Test {
protected:
  void SetUp() override {
    if (host_target().empty())
      GTEST_SKIP() << "this processor is below x86-64-v3";
    function_ = compile(
                    [](Value q, Value k, Value v) {
                      return matmul(softmax(matmul(q, transpose(k)) * scalar("scale", 1)), v);
                    },
                    {.device = Way::kHost, .cache = &cache_})
                    .value();
  }

  KernelCache cache_;
  Function function_;
};

TEST_F(Launch, AThousandLengthsShareOneKernel) {
  const Tensor all = random({2, 4, 1000, 32}, 1), room = Tensor::zeros({2, 4, 1000, 32}).value();
  for (int64_t length = 1; length <= 1000; ++length) {
    const Tensor query = all.slice(2, 0, length).value(), output = room.slice(2, 0, length).value();
    if (length == 1)
      test::put_empty_kernel(cache_, function_, std::array<TensorReference, 3>{query, query, query},
                             1);
    const Status done = function_.launch({output}, {query, query, query});
    ASSERT_TRUE(done.ok()) << length << ": " << done.error().message();
  }
  EXPECT_EQ(cache_.list().size(), 1u);
  EXPECT_EQ(function_.cached().size(), 1000u);
  EXPECT_EQ(function_.cached()[500].kernel, "empty");
}

TEST_F(Launch, AThousandScalesShareOneKernel) {
  const Tensor query = random({1, 4, 16, 32}, 1), output = Tensor::zeros({1, 4, 16, 32}).value();
  test::put_empty_kernel(cache_, function_, std::array<TensorReference, 3>{query, query, query}, 1);
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(
        function_.launch({output}, {query, query, query}, {.scalars = {{"scale", i * 0.001}}})
            .ok());
  EXPECT_EQ(cache_.list().size(), 1u);
  EXPECT_EQ(function_.cached().size(), 1u);
}

TEST_F(Launch, ARepeatedCallAllocatesNothing) {
  const Tensor query = random({1, 4, 16, 32}, 1), output = Tensor::zeros({1, 4, 16, 32}).value();
  test::put_empty_kernel(cache_, function_, std::array<TensorReference, 3>{query, query, query}, 1);
  ASSERT_TRUE(function_.prepare({query, query, query}).ok());
  const int64_t before = allocations;
  for (int i = 0; i < 100; ++i)
    ASSERT_TRUE(
        function_.launch({output}, {query, query, query}, {.scalars = {{"scale", 0.5}}}).ok());
  EXPECT_EQ(allocations - before, 0);
}

TEST_F(Launch, ThreadsShareOneFunction) {
  const Tensor all = random({1, 4, 64, 32}, 1);
  const Tensor first = all.slice(2, 0, 1).value();
  test::put_empty_kernel(cache_, function_, std::array<TensorReference, 3>{first, first, first}, 1);
  std::atomic<int> failures{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread)
    threads.emplace_back([&] {
      const Tensor room = Tensor::zeros({1, 4, 64, 32}).value();
      for (int64_t length = 1; length <= 64; ++length) {
        const Tensor query = all.slice(2, 0, length).value(),
                     output = room.slice(2, 0, length).value();
        failures += !function_.launch({output}, {query, query, query}).ok();
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(cache_.list().size(), 1u);
}

/// Writes 1 to the first byte of the output, then waits until somebody makes it 2.
test::Code waiting_kernel() {
  constexpr auto kOutput =
      static_cast<uint32_t>(offsetof(KernelArguments, tensors) + 3 * sizeof(TensorArgument));
  static_assert(offsetof(TensorArgument, data) == 0 && kOutput > 127);
  test::Code code;
  for (int byte :
       {0x48, 0x8B, 0x87, int(kOutput & 255), int(kOutput >> 8), 0, 0, // mov rax, [rdi + kOutput]
        0xC6, 0x00, 0x01,                                              // mov byte [rax], 1
        0xF3, 0x90, 0x80, 0x38, 0x02, 0x75, 0xF9, 0xC3}) // pause; cmp byte [rax], 2; jne; ret
    code.push_back(static_cast<std::byte>(byte));
  return code;
}

// While a kernel runs others may call the same function, with sizes that it knows and new ones, and another function
// may be made ready in the same cache: where a lock were held, this test would not end.
TEST_F(Launch, NoLockIsHeldWhileAKernelRuns) {
  const Tensor query = random({1, 1, 1, 32}, 1), output = Tensor::zeros({1, 1, 1, 32}).value();
  const TensorReference inputs[] = {query, query, query};
  test::put_empty_kernel(cache_, function_, inputs, 1, 1, waiting_kernel());
  std::atomic_ref<uint8_t> flag(*static_cast<uint8_t *>(output.data()));
  std::atomic<bool> done{false};
  std::thread runs([&] { done = function_.launch({output}, {query, query, query}).ok(); });
  while (flag != 1)
    std::this_thread::yield();

  Tensor ready = Tensor::zeros({1, 1, 2, 32}).value();
  std::thread releases_itself([&] { // its own kernel waits as well
    std::atomic_ref<uint8_t> own(*static_cast<uint8_t *>(ready.data()));
    while (own != 1)
      std::this_thread::yield();
    own = 2;
  });
  const Tensor two = random({1, 1, 2, 32}, 2);
  EXPECT_TRUE(function_.launch({ready}, {two, two, two}).ok());
  releases_itself.join();
  const Function other =
      compile(
          [](Value q, Value k, Value v) {
            return matmul(softmax(matmul(q, transpose(k)) * scalar("scale", 2)), v);
          },
          {.device = Way::kHost, .cache = &cache_})
          .value();
  test::put_empty_kernel(cache_, other, inputs, 1);
  EXPECT_TRUE(other.prepare({query, query, query}).ok());
  EXPECT_EQ(function_.cached().size(), 2u);
  EXPECT_FALSE(done);
  flag = 2;
  runs.join();
  EXPECT_TRUE(done);
}

TEST_F(Launch, TheSignatureHoldsWhatShapesCodeAndNoLength) {
  auto signature = [&](const Tensor &query, const Tensor &key) {
    const TensorReference inputs[] = {query, key, key};
    return Signature::parse(function_.request(inputs).value().signature).value();
  };
  const Signature plain = signature(random({1, 8, 16, 64}, 1), random({1, 2, 16, 64}, 2));
  EXPECT_EQ(plain.group, 4);
  EXPECT_EQ(plain.inputs[0].width, 64);
  EXPECT_EQ(plain.inputs[0].layout, Layout::kAligned);
  EXPECT_FALSE(plain.exact.has_value());
  EXPECT_EQ(plain, signature(random({3, 4, 7, 64}, 1), random({3, 1, 90, 64}, 2)));
  EXPECT_NE(plain, signature(random({1, 8, 16, 32}, 1), random({1, 2, 16, 32}, 2)));
  EXPECT_NE(plain, signature(random({1, 8, 16, 64}, 1, DataType::kFloat16),
                             random({1, 2, 16, 64}, 2, DataType::kFloat16)));
  const Tensor transposed = random({1, 8, 64, 16}, 1).transpose(2, 3).value();
  EXPECT_EQ(signature(transposed, random({1, 2, 16, 64}, 2)).inputs[0].layout, Layout::kStrided);
}

TEST_F(Launch, AMaskOfAnyLengthHasOneSignature) {
  const Function function = compile([](Value q, Value k, Value v, Mask mask) {
                              return matmul(softmax(where(mask, matmul(q, transpose(k)), -inf)), v);
                            }).value();
  auto signature = [&](int64_t keys) {
    const Tensor query = random({2, 4, 16, 64}, 1), key = random({2, 4, keys, 64}, 2);
    const Tensor mask = Tensor::zeros({2, 1, 1, keys}, DataType::kBool).value();
    const TensorReference inputs[] = {query, key, key, mask};
    return function.request(inputs).value().signature;
  };
  for (int64_t keys = 1; keys < 40; ++keys)
    EXPECT_EQ(signature(keys), signature(64)) << keys;
}

} // namespace
} // namespace tenon
