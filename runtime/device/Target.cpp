#include "tenon/Target.h"

#include "device/Text.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cpuid.h>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace tenon {
namespace {

struct NamedLevel {
  std::string_view name;
  HostLevel level;
  HostCaches caches;
};
// The smallest caches of the processors of a level: Haswell, Skylake-SP, Zen 4, Sapphire Rapids (Intel optimization
// manual, chapter 2; AMD 57647, chapter 2).
constexpr NamedLevel kHostLevels[] = {{"host:x86-64-v3", HostLevel::kV3, {32, 256}},
                                      {"host:x86-64-v4", HostLevel::kV4, {32, 1024}},
                                      {"host:x86-64-v4+bf16", HostLevel::kV4Bf16, {32, 1024}},
                                      {"host:x86-64-v4+amx", HostLevel::kV4Amx, {48, 2048}},
                                      {"host:x86-64-v4+amx-emulated", HostLevel::kV4AmxEmulated, {48, 2048}}};
constexpr int kMostCacheKiB = 1 << 20; ///< that a target may name

struct NamedGpu {
  std::string_view name;
  int compute_capability;
  bool chip_specific;
};
// PTX ISA 9.0, section "PTX module directives: .target", from the first with mma.m16n8k16 and
// cp.async.
constexpr NamedGpu kGpus[] = {
    {"sm_80", 80, false},   {"sm_86", 86, false},   {"sm_87", 87, false},   {"sm_89", 89, false},
    {"sm_90", 90, false},   {"sm_90a", 90, true},   {"sm_100", 100, false}, {"sm_100a", 100, true},
    {"sm_103", 103, false}, {"sm_103a", 103, true}, {"sm_120", 120, false}, {"sm_120a", 120, true}};

// One bit of CPUID: its leaf, subleaf, register (0 for eax … 3 for edx) and number.
struct CpuidBit {
  unsigned leaf, subleaf, reg, bit;
};
bool has(CpuidBit feature) {
  unsigned registers[4] = {};
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[0], &registers[1], &registers[2],
                         &registers[3]))
    return false;
  return (registers[feature.reg] >> feature.bit) & 1;
}

// Intel SDM volume 2A, CPUID.
constexpr CpuidBit kFma{1, 0, 2, 12}, kOsXsave{1, 0, 2, 27}, kF16c{1, 0, 2, 29};
constexpr CpuidBit kAvx2{7, 0, 1, 5}, kBmi2{7, 0, 1, 8};
constexpr CpuidBit kAvx512[] = {
    {7, 0, 1, 16}, {7, 0, 1, 17}, {7, 0, 1, 28}, {7, 0, 1, 30}, {7, 0, 1, 31}};
constexpr CpuidBit kAmxBf16{7, 0, 3, 22}, kAvx512Fp16{7, 0, 3, 23}, kAmxTile{7, 0, 3, 24};
constexpr CpuidBit kAvx512Bf16{7, 1, 0, 5}, kAvx512Vbmi{7, 0, 2, 1};

// Bits of XCR0: state that the operating system saves (SDM volume 1, section 13.1).
constexpr uint64_t kAvxState = 0b110, kAvx512State = 0b1110'0110, kTileState = 0b11 << 17;

uint64_t enabled_state() {
  if (!has(kOsXsave))
    return 0;
  uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low | uint64_t{high} << 32;
}

std::string brand() {
  char text[49] = {};
  for (unsigned i = 0; i < 3; ++i) {
    unsigned registers[4] = {};
    if (!__get_cpuid(0x80000002 + i, &registers[0], &registers[1], &registers[2], &registers[3]))
      return "x86-64";
    std::memcpy(text + 16 * i, registers, 16);
  }
  std::string_view view = text;
  size_t first = view.find_first_not_of(' '), last = view.find_last_not_of(' ');
  return first == std::string_view::npos ? "x86-64"
                                         : std::string(view.substr(first, last - first + 1));
}

// Why AMX may not be used, or "". Linux gives tiles to a process that asks
// (Documentation/arch/x86/xstate).
std::string amx_refusal(uint64_t state) {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  if (!has(kAmxTile) || !has(kAmxBf16))
    return "the processor has no AMX-TILE and AMX-BF16";
  if (!has(kAvx512Vbmi))
    return "the processor has no AVX512_VBMI";
  if ((state & kTileState) != kTileState)
    return "the operating system does not save AMX tiles (XCR0)";
  if (syscall(SYS_arch_prctl, kRequestPermission, kTileData) != 0)
    return concat("the kernel refuses AMX tiles: arch_prctl(ARCH_REQ_XCOMP_PERM) says ",
                  strerrordesc_np(errno));
  return {};
}

// "48K" in KiB; 0 for anything else.
int parse_kib(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && std::string_view(end, text.data() + text.size()) == "K";
  return whole && number > 0 && number <= kMostCacheKiB ? number : 0;
}

// The smallest of all processors, which are not alike on hybrid chips; where the kernel tells nothing, those of the
// processor that this runs on.
HostCaches probe_caches() {
  constexpr int kBytes = 1024, kMostProcessors = 4096, kMostCaches = 8;
  HostCaches least;
  auto take = [](int &soFar, int kib) { soFar = soFar == 0 ? kib : std::min(soFar, kib); };
  auto line_of = [](const std::string &path) {
    std::string line;
    std::ifstream file(path);
    std::getline(file, line);
    return line;
  };
  for (int cpu = 0; cpu < kMostProcessors; ++cpu)
    for (int cache = 0; cache < kMostCaches; ++cache) {
      const std::string place = concat("/sys/devices/system/cpu/cpu", cpu, "/cache/index", cache, "/");
      const std::string level = line_of(place + "level");
      if (level.empty() && cache == 0)
        cpu = kMostProcessors; // the last is behind
      if (level.empty())
        break;
      const int kib = parse_kib(line_of(place + "size"));
      if (kib != 0 && level == "1" && line_of(place + "type") == "Data")
        take(least.first_level, kib);
      if (kib != 0 && level == "2")
        take(least.second_level, kib);
    }
  auto here = [](int name) { return static_cast<int>(std::max(sysconf(name), 0L) / kBytes); };
  if (least.first_level == 0)
    least.first_level = here(_SC_LEVEL1_DCACHE_SIZE);
  if (least.second_level == 0)
    least.second_level = here(_SC_LEVEL2_CACHE_SIZE);
  return least;
}

// Bytes 4 to 16 of leaf 0, in the order ebx, edx, ecx.
bool is_intel() {
  unsigned eax = 0, text[3] = {};
  return __get_cpuid(0, &eax, &text[0], &text[2], &text[1]) && std::memcmp(text, "GenuineIntel", sizeof text) == 0;
}

HostLevel level_of(const HostFeatures &features) {
  if (!(features.avx2 && features.fma && features.f16c && features.bmi2))
    return HostLevel::kNone;
  if (!features.avx512)
    return HostLevel::kV3;
  if (!features.avx512_bf16)
    return HostLevel::kV4;
  return features.amx ? HostLevel::kV4Amx : HostLevel::kV4Bf16;
}

HostFeatures probe() {
  uint64_t state = enabled_state();
  bool avx = (state & kAvxState) == kAvxState, wide = (state & kAvx512State) == kAvx512State;
  HostFeatures features;
  features.avx2 = avx && has(kAvx2);
  features.fma = avx && has(kFma);
  features.f16c = avx && has(kF16c);
  features.bmi2 = has(kBmi2);
  features.avx512 = wide && std::ranges::all_of(kAvx512, has);
  features.avx512_bf16 = features.avx512 && has(kAvx512Bf16);
  features.avx512_fp16 = features.avx512 && has(kAvx512Fp16);
  features.processor = brand();
  features.avx512_vbmi = features.avx512 && has(kAvx512Vbmi);
  features.has_amx = has(kAmxTile) && has(kAmxBf16) && features.avx512_vbmi;
  features.amx_refusal =
      features.avx512_bf16 ? amx_refusal(state) : "the processor has no AVX512_BF16";
  features.amx = features.amx_refusal.empty();
  features.slow_bf16_dot = is_intel();
  features.level = level_of(features);
  features.caches = probe_caches();
  return features;
}

const NamedLevel *find_level(HostLevel level) {
  const auto *known = std::ranges::find(kHostLevels, level, &NamedLevel::level);
  return known == std::end(kHostLevels) ? nullptr : known;
}

// ":l1=48K:l2=2048K", either or both, in this order.
std::optional<HostCaches> parse_caches(std::string_view text, HostCaches otherwise) {
  for (auto [prefix, kib] : {std::pair(std::string_view(":l1="), &otherwise.first_level),
                             std::pair(std::string_view(":l2="), &otherwise.second_level)})
    if (text.starts_with(prefix)) {
      text.remove_prefix(prefix.size());
      *kib = parse_kib(text.substr(0, text.find(':')));
      if (*kib == 0)
        return std::nullopt;
      text.remove_prefix(std::min(text.find(':'), text.size()));
    }
  return text.empty() ? std::optional(otherwise) : std::nullopt;
}

// Of this machine, those of the level where nobody says.
Target this_host() {
  const HostFeatures &features = host_features();
  const HostLevel level = choose_host_level(features).level;
  HostCaches caches = find_level(level)->caches;
  if (features.caches.first_level > 0)
    caches.first_level = features.caches.first_level;
  if (features.caches.second_level > 0)
    caches.second_level = features.caches.second_level;
  return {.kind = TargetKind::kHost, .level = level, .caches = caches};
}

// What a machine lacks for a level that is above its own.
std::string missing_for(HostLevel level, const HostFeatures &features) {
  if (features.level == HostLevel::kNone)
    return "AVX2, FMA, F16C or BMI2";
  if (!features.avx512)
    return "AVX-512 F, BW, CD, DQ and VL";
  if (level == HostLevel::kV4Amx)
    return "AMX: " + features.amx_refusal;
  return "AVX512_BF16";
}

} // namespace

const HostFeatures &host_features() {
  static const HostFeatures features = probe();
  return features;
}

HostChoice choose_host_level(const HostFeatures &features) {
  HostChoice choice{features.level, {}};
  if (features.amx || !features.avx512_bf16)
    return choice;
  if (features.slow_bf16_dot)
    choice = {HostLevel::kV4, "products of bfloat16 are computed in float32, of which vdpbf16ps has half the rate here"};
  if (features.has_amx)
    choice.why_not = concat("tile units are left alone: ", features.amx_refusal,
                            choice.why_not.empty() ? "" : "; ", choice.why_not);
  return choice;
}

std::string host_target() {
  return host_features().level == HostLevel::kNone ? std::string() : this_host().text();
}

std::vector<std::string> target_names() {
  std::vector<std::string> names = {"host"};
  for (const NamedLevel &known : kHostLevels)
    names.emplace_back(known.name);
  for (const NamedGpu &known : kGpus)
    names.emplace_back(known.name);
  return names;
}

std::string Target::name() const {
  if (kind == TargetKind::kCuda)
    return concat("sm_", compute_capability, chip_specific ? "a" : "");
  const NamedLevel *known = find_level(level);
  return std::string(known ? known->name : "");
}

std::string Target::text() const {
  std::string text = name();
  if (text.empty() || kind == TargetKind::kCuda)
    return text;
  const HostCaches usual = find_level(level)->caches;
  if (caches.first_level != usual.first_level)
    text += concat(":l1=", caches.first_level, "K");
  if (caches.second_level != usual.second_level)
    text += concat(":l2=", caches.second_level, "K");
  return text;
}

Result<Target> Target::parse(std::string_view name) {
  if (name == "host") {
    if (host_features().level == HostLevel::kNone)
      return Error(ErrorCode::kUnsupported,
                   concat("this processor (", host_features().processor,
                          ") has not all of AVX2, FMA, F16C and BMI2, which host:x86-64-v3 needs"));
    return this_host();
  }
  constexpr std::string_view kHostPrefix = "host:";
  const size_t figures = name.starts_with(kHostPrefix) ? name.find(':', kHostPrefix.size()) : name.npos;
  for (const NamedLevel &known : kHostLevels)
    if (name.substr(0, figures) == known.name)
      if (const auto caches = parse_caches(name.substr(std::min(figures, name.size())), known.caches))
        return Target{.kind = TargetKind::kHost, .level = known.level, .caches = *caches};
  for (const NamedGpu &known : kGpus)
    if (name == known.name)
      return Target{TargetKind::kCuda, HostLevel::kNone, known.compute_capability,
                    known.chip_specific, {}};
  std::string valid;
  for (const std::string &each : target_names())
    valid += (valid.empty() ? "" : ", ") + each;
  valid += "; a host's caches may follow, as in host:x86-64-v4:l1=48K:l2=2048K";
  return Error(ErrorCode::kInvalidArgument,
               concat("target: '", name, "' is unknown; it must be one of ", valid));
}

Result<Target> best_gpu_target(int compute_capability) {
  const NamedGpu *best =
      nullptr; // the table ascends, and what is chip-specific follows what is not
  for (const NamedGpu &known : kGpus)
    if (known.chip_specific ? known.compute_capability == compute_capability
                            : known.compute_capability <= compute_capability)
      best = &known;
  if (!best)
    return Error(ErrorCode::kUnsupported,
                 concat("compute capability ", compute_capability / 10, ".",
                        compute_capability % 10,
                        " is below 8.0, the first that Tenon makes code for"));
  return Target{TargetKind::kCuda, HostLevel::kNone, best->compute_capability, best->chip_specific, {}};
}

Result<void> can_execute(const Target &target) {
  if (target.kind != TargetKind::kHost)
    return Error(ErrorCode::kUnsupported, concat(target.text(), " runs on a GPU, not on the host"));
  const HostFeatures &features = host_features();
  const HostLevel needed =
      target.level == HostLevel::kV4AmxEmulated ? HostLevel::kV4Bf16 : target.level;
  const bool vbmi = features.avx512_vbmi || target.level != HostLevel::kV4AmxEmulated;
  if (needed != HostLevel::kNone && needed <= features.level && vbmi)
    return {};
  return Error(ErrorCode::kUnsupported,
               concat("this processor (", features.processor, ") cannot execute ", target.text(),
                      ": it lacks ", vbmi ? missing_for(needed, features) : "AVX512_VBMI"));
}

} // namespace tenon
