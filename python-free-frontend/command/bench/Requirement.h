/// A figure of a suite beside what it must be. Of several samples the worst counts.
#pragma once

#include "Command.h"

#include <optional>
#include <string>
#include <vector>

namespace tenon::command {

/// One figure a round, of one of the cases that a requirement speaks of.
struct Sample {
  std::string of; ///< "(1, 8, 4096, 64), f32"
  std::vector<double> rounds;
};

enum class Unit : uint8_t {
  kShare,
  kTimes,
  kNanoseconds,
  kMilliseconds,
  kMegabytes,
  kGigabytesPerSecond,
  kYes
};

struct Requirement {
  std::string what;
  std::optional<double> limit; ///< none: for information
  bool at_least = true;        ///< else at most
  Unit unit = Unit::kTimes;
  std::vector<Sample> samples = {};
  std::string missing = {}; ///< why there are none, or not all
  size_t cases = 0;         ///< of which there should be a sample each; 0: as many as there are

  const Sample *worst() const; ///< null without samples
  bool complete() const { return samples.size() >= cases; }
  /// Nothing without a sample or a limit, nor where all samples reach it but some are missing.
  std::optional<bool> reached() const;
};

Requirement at_least(std::string what, double limit, Unit unit, std::vector<Sample> samples);
Requirement for_information(std::string what, Unit unit, std::vector<Sample> samples);
Requirement at_most(std::string what, double limit, Unit unit, std::vector<Sample> samples);

/// Columns: what, required, measured (the median of the rounds), spread, reached, and of which case.
std::string requirement_table(const std::vector<Requirement> &requirements);
Json to_json(const Requirement &requirement);

} // namespace tenon::command
