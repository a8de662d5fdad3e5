#include "launch/Report.h"
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <numeric>

namespace tenon::emulator {
namespace {
using Json = nlohmann::ordered_json;
constexpr size_t kLargestFindingCount = 1000; // distinct ones; more help nobody

std::string dump(const Json &json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

constexpr const char *kSpaces[] = {"generic", "global", "shared", "local", "const", "parameter"};
constexpr const char *kAccesses[] = {"read", "write", "atomic", "copy source", "copy destination", "mbarrier use", "mbarrier end"};

Json to_json(const Finding &finding) {
  Json json = {{"kind", finding_name(finding.kind)},
               {"checker", checker_name(finding.kind)},
               {"kernel", finding.kernel},
               {"line", finding.location.line},
               {"column", finding.location.column},
               {"opcode", finding.opcode},
               {"ptx", finding.ptx}};
  if (!finding.source_file.empty())
    json["source"] = {{"file", finding.source_file}, {"line", finding.source_line}};
  if (finding.thread) {
    json["block"] = finding.thread->block;
    json["thread"] = finding.thread->thread;
    json["warp"] = finding.thread->warp;
    json["lane"] = finding.thread->lane;
  }
  if (finding.access) {
    json["space"] = kSpaces[static_cast<size_t>(finding.access->space)];
    json["access"] = kAccesses[static_cast<size_t>(finding.access->access)];
    json["address"] = finding.access->address;
    json["bytes"] = finding.access->bytes;
    json["allocation"] = finding.allocation;
  }
  json["detail"] = finding.detail;
  json["text"] = finding.text;
  json["count"] = finding.count;
  return json;
}

Json kinds_to_json(const uint64_t (&kinds)[std::size(kOpKindNames)]) {
  Json json = Json::object();
  for (size_t i = 0; i < std::size(kOpKindNames); i++)
    json[kOpKindNames[i]] = kinds[i];
  return json;
}

void add_traffic(Traffic &sum, const Traffic &more) {
  sum.wavefronts += more.wavefronts;
  sum.ideal_wavefronts += more.ideal_wavefronts;
  sum.sectors += more.sectors;
  sum.ideal_sectors += more.ideal_sectors;
}

void add_traffic(Json &json, const Traffic &traffic) {
  if (traffic.wavefronts)
    json["shared"] = {{"wavefronts", traffic.wavefronts}, {"ideal", traffic.ideal_wavefronts}};
  if (traffic.sectors)
    json["global"] = {{"sectors", traffic.sectors}, {"ideal", traffic.ideal_sectors}};
}

Json to_json(const Counters &counters) {
  Json json = {{"launches", counters.launches},
               {"blocks", counters.blocks},
               {"warp_instructions", counters.total()},
               {"kinds", kinds_to_json(counters.kinds)}};
  uint64_t divergent = 0;
  Traffic traffic;
  for (const auto &[place, line] : counters.lines) {
    divergent += line.divergent;
    add_traffic(traffic, line.traffic);
  }
  json["divergent_warp_instructions"] = divergent;
  json["shared"] = {{"wavefronts", traffic.wavefronts}, {"ideal", traffic.ideal_wavefronts}};
  json["global"] = {{"sectors", traffic.sectors}, {"ideal", traffic.ideal_sectors}};
  return json;
}

Json lines_to_json(const Counters &counters) {
  Json lines = Json::array();
  for (const auto &[place, line] : counters.lines) {
    Json json = {{"line", place.first}, {"opcode", line.opcode}, {"executed", line.executed}};
    if (line.divergent)
      json["divergent"] = line.divergent;
    add_traffic(json, line.traffic);
    lines.push_back(std::move(json));
  }
  return lines;
}
} // namespace

uint64_t Counters::total() const { return std::accumulate(std::begin(kinds), std::end(kinds), uint64_t{0}); }

void Counters::add(const Counters &other) {
  launches += other.launches;
  blocks += other.blocks;
  for (size_t i = 0; i < std::size(kOpKindNames); i++)
    kinds[i] += other.kinds[i];
  for (const auto &[opcode, count] : other.opcodes)
    opcodes[opcode] += count;
  for (const auto &[place, line] : other.lines) {
    LineCounters &sum = lines[place];
    sum.opcode = line.opcode;
    sum.executed += line.executed;
    sum.divergent += line.divergent;
    add_traffic(sum.traffic, line.traffic);
  }
}

Report &Report::instance() {
  static Report *report = new Report; // outlives every thread
  return *report;
}

bool Report::configure() {
  const char *choice = std::getenv("TENON_EMULATOR_CHECK"), *path = std::getenv("TENON_EMULATOR_REPORT");
  std::string why;
  if (choice && !parse_checkers(choice, why)) {
    std::fprintf(stderr, "emulator: TENON_EMULATOR_CHECK: %s\n", why.c_str());
    return false;
  }
  std::lock_guard lock(mutex_);
  if (!path || !*path || file_ == path)
    return true;
  std::FILE *file = std::fopen(path, "w");
  if (!file) {
    std::fprintf(stderr, "emulator: TENON_EMULATOR_REPORT: %s cannot be written\n", path);
    return false;
  }
  std::fclose(file);
  file_ = path;
  return true;
}

Finding *Report::find(FindingKind kind, const std::string &kernel, Location location) {
  for (Finding &known : findings_)
    if (known.kind == kind && known.kernel == kernel && known.location.line == location.line &&
        known.location.column == location.column)
      return &known;
  return nullptr;
}

/// What is told of no place in the text is known where it says the same.
Finding *Report::find(const Finding &finding) {
  if (finding.thread)
    return find(finding.kind, finding.kernel, finding.location);
  for (Finding &known : findings_)
    if (known.kind == finding.kind && known.kernel == finding.kernel && known.detail == finding.detail)
      return &known;
  return nullptr;
}

bool Report::count(FindingKind kind, const std::string &kernel, Location location) {
  std::lock_guard lock(mutex_);
  Finding *known = find(kind, kernel, location);
  if (known)
    known->count++;
  return known;
}

void Report::add(Finding finding) {
  if (!(chosen_kinds() & kind_bit(finding.kind)))
    return;
  std::lock_guard lock(mutex_);
  if (Finding *known = find(finding)) {
    known->count++;
    return;
  }
  if (findings_.size() >= kLargestFindingCount)
    return;
  told_ = false;
  const char *log = std::getenv("TENON_EMULATOR_LOG");
  if (log && *log && *log != '0') {
    std::fprintf(stderr, "emulator: %s\n", finding.text.c_str());
    told_ = true;
  }
  if (std::FILE *file = file_.empty() ? nullptr : std::fopen(file_.c_str(), "a")) {
    std::fprintf(file, "%s\n", dump(to_json(finding)).c_str());
    std::fclose(file);
    told_ = true;
  }
  if (!reminds_)
    reminds_ = std::atexit([] { instance().remind(); }) == 0;
  findings_.push_back(std::move(finding));
}

void Report::add(const std::string &kernel, const Counters &counters) {
  std::lock_guard lock(mutex_);
  Counters &sum = kernels_[kernel];
  sum.add(counters);
  std::copy(std::begin(counters.static_kinds), std::end(counters.static_kinds), std::begin(sum.static_kinds));
}

// A program that has a race and looks right would look as if nothing had been found.
void Report::remind() {
  std::lock_guard lock(mutex_);
  if (!told_ && !findings_.empty())
    std::fprintf(stderr, "emulator: %zu %s: TENON_EMULATOR_LOG=1 prints what was found, TENON_EMULATOR_REPORT=FILE writes it\n",
                 findings_.size(), findings_.size() == 1 ? "finding" : "findings");
}

void Report::clear() {
  std::lock_guard lock(mutex_);
  told_ = true;
  findings_.clear();
  kernels_.clear();
}

std::vector<Finding> Report::findings() const {
  std::lock_guard lock(mutex_);
  told_ = true;
  return findings_;
}

std::string Report::text() const {
  std::lock_guard lock(mutex_);
  told_ = true;
  if (findings_.empty())
    return "nothing found\n";
  std::string text;
  for (const Finding &finding : findings_)
    text += finding.text + (finding.count > 1 ? " (" + std::to_string(finding.count) + " times)\n" : "\n");
  return text;
}

std::string Report::json_lines() const {
  std::lock_guard lock(mutex_);
  told_ = true;
  std::string lines;
  for (const Finding &finding : findings_)
    lines += dump(to_json(finding)) + "\n";
  return lines;
}

std::string Report::counters() const {
  std::lock_guard lock(mutex_);
  Counters all;
  Json kernels = Json::object();
  for (const auto &[name, counters] : kernels_) {
    Json kernel = to_json(counters);
    kernel["static_kinds"] = kinds_to_json(counters.static_kinds);
    kernel["opcodes"] = counters.opcodes;
    kernel["lines"] = lines_to_json(counters);
    kernels[name] = std::move(kernel);
    all.add(counters);
  }
  Json json = to_json(all);
  json["kernels"] = std::move(kernels);
  return dump(json);
}

} // namespace tenon::emulator
