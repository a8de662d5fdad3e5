#include "cache/RangeLock.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <mutex>
#include <pthread.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace tenon {
namespace {

struct flock lock_of(uint64_t byte, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(byte);
  lock.l_len = 1;
  return lock;
}

// Never destroyed: threads may fork while the process ends.
struct Descriptors {
  std::mutex mutex;
  std::vector<int> numbers;

  static Descriptors &instance() {
    static Descriptors *instance = [] {
      pthread_atfork([] { Descriptors::instance().mutex.lock(); },
                     [] { Descriptors::instance().mutex.unlock(); },
                     [] {
                       for (int number : Descriptors::instance().numbers)
                         ::close(number);
                       Descriptors::instance().numbers.clear();
                       Descriptors::instance().mutex.unlock();
                     });
      return new Descriptors;
    }();
    return *instance;
  }
};

} // namespace

bool no_locks(int number) {
  return number == EINVAL || number == ENOLCK || number == EOPNOTSUPP || number == ENOSYS;
}

bool try_lock_byte(int file, uint64_t byte, LockKind kind) {
  struct flock lock = lock_of(byte, kind == LockKind::kShared ? F_RDLCK : F_WRLCK);
  return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

LockWait lock_byte(int file, uint64_t byte, std::chrono::milliseconds most) {
  using namespace std::chrono_literals;
  constexpr auto kFirstPause = 200us, kLongestPause = 5000us; // a compilation takes 50 ms and more
  const auto end = std::chrono::steady_clock::now() + most;
  for (std::chrono::microseconds pause = kFirstPause;; pause = std::min(2 * pause, kLongestPause)) {
    if (try_lock_byte(file, byte, LockKind::kExclusive))
      return LockWait::kLocked;
    if (errno != EAGAIN && errno != EACCES && errno != EINTR)
      return LockWait::kNoLocks;
    if (std::chrono::steady_clock::now() >= end)
      return LockWait::kTimedOut;
    std::this_thread::sleep_for(pause);
  }
}

void close_in_children(int file) {
  Descriptors &descriptors = Descriptors::instance();
  std::lock_guard lock(descriptors.mutex);
  descriptors.numbers.push_back(file);
}

void keep_no_longer(int file) {
  Descriptors &descriptors = Descriptors::instance();
  std::lock_guard lock(descriptors.mutex);
  std::erase(descriptors.numbers, file);
}

} // namespace tenon
