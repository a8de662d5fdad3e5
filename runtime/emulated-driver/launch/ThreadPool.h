#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace tenon::emulator {

/// Host threads that run the blocks of a grid. TENON_EMULATOR_THREADS sets how many; the default is one for each core.
class ThreadPool {
public:
  static ThreadPool &instance();

  /// Calls body(worker) on `count` workers at once, the calling thread among them, and returns when all are done.
  void run(unsigned count, const std::function<void(unsigned)> &body);
  unsigned size() const { return size_; }

private:
  ThreadPool();
  void work(unsigned worker);

  unsigned size_ = 1;
  std::mutex run_mutex_, mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(unsigned)> *body_ = nullptr;
  uint64_t generation_ = 0;
  unsigned wanted_ = 0, finished_ = 0;
  std::vector<std::thread> threads_;
};

} // namespace tenon::emulator
