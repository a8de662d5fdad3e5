#include "compiler/attention/Targets.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace tenon;

static constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB;

static constexpr TargetFigures kTargets[] = {
    // name, GPU, lanes, registers, shared or L1, L2, tile of queries, of keys
    {"sm_80", true, 32, 255, 163 * kKiB, 40 * kMiB, 128, 64},
    {"sm_86", true, 32, 255, 99 * kKiB, 6 * kMiB, 128, 64},
    {"sm_87", true, 32, 255, 163 * kKiB, 4 * kMiB, 128, 64},
    {"sm_89", true, 32, 255, 99 * kKiB, 72 * kMiB, 128, 64},
    {"sm_90", true, 32, 255, 227 * kKiB, 50 * kMiB, 128, 64},
    {"sm_100", true, 32, 255, 227 * kKiB, 126 * kMiB, 128, 64},
    {"sm_103", true, 32, 255, 227 * kKiB, 126 * kMiB, 128, 64},
    {"sm_120", true, 32, 255, 99 * kKiB, 96 * kMiB, 128, 64},
    {"host:x86-64-v3", false, 8, 16, 32 * kKiB, 256 * kKiB, 16, 96},
    {"host:x86-64-v4", false, 16, 32, 32 * kKiB, 1 * kMiB, 64, 96},
    {"host:x86-64-v4+bf16", false, 16, 32, 32 * kKiB, 1 * kMiB, 64, 96, true},
    {"host:x86-64-v4+amx", false, 16, 32, 48 * kKiB, 2 * kMiB, 64, 96, true, true},
    {"host:x86-64-v4+amx-emulated", false, 16, 32, 48 * kKiB, 2 * kMiB, 64, 96, true, true},
};

llvm::ArrayRef<TargetFigures> tenon::allTargetFigures() { return kTargets; }

const TargetFigures *tenon::findTargetFigures(llvm::StringRef name) {
  if (name.starts_with("sm_"))
    name.consume_back("a");
  const auto *found = llvm::find_if(kTargets, [&](const TargetFigures &t) { return t.name == name; });
  return found == std::end(kTargets) ? nullptr : found;
}

std::string tenon::targetFigureNames() {
  return llvm::join(llvm::map_range(kTargets, [](const TargetFigures &t) { return t.name.str(); }), ", ");
}
