// A file system and processes that do what they should not.
#include "../CacheFixture.h"
#include "Interposed.h"
#include "Trials.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <functional>
#include <random>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <utime.h>

namespace tenon {
namespace {

using namespace testing;
namespace fs = std::filesystem;
constexpr int kChildKeys = 40;

struct System : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(ask(directory, key).compiled);
    hit();
  }
  void hit() {
    const Asked asked = ask(directory, key);
    ASSERT_TRUE(!asked.compiled && asked.right && asked.notes.empty()) << asked.error;
  }
  Folder folder;
  const std::string directory = folder.path("cache");
  const KernelKey key = key_number(1);
  const std::string path = entry_path(directory, key);
};

// Each file call of a look-up that hits, and of one that compiles and publishes, fails once.
TEST_F(System, EveryFileCallFails) {
  if (!can_interpose())
    GTEST_SKIP() << "the sanitizer defines the C library's functions itself";
  for (int error : {ENOSPC, EIO})
    for (bool there : {true, false}) {
      int number = 0;
      for (;; ++number) {
        if (there)
          ask(directory, key);
        else
          fs::remove_all(directory), ask(directory, key_number(2));
        Asked asked;
        std::string failed;
        {
          FailingCall failing(number, error);
          asked = ask(directory, key);
          failed = FailingCall::failed();
        }
        if (failed.empty())
          break; // there are no more calls
        const std::string what = failed + " number " + std::to_string(number) +
                                 (there ? " of a hit: " : " of a build: ") + std::strerror(error);
        ASSERT_TRUE(asked.right) << what << " " << asked.error;
        ASSERT_FALSE(asked.notes.empty()) << what << " was not reported";
        const Asked next = ask(directory, key);
        ASSERT_TRUE(next.right && next.notes.empty()) << what;
        tried(error == EIO ? "EIO at a file call" : "ENOSPC at a file call");
      }
      ASSERT_GT(number, there ? 5 : 20);
    }
}

// What is done to a directory as a whole does all of it, or says what failed.
TEST_F(System, EveryFileCallOfMaintenanceFails) {
  if (!can_interpose())
    GTEST_SKIP() << "the sanitizer defines the C library's functions itself";
  using Verb = std::function<bool(DiskStore &)>; // false where it failed in silence
  const std::pair<const char *, Verb> verbs[] = {
      {"verify", [](DiskStore &store) { auto found = store.verify(); return !found || !found->empty(); }},
      {"show", [](DiskStore &store) { return !store.show(""); }},
      {"prune", [this](DiskStore &store) { return !store.prune(1, 1) || !fs::exists(path); }},
      {"clear", [this](DiskStore &store) { return !store.clear() || !fs::exists(path); }},
  };
  for (const auto &[name, verb] : verbs)
    for (int error : {ENOSPC, EIO})
      for (int number = 0;; ++number) {
        ask(directory, key);
        const auto store = DiskStore::open(directory, {}).value();
        bool said = false;
        std::string failed;
        {
          FailingCall failing(number, error);
          said = verb(*store);
          failed = FailingCall::failed();
        }
        if (failed.empty()) {
          ASSERT_GT(number, 4) << name;
          break;
        }
        const std::string what = failed + " number " + std::to_string(number) + " of " + name;
        ASSERT_TRUE(said) << what;
        const Asked next = ask(directory, key);
        ASSERT_TRUE(next.right && next.notes.empty()) << what;
        tried("a file call of verify, show, prune or clear fails");
      }
}

TEST_F(System, KilledWhileItBuilds) {
  std::mt19937 random(3);
  for (int round = 0; round < trials(500, 50); ++round) {
    if (round % 10 == 0)
      fs::remove_all(directory), ask(directory, key);
    const pid_t child = start_child("build", directory);
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + random() % 30000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    // Whatever is there is whole: old or new, never half.
    const auto store = DiskStore::open(directory, {}).value();
    ASSERT_TRUE(store->verify()->empty()) << round;
    hit();
    ASSERT_FALSE(HasFatalFailure());
    const Asked other = ask(directory, key_number(100 + static_cast<int>(random() % kChildKeys)));
    ASSERT_TRUE(other.right && other.notes.empty()) << round;
    tried("SIGKILL at a random moment of a build");
  }
}

TEST_F(System, ReadOnly) {
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can mount a directory read-only";
  for (int round = 0; round < trials(20, 3); ++round) {
    const pid_t child = start_child("read-only", directory);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
      GTEST_SKIP() << "mount namespaces are not allowed here";
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    tried("a read-only directory");
  }
}

TEST_F(System, RemovedWhileInUse) {
  for (int round = 0; round < trials(200, 20); ++round) {
    KernelCache cache;
    ASSERT_TRUE(cache.configure({.disk = DiskUse::kOn, .directory = directory}));
    ASSERT_TRUE(ask(cache, key).right);
    fs::remove_all(directory);
    ASSERT_TRUE(ask(cache, key).right);
    const Asked other = ask(cache, key_number(2));
    ASSERT_TRUE(other.right && other.compiled);
    ASSERT_FALSE(ask(directory, key_number(2)).compiled) << "it was not kept";
    ask(directory, key);
    tried("the directory removed while in use");
  }
}

TEST_F(System, ClockSetBack) {
  for (int round = 0; round < trials(200, 20); ++round) {
    const utimbuf future = {4'000'000'000 + round, 4'000'000'000 + round};
    ASSERT_EQ(utime(path.c_str(), &future), 0);
    const auto store = DiskStore::open(directory, {.max_bytes = 1 << 30, .max_days = 1}).value();
    ASSERT_TRUE(store->prune(1 << 30, 1));
    ASSERT_TRUE(fs::exists(path));
    hit();
    tried("the clock set back");
  }
}

TEST_F(System, PermissionsOfTheDirectoryChanged) {
  for (int round = 0; round < trials(100, 10); ++round)
    for (mode_t mode : {0770u, 0707u, 0777u, 0722u}) {
      ASSERT_EQ(chmod(directory.c_str(), mode), 0);
      const Asked asked = ask(directory, key);
      ASSERT_TRUE(asked.right && asked.compiled && asked.notes.size() == 1) << mode;
      ASSERT_EQ(chmod(directory.c_str(), 0700), 0);
      hit();
      tried("a directory that others can write");
    }
}

TEST_F(System, EvictionDuringUse) {
  std::atomic<bool> done{false};
  std::atomic<int> evictions{0};
  std::thread evictor([&] {
    const auto store = DiskStore::open(directory, {}).value();
    while (!done) {
      store->evict(0).value();
      ++evictions;
    }
  });
  KernelCache user; // it has this kernel in use all the time
  ASSERT_TRUE(user.configure({.disk = DiskUse::kOn, .directory = directory}));
  ASSERT_TRUE(ask(user, key).right);
  ask(user, key);
  const int rounds = trials(500, 50);
  for (int round = 0; round < rounds; ++round) {
    const Asked other = ask(directory, key_number(2 + round % 7));
    EXPECT_TRUE(other.right && other.notes.empty()) << other.error;
  }
  while (evictions < rounds)
    std::this_thread::yield();
  done = true;
  evictor.join();
  EXPECT_TRUE(ask(user, key).right);
  tried("eviction during use", rounds);
}

TEST_F(System, ForkAfterUse) {
  for (int round = 0; round < trials(100, 10); ++round) {
    KernelCache cache;
    ASSERT_TRUE(cache.configure({.disk = DiskUse::kOn, .directory = directory}));
    ASSERT_TRUE(ask(cache, key).right);
    const pid_t child = fork();
    if (child == 0) {
      const bool right = ask(cache, key).right && ask(cache, key_number(1000 + round)).right;
      _exit(right ? 0 : 1);
    }
    ASSERT_TRUE(ask(cache, key_number(2000 + round)).right);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ASSERT_FALSE(ask(directory, key_number(1000 + round)).compiled);
    tried("fork after use");
  }
}

TEST_F(System, ManyThreadsAndProcessesCompileOnce) {
  for (int round = 0; round < trials(100, 5); ++round) {
    fs::remove_all(directory);
    fs::remove(folder.path("compiled"));
    std::vector<pid_t> children;
    for (int process = 0; process < 8; ++process)
      children.push_back(start_child("threads", directory));
    for (pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    ASSERT_EQ(fs::file_size(folder.path("compiled")), 1u) << round;
    tried("8 processes x 4 threads want one new kernel");
  }
}

int build_all(const std::string &directory) {
  KernelCache cache;
  if (!cache.configure({.disk = DiskUse::kOn, .directory = directory}))
    return 1;
  for (int number = 0;; ++number)
    if (!ask(cache, key_number(100 + number % kChildKeys)).right || number > 100'000)
      return 1;
    else if (number % kChildKeys == kChildKeys - 1) {
      cache.clear(); // and again, over what is there
      for (int i = 0; i < kChildKeys; ++i)
        cache.store()->publish(key_number(100 + i), image_bytes(key_number(100 + i)), {}).ok();
    }
}

// In a mount namespace of its own, where the directory cannot be written.
int use_read_only(const std::string &directory) {
  const char *at = directory.c_str();
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount(at, at, nullptr, MS_BIND, nullptr) != 0 ||
      mount("none", at, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0)
    return 77;
  const Asked hit = ask(directory, key_number(1)), miss = ask(directory, key_number(7));
  const bool right = hit.right && !hit.compiled && hit.notes.empty() && miss.right &&
                     miss.compiled && !miss.notes.empty();
  return right ? 0 : 1;
}

// Each compilation appends one byte to a file that all processes share.
int use_threads(const std::string &directory) {
  KernelCache cache;
  if (!cache.configure({.disk = DiskUse::kOn, .directory = directory}))
    return 1;
  const std::string log = fs::path(directory).parent_path() / "compiled";
  std::atomic<int> right{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        const auto kernel = cache.lookup_or_compile(key_number(1), [&] {
          const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
          static_cast<void>(!::write(file, "x", 1));
          ::close(file);
          std::this_thread::sleep_for(std::chrono::milliseconds(20));
          return Result(counting_kernel());
        });
        right += kernel.ok();
      });
  }
  return right == 4 && cache.notes().empty() ? 0 : 1;
}

} // namespace

int testing::trial_child(const std::string &mode, const std::string &directory) {
  return mode == "build"       ? build_all(directory)
         : mode == "read-only" ? use_read_only(directory)
         : mode == "threads"   ? use_threads(directory)
                               : 2;
}

} // namespace tenon
