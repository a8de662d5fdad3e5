#include "bench/HostSuite.h"

#include "tenon/Parallel.h"
#include "tenon/Target.h"

#include <algorithm>
#include <iterator>

namespace tenon::command {
namespace {

using Cases = std::vector<ShapeCase>;

/// GFLOP/s of each round over the peak.
Sample share(const ShapeCase &made, double peak) {
  Sample sample{made.shape.short_text(), {}};
  for (double milliseconds : made.timed.rounds)
    sample.rounds.push_back(made.shape.operations() / milliseconds / 1e6 / peak);
  return sample;
}

template <class Wanted> std::vector<Sample> shares(const Cases &cases, double peak, Wanted wanted) {
  std::vector<Sample> samples;
  for (const ShapeCase &made : cases)
    if (peak > 0 && wanted(made.shape))
      samples.push_back(share(made, peak));
  return samples;
}

std::vector<Sample> times(const std::vector<Comparison> &comparisons) {
  std::vector<Sample> samples;
  for (const Comparison &each : comparisons)
    samples.push_back(each.time());
  return samples;
}

std::vector<Sample> speeds(const std::vector<Comparison> &comparisons) {
  std::vector<Sample> samples;
  for (const Comparison &each : comparisons)
    samples.push_back(each.speed());
  return samples;
}

/// Full and causal stand side by side.
std::vector<Sample> causal_over_full(const Cases &forward, int64_t shorter) {
  std::vector<Sample> samples;
  for (size_t i = 0; i + 1 < forward.size(); i += 2)
    if (forward[i].shape.keys * shorter >= 2048)
      samples.push_back(
          Comparison{forward[i + 1].shape.short_text(), forward[i].timed, forward[i + 1].timed}
              .time());
  return samples;
}

std::vector<Sample> bound_shares(const Cases &cases, const HostPeaks &peaks) {
  std::vector<Sample> samples;
  for (const ShapeCase &made : cases)
    samples.push_back(share(made, bound_of(made.shape, peaks).gflops));
  return samples;
}

/// The other program's time over Tenon's.
std::vector<Sample> ahead_of(const std::string &by, const Cases &cases, const Beside &beside) {
  std::vector<Sample> samples;
  for (const ShapeCase &made : cases)
    if (const std::optional<double> theirs = beside.milliseconds(by, made.shape)) {
      const double ours =
          beside.milliseconds("Tenon", made.shape).value_or(median(made.timed.rounds));
      samples.push_back({made.shape.short_text(), {*theirs / ours}});
    }
  return samples;
}

constexpr const char *kPrototype = "prototype";
constexpr const char *kPeers[] = {"PyTorch", "FlexAttention", "oneDNN graph"};
constexpr const char *kByPeers = "with --beside, which tests/benchmarks/peers makes";

Requirement with_reason(Requirement requirement, const char *reason) {
  requirement.missing = reason;
  return requirement;
}

std::vector<Requirement> beside_others(const HostSuite &suite, const HostPeaks &peaks, const Beside &beside) {
  std::vector<Requirement> rows;
  auto add = [&](const char *what, double limit, std::vector<Sample> samples, size_t cases) {
    rows.push_back(with_reason(at_least(what, limit, Unit::kTimes, std::move(samples)), kByPeers));
    rows.back().cases = cases;
  };
  auto add_of = [&](const char *by, const char *what, double limit, const Cases &cases) {
    add(what, limit, ahead_of(by, cases, beside), cases.size());
  };
  add_of(kPrototype, "f32 and bf16, full and causal: of the hand-written prototype", 0.95, suite.forward);
  if (peaks.bfloat16_amx > 0) {
    Cases tiles;
    std::ranges::copy_if(suite.forward, std::back_inserter(tiles), [&](const ShapeCase &made) {
      return made.shape.dtype == "bf16" && made.shape.keys * suite.shorter >= 1024;
    });
    add_of(kPrototype, "bf16 by tile units, S >= 1,024: of the prototype, as is aimed at", 1.2, tiles);
  }
  std::vector<Sample> peers;
  size_t cases = 0;
  for (const char *by : kPeers) {
    for (Sample &sample : ahead_of(by, suite.forward, beside))
      peers.push_back({std::string(by) + " at " + sample.of, sample.rounds});
    cases += suite.forward.size();
  }
  add("f32 and bf16, full and causal: of PyTorch, FlexAttention, oneDNN", 1, std::move(peers), cases);
  add_of(kPrototype, "decoding, 32 heads on 8, 8,192 keys, D = 128: of the prototype", 0.9, suite.decoding);
  add_of("PyTorch", "short, (1, 12, 1 to 128, 64), f32: of PyTorch", 1, suite.few);
  return rows;
}

std::vector<Requirement> of_peaks(const HostSuite &suite, const HostPeaks &peaks) {
  const bool intel = host_features().processor.find("Intel") != std::string::npos;
  const int64_t at_least_keys = 1024 / suite.shorter;
  const auto long_full = [&](const char *dtype) {
    return [=](const ShapeOptions &shape) {
      return shape.dtype == dtype && shape.keys >= at_least_keys && shape.causal.empty();
    };
  };
  const auto any = [](const ShapeOptions &) { return true; };
  const auto long_pairs = [&](const ShapeOptions &shape) {
    return shape.dtype == "bf16" && shape.keys >= at_least_keys;
  };
  // With tiles there is no share that is asked for: the prototype is the measure there.
  return {at_least("f32, S >= 1,024, full: of the FMA peak", intel ? 0.80 : 0.85, Unit::kShare,
                   shares(suite.forward, peaks.float32, long_full("f32"))),
          peaks.bfloat16_amx > 0
              ? for_information("bf16, S >= 1,024: of the AMX peak", Unit::kShare,
                                shares(suite.forward, peaks.bfloat16_amx, long_pairs))
              : at_least("bf16, S >= 1,024, full and causal: of the vdpbf16ps peak", 0.80, Unit::kShare,
                         shares(suite.forward, peaks.best_bfloat16(), long_pairs)),
          at_least("AVX2 target, f32, S = 1,024: of the AVX2 FMA peak", 0.75, Unit::kShare,
                   shares(suite.avx2, peaks.float32_avx2, any))};
}

std::vector<Requirement> of_variants(const HostSuite &suite) {
  return {
      at_least("float16, S = 1,024: speed of float32", 0.9, Unit::kTimes, speeds(suite.half)),
      at_most("causal, S >= 2,048: time of full", 0.56, Unit::kTimes,
              causal_over_full(suite.forward, suite.shorter)),
      at_most("the last 256 of 8,192 keys: time of full", 0.06, Unit::kTimes, times(suite.window)),
      at_least("bool or additive mask [S, S], f32, S = 1,024: speed of unmasked", 0.8, Unit::kTimes,
               speeds(suite.masks)),
      at_least("ALiBi and soft cap by expression, f32, S = 1,024: speed of plain", 0.75, Unit::kTimes,
               speeds(suite.expressions)),
      at_least("dropout 0.1, f32, S = 1,024: speed of plain", 0.75, Unit::kTimes, speeds(suite.dropout)),
      with_reason(at_least("two threads: speed of one", 1.9, Unit::kTimes, speeds(suite.threads)),
                  "one thread is all there is"),
      with_reason(for_information("two threads, causal or a skewed mask: speed of one", Unit::kTimes,
                                  speeds(suite.skewed)),
                  "one thread is all there is"),
      with_reason(at_least("two threads: the same bits as one", 1, Unit::kYes, suite.same_bits),
                  "one thread is all there is")};
}

std::vector<Requirement> of_waiting(const HostSuite &suite, const RunFigures &run) {
  constexpr double kMilliseconds[] = {60, 120, 120};
  std::vector<Requirement> rows = {
      at_most("a call's overhead on a hit", 300, Unit::kNanoseconds, {{"", {run.overhead}}})};
  for (size_t i = 0; i < suite.compile_times.size(); ++i)
    rows.push_back(at_most("cold compile, LLVM loaded: " + suite.compile_times[i].of,
                           kMilliseconds[i], Unit::kMilliseconds,
                           {{"", suite.compile_times[i].rounds}}));
  rows.push_back(at_most("memory a thread beyond tensors (and packed K and V in flight)",
                         kMostMemory, Unit::kMegabytes, suite.memory));
  rows.back().missing = suite.no_memory;
  return rows;
}

/// In absolute numbers, and against what the machine allows.
std::vector<Requirement> of_few_queries(const HostSuite &suite, const HostPeaks &peaks) {
  std::vector<Sample> rates;
  for (const ShapeCase &made : suite.decoding) {
    rates.push_back({made.shape.short_text(), {}});
    for (double milliseconds : made.timed.rounds)
      rates.back().rounds.push_back(bytes_of(made.shape) / milliseconds / 1e6);
  }
  const ShapeCase &shortest = suite.few.front();
  Sample call{shortest.shape.short_text(), {}};
  for (double milliseconds : shortest.timed.rounds)
    call.rounds.push_back(milliseconds * 1e6);
  return {for_information("decoding: bytes of its tensors", Unit::kGigabytesPerSecond, rates),
          for_information("decoding: of what its bytes allow", Unit::kShare,
                          bound_shares(suite.decoding, peaks)),
          for_information("short: the shortest call", Unit::kNanoseconds, {call}),
          for_information("short: of its bound, the call's overhead included", Unit::kShare,
                          bound_shares(suite.few, peaks))};
}

} // namespace

bool HostSuite::is_measure(const std::string &name) {
  return name == kPrototype || std::ranges::find(kPeers, name) != std::end(kPeers);
}

std::vector<Requirement> HostSuite::requirements(const RunFigures &run,
                                                 const Beside &beside) const {
  std::vector<Requirement> all = beside_others(*this, run.peaks, beside);
  for (std::vector<Requirement> part : {of_peaks(*this, run.peaks), of_variants(*this),
                                        of_waiting(*this, run), of_few_queries(*this, run.peaks)})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

} // namespace tenon::command
