#include "launch/Report.h"
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace tenon::emulator {
namespace {
constexpr size_t kLargestFindingCount = 1000; // distinct ones; more help nobody

void append_counters(std::string &json, const Counters &counters, bool opcodes) {
  json += "\"launches\":" + std::to_string(counters.launches) + ",\"blocks\":" + std::to_string(counters.blocks) +
          ",\"warp_instructions\":" + std::to_string(counters.total()) + ",\"kinds\":{";
  bool first = true;
  for (size_t i = 0; i < std::size(kOpKindNames); i++) {
    json += (first ? "\"" : ",\"") + std::string(kOpKindNames[i]) + "\":" + std::to_string(counters.kinds[i]);
    first = false;
  }
  json += "}";
  if (!opcodes)
    return;
  json += ",\"opcodes\":{";
  first = true;
  for (const auto &[opcode, count] : counters.opcodes) {
    json += (first ? "\"" : ",\"") + opcode + "\":" + std::to_string(count);
    first = false;
  }
  json += "}";
}
} // namespace

uint64_t Counters::total() const { return std::accumulate(std::begin(kinds), std::end(kinds), uint64_t{0}); }

std::string_view finding_name(FindingKind kind) {
  static constexpr std::string_view kNames[] = {
      "out of bounds",     "use after free",    "misaligned",  "uninitialised memory",
      "uninitialised register", "pending copy", "divergent barrier", "divergent warp",
      "deadlock",          "timeout",           "trap",        "launch geometry"};
  return kNames[static_cast<size_t>(kind)];
}

Report &Report::instance() {
  static Report *report = new Report; // outlives every thread
  return *report;
}

void Report::add(Finding finding) {
  std::lock_guard lock(mutex_);
  for (Finding &known : findings_)
    if (known.kind == finding.kind && known.kernel == finding.kernel && known.location.line == finding.location.line &&
        known.location.column == finding.location.column) {
      known.count++;
      return;
    }
  if (findings_.size() >= kLargestFindingCount)
    return;
  const char *log = std::getenv("TENON_EMULATOR_LOG");
  if (log && *log && *log != '0')
    std::fprintf(stderr, "emulator: %s\n", finding.text.c_str());
  findings_.push_back(std::move(finding));
}

void Report::add(const std::string &kernel, const Counters &counters) {
  std::lock_guard lock(mutex_);
  Counters &sum = kernels_[kernel];
  sum.launches += counters.launches;
  sum.blocks += counters.blocks;
  for (size_t i = 0; i < std::size(kOpKindNames); i++)
    sum.kinds[i] += counters.kinds[i];
  for (const auto &[opcode, count] : counters.opcodes)
    sum.opcodes[opcode] += count;
}

void Report::clear() {
  std::lock_guard lock(mutex_);
  findings_.clear();
  kernels_.clear();
}

std::vector<Finding> Report::findings() const {
  std::lock_guard lock(mutex_);
  return findings_;
}

std::string Report::text() const {
  std::lock_guard lock(mutex_);
  if (findings_.empty())
    return "nothing found\n";
  std::string text;
  for (const Finding &finding : findings_)
    text += finding.text + (finding.count > 1 ? " (" + std::to_string(finding.count) + " times)\n" : "\n");
  return text;
}

std::string Report::counters() const {
  std::lock_guard lock(mutex_);
  Counters all;
  for (const auto &[name, counters] : kernels_) {
    all.launches += counters.launches;
    all.blocks += counters.blocks;
    for (size_t i = 0; i < std::size(kOpKindNames); i++)
      all.kinds[i] += counters.kinds[i];
  }
  std::string json = "{";
  append_counters(json, all, false);
  json += ",\"kernels\":{";
  bool first = true;
  for (const auto &[name, counters] : kernels_) {
    json += (first ? "\"" : ",\"") + name + "\":{";
    append_counters(json, counters, true);
    json += "}";
    first = false;
  }
  return json + "}}";
}

} // namespace tenon::emulator
