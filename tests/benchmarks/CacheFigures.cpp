/// The figures of the kernel cache, each a line: what was measured, the number, what it must be.
///
///     build/bin/benchmarks/cache_figures            all of them
///     build/bin/benchmarks/cache_figures first-call  one of: build, single-flight, first-call,
///     lengths, entries
///
/// Processes are started anew for each, as users start them: this program is its own child. Where a
/// figure is a time, the processor time follows, which says the same while others use the machine.
#include "CacheFiguresSupport.h"
#include "Checkout.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

namespace {

using namespace tenon;
using namespace tenon::figures;

int shortfalls = 0;

void line(const char *what, double number, const char *unit, double most) {
  const bool holds = number <= most;
  shortfalls += !holds;
  std::printf("%-58s %10.2f %-9s at most %g%s\n", what, number, unit, most,
              holds ? "" : "  FALLS SHORT");
  std::fflush(stdout);
}

// 7 signatures x 3 widths x 3 element types x causal or not.
constexpr const char *kManifest = R"({"tenon_manifest": 1, "kernels": [
  {"sdpa": {SHAPES}}, {"sdpa": {"heads": 8, "kv_heads": 2, SHAPES}}, {"sdpa": {"heads": 8, "kv_heads": 1, SHAPES}},
  {"sdpa": {"mask": ["bool", "additive"], SHAPES}}, {"sdpa": {"dropout": true, SHAPES}},
  {"sdpa": {"logsumexp": true, SHAPES}}]})";
constexpr const char *kShapes =
    R"("head_dim": [64, 96, 128], "dtype": ["f32", "f16", "bf16"], "causal": [false, true])";

std::string manifest() {
  std::string text = kManifest;
  for (size_t at; (at = text.find("SHAPES")) != std::string::npos;)
    text.replace(at, 6, kShapes);
  return text;
}

void build() {
  const Folder folder;
  write(folder.path("manifest.json"), manifest());
  double processor = 0;
  auto seconds = [&](const char *target, const char *cubin, const char *to) {
    const double begin = processor_seconds_of_children();
    const Json report =
        Json::parse(output_of("'" TENON_BINARY_DIR "/bin/tenon' cache build '" +
                              folder.path("manifest.json") + "' --json -j 2 --target " + target +
                              " --cubin " + cubin + " -o '" + folder.path(to) + "' 2>/dev/null"));
    if (report["built"].get<int>() + report["there"].get<int>() != 126)
      std::printf("  %s: %s\n", target, report.dump(-1).substr(0, 400).c_str());
    processor = processor_seconds_of_children() - begin;
    return report["seconds"].get<double>();
  };
  line("126 kernels to PTX for sm_80, cold, 2 threads", seconds("sm_80", "never", "ptx"), "s", 15);
  line("  processor time of both threads", processor, "s", 30);
  line("126 kernels to host:x86-64-v4 images, cold, 2 threads",
       seconds("host:x86-64-v4", "never", "host"), "s", 15);
  line("  processor time of both threads", processor, "s", 30);
  line("126 kernels for sm_80 with cubins (printed)", seconds("sm_80", "always", "cubin"), "s",
       1e9);
  line("the same again, all there", seconds("sm_80", "always", "cubin"), "s", 15);
}

void single_flight() {
  int bad = 0;
  for (int round = 0; round < 100; ++round) {
    const Folder folder;
    std::vector<Child> children;
    for (int process = 0; process < 8; ++process)
      children.emplace_back("threads", folder.path("cache"), "128");
    int compiled = 0;
    for (Child &child : children)
      compiled += child.report()["compiled"].get<int>();
    bad += compiled != 1;
  }
  line("8 x 4 threads, one new kernel: of 100 rounds not 1 compile", bad, "rounds", 0);
}

void first_call() {
  const Folder folder;
  Child("call", folder.path("cache"), "128").report();
  std::vector<double> times, processor;
  double resident = 0, llvm = 0, disk = 0;
  for (int i = 0; i < 30; ++i) {
    const Json report = Child("call", folder.path("cache"), "128").report();
    times.push_back(report["milliseconds"]);
    processor.push_back(report["processor_milliseconds"]);
    resident = std::max(resident, report["resident_megabytes"].get<double>());
    llvm += report["llvm"].get<double>();
    disk += report["disk"].get<double>();
  }
  std::ranges::sort(times);
  std::ranges::sort(processor);
  line("first call from disk, host kernel: median of 30 processes", times[15], "ms", 3);
  line("                                   fastest", times[0], "ms", 3);
  line("                                   processor time, median", processor[15], "ms", 3);
  line("resident beyond the tensors, largest", resident, "MB", 20);
  line("LLVM, MLIR, the compiler in /proc/self/maps, all 30", llvm, "", 0);
  line("processes not served from disk", 30 - disk, "", 0);
}

void lengths() {
  const Folder folder;
  double compiled = 0;
  for (int length = 1; length <= 1000; ++length)
    compiled += Child("call", folder.path("cache"), std::to_string(length))
                    .report()["compiled"]
                    .get<double>();
  line("1,000 lengths over 1,000 processes", compiled, "compiles", 6);
}

void entries() {
  const Folder folder;
  double first = 0;
  int made = 0;
  for (int count : {10, 100, 1000, 10000}) {
    for (; made < count; ++made)
      put_entry(folder.path("cache"), made);
    const double microseconds = look_up_microseconds(folder.path("cache"), count);
    first = first == 0 ? microseconds : first;
    char what[80];
    std::snprintf(what, sizeof what, "look-up among %d entries, against that among 10", count);
    line(what, microseconds / first, "times", 2);
  }
  line("look-up among 10 entries", first, "us", 3000);
  line("listing 10,000 entries", list_milliseconds(folder.path("cache")), "ms", 1000);
}

} // namespace

int main(int count, char **arguments) {
  if (count == 5 && std::strcmp(arguments[1], "--child") == 0)
    return tenon::figures::child(arguments[2], arguments[3], arguments[4]);
  struct Figure {
    const char *name;
    void (*measure)();
  };
  for (const Figure &figure : {Figure{"first-call", first_call},
                               {"entries", entries},
                               {"single-flight", single_flight},
                               {"lengths", lengths},
                               {"build", build}})
    if (count == 1 || std::strcmp(arguments[1], figure.name) == 0)
      figure.measure();
  return shortfalls != 0;
}
