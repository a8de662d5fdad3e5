/// The levels of x86-64 that code is made for: see runtime/include/tenon/Target.h.
#pragma once

#include "llvm/Support/Error.h"

#include <cstdint>
#include <string>

namespace tenon {

struct HostTarget {
  std::string name;     ///< host:x86-64-v4
  std::string cpu;      ///< LLVM's name
  std::string features; ///< beyond the CPU's
  int64_t lanes;        ///< float32 elements of a vector register
  int64_t registers;    ///< vector registers
  bool hasAvx512;
  /// Products of bfloat16, as LowerTileToVector.td calls them: vdpbf16ps has twice the rate of float32 on AMD's
  /// processors, half of it on Intel's.
  std::string bfloat16;
  bool emulatesTileUnits = false; ///< LowerTileUnits.td

  /// Errors: a name that no level has, with the names that there are.
  static llvm::Expected<HostTarget> named(llvm::StringRef name);
};

} // namespace tenon
