/// What one run of the demonstration measured, and how it is shown.
#pragma once

#include <string>
#include <vector>

struct DemoRun {
  std::string where, dtype, kernel;
  double first_milliseconds = 0, later_milliseconds = 0;
  double gflops = 0;           ///< 0 where a rate says nothing, as on the emulator
  double error_to_float64 = 0; ///< the largest, over all elements
  double error_to_stored = 0;
  double bound = 0; ///< that error_to_float64 must not exceed
  bool right() const { return error_to_float64 <= bound; }
};

std::string heading(int number, const std::string &title, const std::string &remark);
std::string table_of(const std::vector<DemoRun> &runs, double peak);
/// The instructions of a PTX text that begin so, at most `count` of them, one a line, indented.
std::string instructions_with(const std::string &text, const std::string &word, int count);
std::string indented(const std::string &text);
