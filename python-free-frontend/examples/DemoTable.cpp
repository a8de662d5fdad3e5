#include "DemoTable.h"

#include "Command.h"

#include <cctype>
#include <cstdio>
#include <sstream>

namespace {

constexpr size_t kColumns = 116;

std::string shortened(std::string line) {
  for (char &character : line)
    if (character == '\t')
      character = ' ';
  if (line.size() > kColumns)
    line = line.substr(0, kColumns - 2) + " …";
  return "   " + line + "\n";
}

} // namespace

std::string heading(int number, const std::string &title, const std::string &remark) {
  return tenon::command::label(std::to_string(number) + "  " + title, 14) + "  " + remark + "\n";
}

std::string instructions_with(const std::string &text, const std::string &word, int count) {
  std::string found;
  for (size_t at = text.find(word); count > 0 && at != std::string::npos;
       at = text.find(word, at + 1), --count) {
    std::string instruction;
    for (char character : text.substr(at, text.find(';', at) + 1 - at))
      if (bool space = std::isspace(static_cast<unsigned char>(character)); !space)
        instruction += character;
      else if (!instruction.empty() && instruction.back() != ' ')
        instruction += ' ';
    found += shortened(instruction);
  }
  return found;
}

std::string indented(const std::string &text) {
  std::istringstream lines(text);
  std::string all, line;
  while (std::getline(lines, line))
    all += shortened(line);
  return all;
}

std::string table_of(const std::vector<DemoRun> &runs, double peak) {
  char line[256];
  std::snprintf(line, sizeof line, "   %-28s %-5s %10s %10s %18s %12s %12s %9s\n", "runs on",
                "type", "first ms", "later ms", "GFLOP/s", "to float64", "to stored", "allowed");
  std::string text = line;
  for (const DemoRun &run : runs) {
    char rate[64] = "-";
    if (run.gflops > 0)
      std::snprintf(rate, sizeof rate, "%.1f, %.0f%% of FMA", run.gflops, 100 * run.gflops / peak);
    std::snprintf(line, sizeof line, "   %-28s %-5s %10.1f %10.2f %18s %12.1e %12.1e %9.1e %s\n",
                  run.where.c_str(), run.dtype.c_str(), run.first_milliseconds,
                  run.later_milliseconds, rate, run.error_to_float64, run.error_to_stored,
                  run.bound, run.right() ? "ok" : "WRONG");
    text += line;
  }
  return text;
}
