#include "compiler/attention/figures/GpuFigures.h"

using namespace tenon;

const GpuFigures *tenon::findGpuFigures(llvm::StringRef name) {
  if (name.starts_with("sm_"))
    name.consume_back("a"); // what is chip-specific has the same figures
  for (llvm::ArrayRef<GpuFigures> family : {kAmpere, kAda, kHopper, kBlackwell})
    for (const GpuFigures &figures : family)
      if (figures.name == name)
        return &figures;
  return nullptr;
}
