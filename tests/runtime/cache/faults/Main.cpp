/// Faults of the kernel cache, tried in numbers: each trial sees a hit first, then damages, then
/// checks that the answer is right and that the damage was reported. TENON_TEST_ALL=1 tries all of
/// them.
#include "Trials.h"

#include <gtest/gtest.h>
#include <spawn.h>

extern char **environ;

namespace tenon::testing {
namespace {

struct Table final : ::testing::Environment {
  void TearDown() override {
    std::printf("\ntried  fault\n");
    for (const auto &[fault, count] : tried_table())
      std::printf("%6d %s\n", count, fault.c_str());
  }
};

} // namespace

int start_child(const std::string &mode, const std::string &directory) {
  std::string program = "/proc/self/exe", option = "--child";
  std::string words[] = {mode, directory};
  char *arguments[] = {program.data(), option.data(), words[0].data(), words[1].data(), nullptr};
  pid_t child = -1;
  posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ);
  return child;
}

} // namespace tenon::testing

int main(int count, char **arguments) {
  if (count == 4 && std::string(arguments[1]) == "--child")
    return tenon::testing::trial_child(arguments[2], arguments[3]);
  ::testing::InitGoogleTest(&count, arguments);
  ::testing::AddGlobalTestEnvironment(new tenon::testing::Table);
  return RUN_ALL_TESTS();
}
