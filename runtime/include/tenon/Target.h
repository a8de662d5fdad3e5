/// Names of what code is made for, and what this machine can execute.
///
///     host                       the machine that asks: resolves to one of the four below
///     host:x86-64-v3             AVX2 and FMA
///     host:x86-64-v4             AVX-512 F, BW, CD, DQ and VL
///     host:x86-64-v4+bf16        with AVX512_BF16
///     host:x86-64-v4+amx         with AVX512_BF16, AVX512_VBMI, AMX-TILE and AMX-BF16, and the kernel's leave for tiles
///     host:x86-64-v4+amx-emulated  the code of host:x86-64-v4+amx, but vectors do what tiles do, slowly: for tests on
///                                a machine with AVX512_BF16 and AVX512_VBMI; never chosen for `host`
///     host:x86-64-v4:l1=48K:l2=2048K  with the data caches of a core, by which blocks are sized; without them those that
///                                processors of that level have at least; for `host` they are this machine's
///     sm_80, sm_86 … sm_120a     a GPU by its compute capability; a trailing `a`: that chip and no other
///
/// The levels are those of the x86-64 psABI; each holds the one before it.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

enum class TargetKind : uint8_t { kHost, kCuda };

/// Levels of the host in ascending order: a machine that executes one executes those before it. The emulated one stands
/// apart, and needs kV4Bf16.
enum class HostLevel : uint8_t { kNone, kV3, kV4, kV4Bf16, kV4Amx, kV4AmxEmulated };

/// Data caches of a core, in KiB.
struct HostCaches {
  int first_level = 0, second_level = 0;
  bool operator==(const HostCaches &) const = default;
};

struct TENON_API Target {
  TargetKind kind = TargetKind::kHost;
  HostLevel level = HostLevel::kNone; ///< of the host
  int compute_capability = 0;         ///< of a GPU: 10 · major + minor, 80 for sm_80
  bool chip_specific = false;         ///< sm_90a: not portable to another capability
  HostCaches caches;                  ///< of the host

  /// The name in full: "host" resolved to the level of this machine, and its caches where they are not the level's.
  std::string text() const;
  /// Without the caches.
  std::string name() const;
  /// Errors: kInvalidArgument for a name not in the list, listing those that are; kUnsupported for
  /// "host" on a machine below x86-64-v3.
  static Result<Target> parse(std::string_view name);
  bool operator==(const Target &) const = default;
};

/// All names that parse accepts, but for caches, "host" first.
TENON_API std::vector<std::string> target_names();

/// The best target for a GPU: the chip's own where there is one (sm_90a for 90), else the highest
/// that is portable to it. Errors: kUnsupported below compute capability 8.0.
TENON_API Result<Target> best_gpu_target(int compute_capability);

/// What the processor has and the operating system lets a program use (CPUID, XGETBV, arch_prctl).
struct HostFeatures {
  bool avx2 = false, fma = false, f16c = false, bmi2 = false;
  bool avx512 = false; ///< F, BW, CD, DQ and VL, with the state enabled
  bool avx512_bf16 = false, avx512_fp16 = false, avx512_vbmi = false;
  bool slow_bf16_dot = false; ///< vdpbf16ps has half the rate of float32's multiply-adds: Intel's processors
  bool has_amx = false;    ///< AMX-TILE, AMX-BF16 and AVX512_VBMI, which all of these processors have
  bool amx = false;        ///< and tiles permitted
  std::string processor;   ///< the brand string
  HostCaches caches;       ///< 0: the operating system does not say
  std::string amx_refusal; ///< why `amx` is false
  HostLevel level = HostLevel::kNone; ///< the best that it executes
};

/// What `host` is on such a machine: the level whose code is fastest, most often the best. `why_not` says why no better
/// one was taken, or "".
struct HostChoice {
  HostLevel level = HostLevel::kNone;
  std::string why_not;
};
TENON_API HostChoice choose_host_level(const HostFeatures &features);

/// Probed once. Asks Linux for leave to use AMX tiles where the processor has them.
TENON_API const HostFeatures &host_features();

/// What `host` stands for, what is fastest on this machine: "host:x86-64-v4+amx"; "" below x86-64-v3.
TENON_API std::string host_target();

/// Whether this machine's processor runs code for a host target; where not, kUnsupported says what
/// is missing. A GPU target is a question to a device: `Device::can_execute`.
TENON_API Result<void> can_execute(const Target &target);

} // namespace tenon
