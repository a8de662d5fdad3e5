/// Tenon's compiler as the runtime sees it: a library opened at the first kernel that no cache
/// holds.
///
/// The library is `libtenon-compiler.so.0.1`, of the runtime's own version, beside
/// libtenon-runtime.so, or what TENON_COMPILER_LIBRARY names. A machine with a ready cache needs neither it nor LLVM.
#pragma once

#include "tenon/Api.h"
#include "tenon/Result.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tenon {

/// A request as CompilerInterface.h states it, before it is written as JSON.
struct CompileRequest {
  std::string graph;          ///< canonical text
  std::string signature;      ///< Signature::text()
  std::string target;         ///< a name of Target.h, resolved: "sm_80", "host:x86-64-v4"
  std::string emit = "image"; ///< or "attention", "tile", "nvvm", "llvm", "ptx", "asm"
  std::string options = "{}"; ///< a JSON object: {"tile_queries": 64}
};

struct CompileOutcome {
  std::vector<std::byte> bytes; ///< a kernel image, or the text that was asked for
  double milliseconds = 0;      ///< spent compiling
};

/// Compiles, in this thread. Errors: kCompilation with the compiler's reasons where it refused;
/// kUnsupported where there is no compiler, saying why; kInvalidArgument for a signature or options
/// that are not JSON; kInternal for a defect of the compiler.
TENON_API Result<CompileOutcome> compile_kernel(const CompileRequest &request);

/// Opens the compiler if it is not open yet. Errors: kUnsupported with the path tried and the
/// reason.
TENON_API Result<void> compiler_available();

/// The path of the compiler's library, whether or not it is there.
TENON_API std::string compiler_library();

} // namespace tenon
