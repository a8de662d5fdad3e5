#include "tenon/Parallel.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace tenon {
namespace {

struct Replacement {
  ParallelFor run;
  int concurrency;
};

std::mutex replacement_mutex;
std::shared_ptr<const Replacement> replacement;
std::atomic<bool> is_replaced{false};

std::shared_ptr<const Replacement> current_replacement() {
  if (!is_replaced.load(std::memory_order_acquire)) [[likely]]
    return nullptr;
  std::lock_guard lock(replacement_mutex);
  return replacement;
}

#ifdef __SANITIZE_THREAD__
// oneTBB is not built with the thread sanitizer, which sees races in every hand-over: threads of
// our own.
void run_workers(int64_t workers, FunctionRef<void(int64_t)> work) {
  std::vector<std::jthread> threads;
  for (int64_t i = 1; i < workers; ++i)
    threads.emplace_back([work, i] { work(i); });
  work(0);
}
#else
// Isolated: while it waits, the calling thread takes no foreign task that might wait for the
// caller.
void run_workers(int64_t workers, FunctionRef<void(int64_t)> work) {
  tbb::this_task_arena::isolate(
      [&] { tbb::parallel_for(int64_t{0}, workers, int64_t{1}, work, tbb::simple_partitioner{}); });
}
#endif

// Each worker takes the next index until none is left: the order of starting is the order of
// indices, which a splitting partitioner would not keep.
void run_in_arena(int64_t count, FunctionRef<void(int64_t)> body) {
  int64_t workers = std::min<int64_t>(count, tbb::this_task_arena::max_concurrency());
  alignas(64) std::atomic<int64_t> next{0};
  auto work = [&](int64_t) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;)
      body(i);
  };
  if (workers <= 1)
    return work(0);
  run_workers(workers, work);
}

} // namespace

void parallel_for(int64_t count, FunctionRef<void(int64_t)> body) {
  if (count <= 1) {
    if (count == 1)
      body(0);
    return;
  }
  if (auto other = current_replacement())
    return other->run(count, body);
  run_in_arena(count, body);
}

int parallel_concurrency() {
  if (auto other = current_replacement())
    return other->concurrency;
  return std::max(1, tbb::this_task_arena::max_concurrency());
}

void set_parallel_for(ParallelFor other, int concurrency) {
  std::lock_guard lock(replacement_mutex);
  replacement =
      other ? std::make_shared<const Replacement>(std::move(other), std::max(1, concurrency))
            : nullptr;
  is_replaced.store(replacement != nullptr, std::memory_order_release);
}

} // namespace tenon
