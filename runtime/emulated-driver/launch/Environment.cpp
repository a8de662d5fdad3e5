#include "launch/Environment.h"
#include "execute/Execute.h"
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace tenon::emulator {
namespace {
constexpr uint64_t kMostHostThreads = 1024;
constexpr uint64_t kMostSeconds = 1'000'000'000; // a century; more would overflow the clock
constexpr std::string_view kExecutors[] = {"avx512", "avx2", "baseline"};

/// The value of a variable; nothing where it is unset or empty.
std::optional<std::string> variable(const char *name) {
  const char *value = std::getenv(name);
  return value && *value ? std::optional<std::string>(value) : std::nullopt;
}

/// A whole number within bounds, and nothing behind it.
std::optional<uint64_t> number_within(std::string_view text, uint64_t least, uint64_t most, int base = 10) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc() && end == text.data() + text.size() && number >= least && number <= most
             ? std::optional(number)
             : std::nullopt;
}
std::optional<uint64_t> parse_threads(std::string_view text) { return number_within(text, 1, kMostHostThreads); }
std::optional<uint64_t> parse_timeout(std::string_view text) { return number_within(text, 1, kMostSeconds); }
std::optional<uint64_t> parse_budget(std::string_view text) { return number_within(text, 0, ~uint64_t{0}); }

/// As strtoull reads it with base 0.
bool is_seed(std::string_view text) {
  if (text.starts_with("0x") || text.starts_with("0X"))
    return number_within(text.substr(2), 0, ~uint64_t{0}, 16).has_value();
  return number_within(text, 0, ~uint64_t{0}, text.starts_with('0') ? 8 : 10).has_value();
}

struct KnownVariable {
  const char *name, *wanted;
  bool (*makes_sense)(std::string_view);
};
constexpr KnownVariable kVariables[] = {
    {"TENON_EMULATOR_SCHEDULE", "forward, reverse, random, or random:SEED",
     [](std::string_view text) { return Schedule::parse(text).has_value(); }},
    {"TENON_EMULATOR_THREADS", "a number from 1 to 1024", [](std::string_view text) { return parse_threads(text).has_value(); }},
    {"TENON_EMULATOR_TIMEOUT", "a number of seconds, 1 or more", [](std::string_view text) { return parse_timeout(text).has_value(); }},
    {"TENON_EMULATOR_BUDGET", "a number of warp instructions, or 0 for no limit",
     [](std::string_view text) { return parse_budget(text).has_value(); }},
    {"TENON_EMULATOR_PERTURB", "a number", is_seed},
    {"TENON_EMULATOR_ISA", "avx512, avx2, or baseline",
     [](std::string_view text) { return std::ranges::find(kExecutors, text) != std::end(kExecutors); }},
};

/// An executor that this processor, or this build, does not have: the best one runs instead, which is said once.
void tell_of_missing_executor() {
  static const bool told = [] {
    const std::optional<std::string> asked = variable("TENON_EMULATOR_ISA");
    if (asked && !executor_named(asked->c_str()))
      std::fprintf(stderr, "emulator: TENON_EMULATOR_ISA: this processor, or this build, has no %s; %s runs\n", asked->c_str(),
                   executor().name);
    return true;
  }();
  static_cast<void>(told);
}
} // namespace

LaunchSettings launch_settings() {
  LaunchSettings settings;
  auto value = [](const char *name) { return variable(name).value_or(""); };
  settings.schedule = Schedule::parse(value("TENON_EMULATOR_SCHEDULE")).value_or(settings.schedule);
  settings.timeout_seconds = parse_timeout(value("TENON_EMULATOR_TIMEOUT")).value_or(settings.timeout_seconds);
  settings.budget = parse_budget(value("TENON_EMULATOR_BUDGET")).value_or(settings.budget);
  return settings;
}

unsigned threads_of_environment() {
  return static_cast<unsigned>(parse_threads(variable("TENON_EMULATOR_THREADS").value_or("")).value_or(0));
}

bool environment_makes_sense() {
  bool makes_sense = true;
  for (const KnownVariable &known : kVariables) {
    const std::optional<std::string> value = variable(known.name);
    if (!value || known.makes_sense(*value))
      continue;
    std::fprintf(stderr, "emulator: %s: '%s' is not %s\n", known.name, value->c_str(), known.wanted);
    makes_sense = false;
  }
  if (makes_sense)
    tell_of_missing_executor();
  return makes_sense;
}

} // namespace tenon::emulator
