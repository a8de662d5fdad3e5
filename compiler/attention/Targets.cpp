#include "compiler/attention/Targets.h"

#include "tenon/Target.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"

using namespace tenon;

static constexpr int64_t kKiB = 1024, kMiB = 1024 * kKiB;

// CUDA C++ Programming Guide 13.0, "Technical Specifications per Compute Capability" (maximum shared memory per thread
// block), and the chips' white papers for the caches.
static constexpr TargetFigures kGpus[] = {
    // name, GPU, lanes, registers, shared, L2
    {"sm_80", true, 32, 255, 163 * kKiB, 40 * kMiB},
    {"sm_86", true, 32, 255, 99 * kKiB, 6 * kMiB},
    {"sm_87", true, 32, 255, 163 * kKiB, 4 * kMiB},
    {"sm_89", true, 32, 255, 99 * kKiB, 72 * kMiB},
    {"sm_90", true, 32, 255, 227 * kKiB, 50 * kMiB},
    {"sm_100", true, 32, 255, 227 * kKiB, 126 * kMiB},
    {"sm_103", true, 32, 255, 227 * kKiB, 126 * kMiB},
    {"sm_120", true, 32, 255, 99 * kKiB, 96 * kMiB},
};

static llvm::SmallVector<TargetFigures> allTargetFigures() {
  llvm::SmallVector<TargetFigures> all(std::begin(kGpus), std::end(kGpus));
  for (llvm::ArrayRef<TargetFigures> family : {kAvx2, kAvx512, kAmx})
    llvm::append_range(all, family);
  return all;
}

std::optional<TargetFigures> tenon::findTargetFigures(llvm::StringRef name) {
  Result<Target> target = Target::parse(std::string_view(name));
  if (!target)
    return std::nullopt;
  std::string base = target->name();
  if (target->kind == TargetKind::kCuda && target->chip_specific)
    base.pop_back();
  auto all = allTargetFigures();
  auto *found = llvm::find_if(all, [&](const TargetFigures &figures) { return figures.name == base; });
  if (found == all.end())
    return std::nullopt;
  if (!found->gpu) {
    found->sharedBytes = target->caches.first_level * kKiB;
    found->secondLevelBytes = target->caches.second_level * kKiB;
  }
  return *found;
}

std::string tenon::targetFigureNames() {
  return llvm::join(llvm::map_range(allTargetFigures(), [](const TargetFigures &t) { return t.name.str(); }), ", ");
}
