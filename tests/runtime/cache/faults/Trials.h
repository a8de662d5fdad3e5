/// Counts of what was tried, printed at the end; how many are tried is said once.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

namespace tenon::testing {

/// The full number where everything is tested (TENON_TEST_ALL), else a part of it.
inline int trials(int full, int part) {
  const char *all = std::getenv("TENON_TEST_ALL");
  return all && *all ? full : part;
}

/// tried("one bit flipped", 2400): a line of the table at the end.
inline std::map<std::string, int> &tried_table() {
  static std::map<std::string, int> table;
  return table;
}
inline void tried(const std::string &fault, int count = 1) {
  tried_table()[fault] += count;
}

/// What this program does when it is started again as a process of its own: trial_child(directory).
int trial_child(const std::string &mode, const std::string &directory);
/// Starts it; returns its process.
int start_child(const std::string &mode, const std::string &directory);

} // namespace tenon::testing
