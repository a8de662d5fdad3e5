#include "bench/Requirement.h"

#include "bench/Measurement.h"

#include <algorithm>

namespace tenon::command {
namespace {

std::string in_unit(double number, Unit unit) {
  struct Form {
    const char *format;
    double factor;
  };
  static constexpr Form kForms[] = {{"%.1f %%", 100}, {"%.3f x", 1},  {"%.0f ns", 1},
                                    {"%.0f ms", 1},   {"%.2f MB", 1}, {"%.1f GB/s", 1}};
  if (unit == Unit::kYes)
    return number > 0 ? "yes" : "no";
  const Form &form = kForms[static_cast<size_t>(unit)];
  char text[64];
  std::snprintf(text, sizeof text, form.format, form.factor * number);
  return text;
}

std::string required(const Requirement &requirement) {
  if (!requirement.limit)
    return "-";
  const std::string limit = in_unit(*requirement.limit, requirement.unit);
  return requirement.unit == Unit::kYes ? limit : (requirement.at_least ? ">= " : "<= ") + limit;
}

std::string row(const std::string &what, const std::string &required, const std::string &measured,
                const std::string &spread, const std::string &reached, const std::string &of) {
  char line[512];
  std::snprintf(line, sizeof line, "%-66s %11s %11s %7s %8s  %s\n", what.c_str(), required.c_str(),
                measured.c_str(), spread.c_str(), reached.c_str(), of.c_str());
  return line;
}

std::string incomplete(const Requirement &requirement) {
  if (requirement.complete())
    return "";
  return "; " + std::to_string(requirement.samples.size()) + " of " + std::to_string(requirement.cases) +
         " measured, the others " + requirement.missing;
}

} // namespace

const Sample *Requirement::worst() const {
  const auto worse = [this](const Sample &a, const Sample &b) {
    return at_least ? median(a.rounds) < median(b.rounds) : median(a.rounds) > median(b.rounds);
  };
  const auto found = std::ranges::min_element(samples, worse);
  return found == samples.end() ? nullptr : &*found;
}

std::optional<bool> Requirement::reached() const {
  const Sample *sample = worst();
  if (!sample || !limit)
    return std::nullopt;
  const bool worst_does = at_least ? median(sample->rounds) >= *limit : median(sample->rounds) <= *limit;
  return worst_does && !complete() ? std::nullopt : std::optional(worst_does);
}

Requirement at_least(std::string what, double limit, Unit unit, std::vector<Sample> samples) {
  return {std::move(what), limit, true, unit, std::move(samples)};
}
Requirement at_most(std::string what, double limit, Unit unit, std::vector<Sample> samples) {
  return {std::move(what), limit, false, unit, std::move(samples)};
}

Requirement for_information(std::string what, Unit unit, std::vector<Sample> samples) {
  return {std::move(what), std::nullopt, true, unit, std::move(samples)};
}

std::string requirement_table(const std::vector<Requirement> &requirements) {
  std::string table = label(row("what", "required", "measured", "spread", "reached", ""), 0);
  for (const Requirement &requirement : requirements) {
    const Sample *worst = requirement.worst();
    if (!worst) {
      table += row(requirement.what, required(requirement), "-", "-", "-", requirement.missing);
      continue;
    }
    const std::optional<bool> reached = requirement.reached();
    char percent[32];
    std::snprintf(percent, sizeof percent, "%.0f %%", 100 * spread(worst->rounds));
    table += row(requirement.what, required(requirement),
                 in_unit(median(worst->rounds), requirement.unit), percent,
                 reached ? (*reached ? "yes" : "no") : "-", worst->of + incomplete(requirement));
  }
  return table;
}

Json to_json(const Requirement &requirement) {
  static constexpr const char *kUnits[] = {
      "share", "times", "nanoseconds", "milliseconds", "megabytes", "gigabytes_per_second", "yes"};
  Json samples = Json::array();
  for (const Sample &sample : requirement.samples)
    samples.push_back(
        {{"of", sample.of}, {"median", median(sample.rounds)}, {"rounds", sample.rounds}});
  const Sample *worst = requirement.worst();
  return {{"what", requirement.what},
          {"required", requirement.limit ? Json(*requirement.limit) : Json()},
          {"at_least", requirement.at_least},
          {"unit", kUnits[static_cast<size_t>(requirement.unit)]},
          {"measured", worst ? Json(median(worst->rounds)) : Json()},
          {"spread", worst ? Json(spread(worst->rounds)) : Json()},
          {"reached", requirement.reached() ? Json(*requirement.reached()) : Json()},
          {"of", worst ? worst->of : ""},
          {"missing", worst && requirement.complete() ? "" : requirement.missing},
          {"cases", std::max(requirement.cases, requirement.samples.size())},
          {"samples", samples}};
}

} // namespace tenon::command
