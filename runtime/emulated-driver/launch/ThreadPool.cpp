#include "launch/ThreadPool.h"
#include "launch/Environment.h"
#include <algorithm>

namespace tenon::emulator {

ThreadPool &ThreadPool::instance() {
  static ThreadPool *pool = new ThreadPool; // its threads end with the process
  return *pool;
}

ThreadPool::ThreadPool() {
  const unsigned asked = threads_of_environment();
  size_ = asked ? asked : std::max(1u, std::thread::hardware_concurrency());
}

void ThreadPool::run(unsigned count, const std::function<void(unsigned)> &body) {
  count = std::min(count, size_);
  if (count <= 1)
    return body(0);
  std::lock_guard one_at_a_time(run_mutex_);
  {
    std::unique_lock lock(mutex_);
    while (threads_.size() + 1 < size_) {
      threads_.emplace_back(&ThreadPool::work, this, static_cast<unsigned>(threads_.size() + 1));
      threads_.back().detach();
    }
    body_ = &body;
    wanted_ = count;
    finished_ = 0;
    generation_++;
  }
  wake_.notify_all();
  body(0);
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return finished_ == wanted_ - 1; });
  body_ = nullptr;
}

void ThreadPool::work(unsigned worker) {
  uint64_t seen = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return generation_ != seen; });
    seen = generation_;
    if (worker >= wanted_ || !body_)
      continue;
    const std::function<void(unsigned)> &body = *body_;
    lock.unlock();
    body(worker);
    lock.lock();
    if (++finished_ == wanted_ - 1)
      done_.notify_one();
  }
}

} // namespace tenon::emulator
