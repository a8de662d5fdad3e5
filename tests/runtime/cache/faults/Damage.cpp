// Bytes that are not what was written.
#include "../CacheFixture.h"
#include "Trials.h"

#include <cstring>
#include <functional>
#include <gmock/gmock.h>
#include <random>
#include <sys/stat.h>

namespace tenon {
namespace {

using namespace testing;
namespace fs = std::filesystem;

// A directory with one entry that was a hit before anything happened to it.
struct Damage : ::testing::Test {
  void SetUp() override {
    ASSERT_TRUE(ask(directory, key).compiled);
    const Asked hit = ask(directory, key);
    ASSERT_TRUE(!hit.compiled && hit.right && hit.notes.empty()) << hit.error;
    good = bytes_in(path);
  }
  // The answer is right, the damage was noticed and said, and the next process finds a good entry.
  void survive(const std::string &fault, const std::function<void()> &damage) {
    damage();
    const Asked first = ask(directory, key);
    ASSERT_TRUE(first.right) << fault << ": " << first.error;
    ASSERT_TRUE(first.compiled) << fault << ": it was taken for good";
    ASSERT_EQ(first.notes.size(), 1u) << fault;
    const Asked second = ask(directory, key);
    ASSERT_TRUE(second.right && !second.compiled && second.notes.empty()) << fault;
    ASSERT_EQ(bytes_in(path), good) << fault;
    tried(fault);
  }
  void write(const std::vector<char> &bytes) { write_bytes(path, bytes); }

  Folder folder;
  const std::string directory = folder.path("cache");
  const KernelKey key = key_number(1);
  const std::string path = entry_path(directory, key);
  std::vector<char> good;
};

TEST_F(Damage, EveryByteOfTheHeaderAndRandomBits) {
  constexpr size_t kFixed = 16; // magic, version, and the size of the JSON that follows
  uint32_t json = 0;
  std::memcpy(&json, good.data() + kFixed - sizeof json, sizeof json);
  const size_t header = kFixed + json;
  ASSERT_TRUE(header > kFixed && header < good.size());
  std::mt19937 random(7);
  auto flip = [&](const char *where, size_t at) {
    std::vector<char> bytes = good;
    bytes[at] ^= static_cast<char>(1 << random() % 8);
    survive(where, [&] { write(bytes); });
  };
  const size_t step = static_cast<size_t>(trials(1, 5));
  for (size_t at = 0; at < header && !HasFatalFailure(); at += at < kFixed ? 1 : step)
    flip("one bit flipped, in each byte of the header", at);
  for (int i = 0; i < trials(2400, 200) && !HasFatalFailure(); ++i)
    flip("one bit flipped anywhere", random() % good.size());
}

TEST_F(Damage, EveryTruncation) {
  const size_t step = static_cast<size_t>(trials(1, 17));
  for (size_t size = 0; size < good.size() && !HasFatalFailure(); size += step)
    survive("truncated", [&] { write({good.begin(), good.begin() + static_cast<long>(size)}); });
}

TEST_F(Damage, Appended) {
  for (int extra : {1, 7, 4096})
    survive("bytes appended", [&] {
      std::vector<char> bytes = good;
      bytes.resize(bytes.size() + static_cast<size_t>(extra));
      write(bytes);
    });
}

TEST_F(Damage, ForeignFormats) {
  for (int version = 0; version < 256; ++version)
    if (version != static_cast<int>(KernelImage::kFormatVersion))
      survive("foreign format version", [&] {
        std::vector<char> bytes = good;
        bytes[8] = static_cast<char>(version);
        write(bytes);
      });
}

TEST_F(Damage, AnotherKeysName) {
  for (int number = 2; number < 2 + trials(200, 20); ++number) {
    const KernelKey other = key_number(number);
    ask(directory, other);
    survive("an entry under another key's name",
            [&] { fs::rename(entry_path(directory, other), path); });
  }
}

TEST_F(Damage, Links) {
  for (int i = 0; i < trials(100, 10); ++i) {
    const std::string aside = folder.path("aside" + std::to_string(i));
    survive("a symbolic link planted", [&] {
      fs::rename(path, aside);
      fs::create_symlink(aside, path);
    });
    survive("a hard link planted", [&] { fs::create_hard_link(path, aside + "-hard"); });
    survive("a directory planted", [&] {
      fs::remove(path);
      fs::create_directory(path);
    });
    survive("a pipe planted", [&] {
      fs::remove(path);
      ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
    });
  }
}

TEST_F(Damage, Permissions) {
  for (mode_t mode : {0602u, 0620u, 0666u, 0777u})
    survive("an entry that others can write", [&] { ASSERT_EQ(chmod(path.c_str(), mode), 0); });
  if (geteuid() == 0)
    survive("an entry of another user", [&] { ASSERT_EQ(chown(path.c_str(), 1234, 0), 0); });
}

TEST_F(Damage, Signatures) {
  for (const char *name : {"good", "evil"})
    if (const Result<void> made = make_signing_key(folder.path(name)); !made)
      GTEST_SKIP() << made.error().message();
  auto ask_signed = [&] {
    KernelCache cache;
    EXPECT_TRUE(cache.configure({.disk = DiskUse::kOn,
                                 .directory = directory,
                                 .public_keys = {folder.path("good.public")},
                                 .signing_key = folder.path("good")}));
    return ask(cache, key);
  };
  ASSERT_TRUE(ask_signed().compiled) << "an unsigned entry was taken";
  tried("a missing signature");
  ASSERT_FALSE(ask_signed().compiled);
  const std::vector<char> sealed = bytes_in(path);
  const size_t trailer = 112, step = static_cast<size_t>(trials(1, 7));
  auto refused = [&](const char *fault) {
    const Asked asked = ask_signed();
    ASSERT_TRUE(asked.compiled && asked.right && !asked.notes.empty()) << fault;
    ASSERT_FALSE(ask_signed().compiled) << fault;
    tried(fault);
  };
  for (size_t bit = 0; bit < 8 * trailer && !HasFatalFailure(); bit += step) {
    std::vector<char> bytes = sealed;
    bytes[bytes.size() - trailer + bit / 8] ^= static_cast<char>(1 << bit % 8);
    write(bytes);
    refused("a wrong signature");
  }
  fs::remove(path);
  KernelCache evil;
  ASSERT_TRUE(evil.configure(
      {.disk = DiskUse::kOn, .directory = directory, .signing_key = folder.path("evil")}));
  ask(evil, key);
  refused("a signature by somebody else");
}

TEST_F(Damage, TwoVersionsInOneDirectory) {
  for (int round = 0; round < trials(100, 20); ++round)
    for (uint32_t generation : {1u, 2u, 3u}) {
      const KernelKey mine = key_number(round, "host:x86-64-v3", generation);
      const Asked first = ask(directory, mine), second = ask(directory, mine);
      ASSERT_TRUE(first.compiled || round == 1) << "another version's entry was taken";
      ASSERT_TRUE(first.right && second.right && !second.compiled && second.notes.empty());
      tried("two versions interleaved");
    }
}

} // namespace
} // namespace tenon
