/// The JSON of a request: CompilerInterface.h says what it holds.
#pragma once

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include "tenon/Graph.h"
#include "tenon/Signature.h"

#include <string>

namespace tenon {

enum class Emit { kImage, kAttention, kTile, kNvvm, kLlvm, kPtx, kAsm };

struct Request {
  Graph graph;
  Signature signature;
  std::string target;
  Emit emit = Emit::kImage;
  std::string options; ///< as text, for the key
  int64_t tileQueries = 0, tileKeys = 0, queryGroups = 0, stages = 0, warps = 0;
  std::string rescaling, shared, without;
  std::string wrongOption; ///< what is wrong with one of the options, or ""

  bool isGpu() const { return llvm::StringRef(target).starts_with("sm_"); }
  /// Errors: what is missing, misspelt or of the wrong kind; a graph or signature that does not parse. Not a wrong option,
  /// which is a reason to refuse.
  static llvm::Expected<Request> parse(llvm::StringRef text);
};

} // namespace tenon
