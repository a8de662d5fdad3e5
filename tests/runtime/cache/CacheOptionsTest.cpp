#include "tenon/CacheOptions.h"

#include "CacheFixture.h"

#include <gmock/gmock.h>
#include <map>

namespace tenon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// The variables of the settings, as the test wants them; afterwards as they were.
struct CacheOptionsTest : ::testing::Test {
  CacheOptionsTest() {
    for (const char *name :
         {"TENON_CACHE", "TENON_CACHE_DIR", "TENON_CACHE_PATH", "TENON_CACHE_POLICY",
          "TENON_CACHE_MAX_BYTES", "TENON_CACHE_MAX_DAYS", "XDG_CACHE_HOME", "HOME"}) {
      if (const char *value = std::getenv(name))
        before[name] = value;
      unsetenv(name);
      names.emplace_back(name);
    }
  }
  ~CacheOptionsTest() override {
    for (const std::string &name : names)
      unsetenv(name.c_str());
    for (const auto &[name, value] : before)
      setenv(name.c_str(), value.c_str(), 1);
  }
  static void set(const char *name, const std::string &value) { setenv(name, value.c_str(), 1); }
  std::map<std::string, std::string> before;
  std::vector<std::string> names;
};

TEST_F(CacheOptionsTest, WithoutAHomeThereIsNoDirectory) {
  EXPECT_EQ(resolve({})->directory, "");
  set("HOME", "/home/me");
  EXPECT_EQ(resolve({})->directory, "/home/me/.cache/tenon");
  set("XDG_CACHE_HOME", "relative");
  EXPECT_EQ(resolve({})->directory, "/home/me/.cache/tenon");
  set("XDG_CACHE_HOME", "/var/cache/me");
  EXPECT_EQ(resolve({})->directory, "/var/cache/me/tenon");
  EXPECT_EQ(resolve({})->lines[1].decided_by, "XDG_CACHE_HOME");
}

TEST_F(CacheOptionsTest, AnOptionComesBeforeTheEnvironmentAndThatBeforeTheDefault) {
  EXPECT_EQ(resolve({})->policy, CachePolicy::kCompile);
  set("TENON_CACHE_POLICY", "must_hit");
  EXPECT_EQ(resolve({})->policy, CachePolicy::kMustHit);
  EXPECT_EQ(resolve({.policy = CachePolicy::kCompile})->policy, CachePolicy::kCompile);
  set("TENON_CACHE_PATH", "/a:/b");
  EXPECT_THAT(resolve({})->path, ElementsAre("/a", "/b"));
  EXPECT_THAT(resolve({.path = {"/c"}})->path, ElementsAre("/c"));
}

TEST_F(CacheOptionsTest, TheDiskIsUsedWhereADirectoryIsNamed) {
  set("HOME", "/home/me");
  EXPECT_EQ(resolve({})->disk, DiskUse::kOff);
  EXPECT_EQ(resolve({.disk_by_default = true})->disk, DiskUse::kOn);
  EXPECT_EQ(resolve({.directory = "/kernels"})->disk, DiskUse::kOn);
  set("TENON_CACHE_DIR", "/kernels");
  EXPECT_EQ(resolve({})->disk, DiskUse::kOn);
  set("TENON_CACHE", "off");
  EXPECT_EQ(resolve({.disk_by_default = true})->disk, DiskUse::kOff);
}

TEST_F(CacheOptionsTest, SizesHaveUnits) {
  EXPECT_EQ(parse_bytes("500M", "x").value(), 500ull << 20);
  EXPECT_EQ(parse_bytes("0", "x").value(), 0u);
  for (const char *wrong : {"", "M", "5X", "5MB", "-1", "99999999999T", "1.5G"})
    EXPECT_EQ(parse_bytes(wrong, "x").error().argument(), "x") << wrong;
}

TEST_F(CacheOptionsTest, AValueThatMeansNothingIsAnErrorThatNamesTheVariable) {
  for (const char *name :
       {"TENON_CACHE", "TENON_CACHE_POLICY", "TENON_CACHE_MAX_BYTES", "TENON_CACHE_MAX_DAYS"}) {
    set(name, "nonsense");
    EXPECT_THAT(resolve({}).error().message(), HasSubstr(std::string(name) + ": was nonsense"));
    unsetenv(name);
  }
}

TEST_F(CacheOptionsTest, ACacheGoesOnWithoutADirectoryThatItCannotUse) {
  testing::Folder folder;
  std::filesystem::create_directory(folder.path("open"));
  std::filesystem::permissions(folder.path("open"), std::filesystem::perms::all);
  KernelCache cache;
  ASSERT_TRUE(cache.configure({.directory = folder.path("open"), .path = {folder.path("none")}}));
  EXPECT_THAT(cache.notes(), ElementsAre(HasSubstr("others can write it"), HasSubstr("none")));
  EXPECT_TRUE(testing::ask(cache, testing::key_number(1)).right);
}

TEST_F(CacheOptionsTest, WhatIsAskedIsRecorded) {
  testing::Folder folder;
  KernelCache cache;
  ASSERT_TRUE(cache.configure({.record = folder.path("asked")}));
  for (int number : {1, 2, 1})
    EXPECT_TRUE(testing::ask(cache, testing::key_number(number)).right);
  std::ifstream file(folder.path("asked"));
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);)
    lines.push_back(line);
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr("\"graph\":\"func 1\""));
}

} // namespace
} // namespace tenon
