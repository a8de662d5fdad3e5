// One source, compiled for several instruction sets: the tests of instructions run on each of them by TENON_EMULATOR_ISA.
#include "execute/Execute.h"
#include <cstdlib>
#include <gtest/gtest.h>
#include <string>

namespace tenon::emulator {
namespace {

/// The best one, where none is asked for.
TEST(Executors, TheOneAskedForRuns) {
  const char *asked = std::getenv("TENON_EMULATOR_ISA");
  std::string expected = asked ? asked : "";
  if (asked && !executor_named(asked))
    GTEST_SKIP() << "this processor, or this build, has no " << asked;
  for (const char *name : {"baseline", "avx2", "avx512"})
    if (!asked && executor_named(name))
      expected = name;
  EXPECT_EQ(executor().name, expected);
}

TEST(Executors, HaveTheirOwnNames) {
  for (const char *name : {"avx512", "avx2", "baseline"})
    if (const Executor *found = executor_named(name))
      EXPECT_STREQ(found->name, name);
  EXPECT_NE(executor_named("baseline"), nullptr);
  EXPECT_EQ(executor_named("a cray"), nullptr);
}

} // namespace
} // namespace tenon::emulator
