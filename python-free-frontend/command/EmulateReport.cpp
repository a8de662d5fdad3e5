#include "EmulateReport.h"

#include <sstream>

namespace tenon::command {
namespace {

constexpr std::string_view kRule = "========= ";

std::string triple(const Json &values) {
  return "(" + std::to_string(values[0].get<uint64_t>()) + ", " +
         std::to_string(values[1].get<uint64_t>()) + ", " +
         std::to_string(values[2].get<uint64_t>()) + ")";
}

std::string padded(const std::string &text, size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') + text : text;
}

std::string share(uint64_t part, uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %%",
                whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0);
  return text;
}

void add_finding(std::string &text, const Json &finding) {
  auto line = [&](const std::string &rest, bool first = false) {
    text += std::string(kRule) + (first ? "" : "    ") + rest + "\n";
  };
  line(finding["kind"].get<std::string>() + ": " + finding["detail"].get<std::string>(), true);
  const auto count = finding["count"].get<uint64_t>();
  if (finding["line"] == 0) { // of no kernel: a copy to the host
    text += std::string(kRule) + "\n";
    return;
  }
  std::string place = "at kernel '" + finding["kernel"].get<std::string>() + "'";
  if (finding.contains("block"))
    place += ", block " + triple(finding["block"]) + ", thread " + triple(finding["thread"]) +
             ", warp " + std::to_string(finding["warp"].get<uint64_t>());
  line(place + (count > 1 ? "; " + std::to_string(count) + " times in all" : ""));
  line("ptx line " + std::to_string(finding["line"].get<uint64_t>()) + ":  " +
       finding["ptx"].get<std::string>());
  if (finding.contains("source"))
    line("source " + finding["source"]["file"].get<std::string>() + ":" +
         std::to_string(finding["source"]["line"].get<uint64_t>()));
  text += std::string(kRule) + "\n";
}

std::string memory_line(const Json &traffic, const char *part, const char *unit,
                        const char *perfect) {
  const auto used = traffic[part].get<uint64_t>(), ideal = traffic["ideal"].get<uint64_t>();
  return std::to_string(used) + " " + unit + ", " + std::to_string(ideal) + " at best" +
         (used > ideal ? " (" + std::to_string(used - ideal) + " too many)"
          : used       ? std::string(" (") + perfect + ")"
                       : "") +
         "\n";
}

uint64_t excess(const Json &line, const char *memory, const char *part) {
  if (!line.contains(memory))
    return 0;
  return line[memory][part].get<uint64_t>() - line[memory]["ideal"].get<uint64_t>();
}

std::string pair_of(const Json &line, const char *memory, const char *part) {
  if (!line.contains(memory))
    return "";
  return std::to_string(line[memory][part].get<uint64_t>()) + "/" +
         std::to_string(line[memory]["ideal"].get<uint64_t>());
}

std::vector<std::string> lines_of(const std::string &text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
    lines.push_back(line);
  }
  return lines;
}

void add_kernel(std::string &text, const std::string &name, const Json &kernel) {
  const auto total = kernel["warp_instructions"].get<uint64_t>();
  text += label("kernel " + name, 0) + ": " + std::to_string(kernel["blocks"].get<uint64_t>()) +
          " blocks, " + std::to_string(total) + " warp instructions\n";
  text += "  kind          in the text   executed      share\n";
  for (const auto &[kind, count] : kernel["kinds"].items()) {
    const auto executed = count.get<uint64_t>(),
               written = kernel["static_kinds"][kind].get<uint64_t>();
    if (executed || written)
      text += "  " + kind + std::string(kind.size() < 12 ? 12 - kind.size() : 0, ' ') +
              padded(std::to_string(written), 13) + padded(std::to_string(executed), 11) +
              padded(share(executed, total), 11) + "\n";
  }
  text += "  divergent     " + share(kernel["divergent_warp_instructions"].get<uint64_t>(), total) +
          " of warp instructions, by a part of a warp while its other lanes were elsewhere\n";
  text += "  shared memory " +
          memory_line(kernel["shared"], "wavefronts", "wavefronts", "no bank conflicts");
  text += "  global memory " +
          memory_line(kernel["global"], "sectors", "sectors of 32 bytes", "all of them used");
}

} // namespace

std::string findings_text(const Json &findings) {
  std::string text;
  for (const Json &finding : findings)
    add_finding(text, finding);
  return text + std::string(kRule) +
         (findings.empty() ? "nothing found"
                           : std::to_string(findings.size()) +
                                 (findings.size() == 1 ? " finding" : " findings")) +
         "\n";
}

std::string counters_text(const Json &counters, const std::string &ptx, bool all_lines) {
  const std::vector<std::string> lines = lines_of(ptx);
  std::string text;
  for (const auto &[name, kernel] : counters["kernels"].items()) {
    add_kernel(text, name, kernel);
    std::string rows;
    for (const Json &line : kernel["lines"]) {
      const bool shown =
          all_lines ? line.contains("shared") || line.contains("global")
                    : excess(line, "shared", "wavefronts") || excess(line, "global", "sectors");
      const auto number = line["line"].get<size_t>();
      if (shown)
        rows += padded(std::to_string(number), 7) +
                padded(std::to_string(line["executed"].get<uint64_t>()), 11) +
                padded(pair_of(line, "shared", "wavefronts"), 18) +
                padded(pair_of(line, "global", "sectors"), 18) + "  " +
                (number && number <= lines.size() ? lines[number - 1] : "") + "\n";
    }
    if (!rows.empty())
      text += "   line   executed   wavefronts/best      sectors/best  instruction\n" + rows;
  }
  return text;
}

std::string kernels_text(const Json &description) {
  std::string text;
  for (const Json &kernel : description["kernels"]) {
    text += label(kernel["name"].get<std::string>(), 0) + "  (line " +
            std::to_string(kernel["line"].get<uint64_t>()) + ")";
    for (const char *limit : {"required_threads", "max_threads"})
      if (kernel.contains(limit))
        text += std::string(", ") + (limit[0] == 'r' ? "block must be " : "block at most ") +
                triple(kernel[limit]);
    text += "\n";
    size_t number = 0;
    for (const Json &parameter : kernel["parameters"])
      text += "  " + std::to_string(number++) + "  " + parameter["type"].get<std::string>() + "  " +
              std::to_string(parameter["bytes"].get<uint64_t>()) + " bytes  " +
              parameter["name"].get<std::string>() + "\n";
  }
  return text.empty() ? "no kernels\n" : text;
}

} // namespace tenon::command
