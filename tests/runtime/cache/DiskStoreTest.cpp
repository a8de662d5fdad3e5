#include "tenon/DiskStore.h"

#include "CacheFixture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <utime.h>

namespace tenon {
namespace {

using namespace testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

struct DiskStoreTest : ::testing::Test {
  std::shared_ptr<DiskStore> open(DiskStoreOptions options = {}) {
    return DiskStore::open(folder.path("cache"), std::move(options)).value();
  }
  void publish(int number) {
    ASSERT_TRUE(open()->publish(key_number(number), image_bytes(key_number(number)), {}));
  }
  std::string entry(int number) { return entry_path(folder.path("cache"), key_number(number)); }
  bool exists(int number) { return fs::exists(entry(number)); }
  void last_used(int number, time_t when) {
    const utimbuf times = {when, when};
    ASSERT_EQ(utime(entry(number).c_str(), &times), 0);
  }
  std::optional<StoredKernel> look_up(DiskStore &store, int number) {
    return store.look_up(key_number(number), notes);
  }
  Folder folder;
  CacheNotes notes;
};

TEST_F(DiskStoreTest, KeepsWhatWasPublished) {
  publish(1);
  std::optional<StoredKernel> found = look_up(*open(), 1);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->image.key, key_number(1).text());
  EXPECT_EQ(found->image.graph, "func 1");
  EXPECT_EQ(found->place, folder.path("cache"));
  EXPECT_FALSE(look_up(*open(), 2));
  EXPECT_THAT(notes, IsEmpty());
}

TEST_F(DiskStoreTest, TheDirectoryIsPrivateAndTheBytesAreDeterministic) {
  publish(1);
  const std::vector<char> first = bytes_in(entry(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  publish(1);
  EXPECT_EQ(bytes_in(entry(1)), first);
  struct stat status = {};
  ASSERT_EQ(stat(folder.path("cache").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(stat(entry(1).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}

TEST_F(DiskStoreTest, ADamagedEntryIsSetAsideWithItsReasonAndReportedOnce) {
  publish(1);
  std::vector<char> bytes = bytes_in(entry(1));
  bytes[bytes.size() / 2] ^= 1;
  write_bytes(entry(1), bytes);
  EXPECT_FALSE(look_up(*open(), 1));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("checksum"));
  EXPECT_FALSE(exists(1));
  int aside = 0, reasons = 0;
  for (const auto &file : fs::directory_iterator(folder.path("cache/set-aside")))
    ++(file.path().extension() == ".reason" ? reasons : aside);
  EXPECT_EQ(aside, 1);
  EXPECT_EQ(reasons, 1);
  EXPECT_FALSE(look_up(*open(), 1));
  EXPECT_EQ(notes.size(), 1u);
}

TEST_F(DiskStoreTest, AnEntryUnderAnotherNameIsNotUsed) {
  publish(1);
  fs::rename(entry(1), entry(2));
  EXPECT_FALSE(look_up(*open(), 2));
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("another key"));
}

TEST_F(DiskStoreTest, LinksAreNotFollowed) {
  publish(1);
  publish(2);
  fs::rename(entry(1), folder.path("elsewhere"));
  fs::create_symlink(folder.path("elsewhere"), entry(1));
  fs::create_hard_link(entry(2), folder.path("second-name"));
  EXPECT_FALSE(look_up(*open(), 1));
  EXPECT_FALSE(look_up(*open(), 2));
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_THAT(notes[0], HasSubstr("symbolic link"));
  EXPECT_THAT(notes[1], HasSubstr("hard link"));
  fs::rename(folder.path("cache"), folder.path("real"));
  fs::create_directory_symlink(folder.path("real"), folder.path("cache"));
  EXPECT_THAT(DiskStore::open(folder.path("cache"), {}).error().message(),
              HasSubstr("symbolic link"));
}

TEST_F(DiskStoreTest, WhatOthersCanWriteIsRefused) {
  publish(1);
  std::shared_ptr<DiskStore> store = open();
  ASSERT_EQ(chmod(entry(1).c_str(), 0666), 0);
  EXPECT_FALSE(look_up(*store, 1));
  EXPECT_THAT(notes.back(), HasSubstr("others can write it (mode 0666)"));
  ASSERT_EQ(chmod(folder.path("cache").c_str(), 0777), 0);
  EXPECT_FALSE(look_up(*store, 1));
  EXPECT_THAT(notes.back(), HasSubstr("others can write it (mode 0777)"));
  EXPECT_FALSE(store->publish(key_number(1), image_bytes(key_number(1)), {}));
  EXPECT_EQ(DiskStore::open(folder.path("cache"), {}).error().code(), ErrorCode::kUnsupported);
}

TEST_F(DiskStoreTest, WhatBelongsToAnotherUserIsRefused) {
  if (geteuid() != 0)
    GTEST_SKIP() << "only root can give a directory away";
  publish(1);
  ASSERT_EQ(chown(folder.path("cache").c_str(), 1234, 0), 0);
  EXPECT_THAT(DiskStore::open(folder.path("cache"), {}).error().message(),
              HasSubstr("belongs to user 1234"));
}

TEST_F(DiskStoreTest, ALowerLayerIsNeverChanged) {
  publish(1);
  std::vector<char> bytes = bytes_in(entry(1));
  bytes.back() ^= 1;
  write_bytes(entry(1), bytes);
  std::shared_ptr<DiskStore> lower = open({.lower_layer = true});
  EXPECT_FALSE(look_up(*lower, 1));
  EXPECT_TRUE(exists(1));
  EXPECT_EQ(notes.size(), 1u);
  EXPECT_FALSE(look_up(*lower, 1));
  EXPECT_EQ(notes.size(), 1u) << "the same damage is reported once";
  EXPECT_FALSE(lower->publish(key_number(2), image_bytes(key_number(2)), {}));
  EXPECT_EQ(DiskStore::open(folder.path("none"), {.lower_layer = true}).error().code(),
            ErrorCode::kNotFound);
}

TEST_F(DiskStoreTest, TheLeastRecentlyUsedGoesFirst) {
  for (int number : {1, 2, 3, 4})
    publish(number);
  for (int number : {1, 2, 3, 4})
    last_used(number, 1'000'000 + number);
  ASSERT_TRUE(look_up(*open(), 1)); // its store, and with it the mark of use, is gone at once
  const uint64_t two = 2 * fs::file_size(entry(1));
  EXPECT_EQ(open()->evict(two).value(), two);
  EXPECT_TRUE(exists(1) && exists(4) && !exists(2) && !exists(3));
}

TEST_F(DiskStoreTest, WhatIsInUseStays) {
  for (int number : {1, 2})
    publish(number);
  std::shared_ptr<DiskStore> user = open();
  ASSERT_TRUE(look_up(*user, 1));
  last_used(1, 1000);
  EXPECT_GT(open()->evict(0).value(), 0u);
  EXPECT_TRUE(exists(1) && !exists(2));
  EXPECT_EQ(open()->clear().value(), 0u);
  user.reset();
  EXPECT_EQ(open()->clear().value(), 1u);
}

TEST_F(DiskStoreTest, WhatWasNotUsedForLongGoes) {
  for (int number : {1, 2, 3})
    publish(number);
  last_used(1, time(nullptr) - 11 * 24 * 3600);
  last_used(2, time(nullptr) + 1000 * 24 * 3600); // the clock was set back since
  EXPECT_GT(open()->prune(0, 10).value(), 0u);
  EXPECT_TRUE(!exists(1) && exists(2) && exists(3));
}

TEST_F(DiskStoreTest, PublishingKeepsTheBound) {
  const uint64_t one = image_bytes(key_number(1)).size();
  for (int number = 0; number < 20; ++number) {
    std::shared_ptr<DiskStore> store = open({.max_bytes = 4 * one + one / 2});
    ASSERT_TRUE(store->publish(key_number(number), image_bytes(key_number(number)), {}));
  }
  EXPECT_LE(open()->list()->size(), 5u);
  EXPECT_TRUE(exists(19));
}

TEST_F(DiskStoreTest, WhatDeadWritersLeftIsSwept) {
  publish(1);
  const std::string left = folder.path("cache/.x.part"), young = folder.path("cache/.y.part");
  write_bytes(left, {'x'});
  write_bytes(young, {'y'});
  const utimbuf times = {1000, 1000};
  ASSERT_EQ(utime(left.c_str(), &times), 0);
  ASSERT_TRUE(open()->prune(0, 0));
  EXPECT_FALSE(fs::exists(left));
  EXPECT_TRUE(fs::exists(young));
}

TEST_F(DiskStoreTest, OneClaimAtATimeAndItDiesWithItsHolder) {
  std::shared_ptr<DiskStore> store = open();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::shared_ptr<void> held = store->claim(key_number(1), notes);
    static_cast<void>(!write(ready[1], "x", 1));
    pause();
    _exit(held ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  std::atomic<bool> got{false};
  std::thread waiter([&] { got = store->claim(key_number(1), notes) != nullptr; });
  EXPECT_NE(open()->claim(key_number(2), notes), nullptr) << "another kernel is free";
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(got);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  waiter.join();
  EXPECT_TRUE(got);
  close(ready[0]), close(ready[1]);
}

TEST_F(DiskStoreTest, ADirectoryThatIsRemovedComesBack) {
  publish(1);
  std::shared_ptr<DiskStore> store = open();
  ASSERT_TRUE(look_up(*store, 1));
  fs::remove_all(folder.path("cache"));
  EXPECT_FALSE(look_up(*store, 1));
  EXPECT_NE(store->claim(key_number(1), notes), nullptr);
  EXPECT_TRUE(store->publish(key_number(1), image_bytes(key_number(1)), {}));
  EXPECT_TRUE(look_up(*store, 1) && exists(1));
}

TEST_F(DiskStoreTest, VerifyAndShowAndList) {
  for (int number : {1, 2, 3})
    publish(number);
  fs::copy_file(entry(1), entry(4));
  ASSERT_EQ(truncate(entry(2).c_str(), 100), 0);
  const std::vector<DiskStore::Damage> damages = open()->verify().value();
  ASSERT_EQ(damages.size(), 2u);
  EXPECT_EQ(open()->show(key_number(3).hash().substr(0, 20))->image.key, key_number(3).text());
  EXPECT_EQ(open()->show("x").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(open()->show("").error().code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(open()->provenance(key_number(3).hash()), HasSubstr("compile_milliseconds"));
  const std::vector<KernelCacheEntry> lines = open()->list().value();
  ASSERT_EQ(lines.size(), 4u);
  for (const KernelCacheEntry &line : lines)
    EXPECT_TRUE(!line.refusal.empty() || line.kernel == "test_kernel") << line.hash;
}

TEST_F(DiskStoreTest, ASignatureThatIsRequiredMustBeThere) {
  for (const char *name : {"good", "evil"})
    if (const Result<void> made = make_signing_key(folder.path(name)); !made)
      GTEST_SKIP() << made.error().message();
  const PublicKeys good = {read_public_key(folder.path("good.public")).value()};
  auto publish_with = [&](int number, const std::string &key) {
    return open({.signing_key = key})
        ->publish(key_number(number), image_bytes(key_number(number)), {});
  };
  ASSERT_TRUE(publish_with(1, folder.path("good")));
  ASSERT_TRUE(publish_with(2, folder.path("evil")));
  ASSERT_TRUE(publish_with(3, ""));
  ASSERT_TRUE(publish_with(4, folder.path("good")));
  std::vector<char> one = bytes_in(entry(1)), four = bytes_in(entry(4));
  std::copy(one.end() - 112, one.end(), four.end() - 112); // a signature of another image
  write_bytes(entry(4), four);
  EXPECT_TRUE(look_up(*open({.signers = good}), 1));
  for (int number : {2, 3, 4})
    EXPECT_FALSE(look_up(*open({.signers = good}), number)) << number;
  EXPECT_THAT(notes, ElementsAre(HasSubstr("a key that is not trusted"), HasSubstr("not signed"),
                                 HasSubstr("signature is wrong")));
  EXPECT_TRUE(look_up(*open(), 3)) << "it serves those who require no signature";
  EXPECT_FALSE(open({.signers = good})->publish(key_number(5), image_bytes(key_number(5)), {}));
  EXPECT_EQ(open()->sign(folder.path("good")).value(), 2u);
  EXPECT_TRUE(look_up(*open({.signers = good}), 3));
}

TEST_F(DiskStoreTest, ASecretKeyThatOthersCanReadIsRefused) {
  if (const Result<void> made = make_signing_key(folder.path("key")); !made)
    GTEST_SKIP() << made.error().message();
  ASSERT_EQ(chmod(folder.path("key").c_str(), 0644), 0);
  EXPECT_THAT(
      DiskStore::open(folder.path("cache"), {.signing_key = folder.path("key")}).error().message(),
      HasSubstr("others can read"));
}

} // namespace
} // namespace tenon
