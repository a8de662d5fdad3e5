/// A request of CompilerInterface.h, from its bytes to the answer's.
#pragma once

#include "llvm/ADT/StringRef.h"

#include "tenon/CompilerInterface.h"
#include "tenon/Error.h"

#include <string>
#include <vector>

namespace tenon {

/// What a request comes to.
struct CompileAnswer {
  TenonCompileStatus status = TENON_COMPILED;
  std::string bytes;           ///< the image or text; of a failure, its message
  std::vector<Reason> reasons; ///< why it was refused

  /// The bytes that the interface hands over: of a failure {"message", "reasons"}.
  std::string payload() const;
};

/// Safe to call from several threads at once.
CompileAnswer compileRequest(llvm::StringRef request);

} // namespace tenon
