/// An object file => one flat piece of code without imports.
///
/// The sections that are code or constants are laid one after another, and references between them,
/// which are relative to the instruction, resolved. What remains runs wherever it is loaded; the
/// loader knows no relocations. Code that needs more than that is refused.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBufferRef.h"

#include <cstddef>
#include <vector>

namespace tenon {

inline constexpr uint64_t kFlatImageAlignment = 64;

struct FlatImage {
  std::vector<std::byte> bytes; ///< to be loaded at a multiple of kFlatImageAlignment
  std::vector<uint64_t> entryOffsets; ///< in the order in which they were asked for
};

/// `object`: ELF for x86-64. Errors: a symbol that is not defined in it ("imports memcpy"), data
/// that would be written to, an absolute address, or no function of the name of one of `entries`.
llvm::Expected<FlatImage> makeFlatImage(llvm::MemoryBufferRef object, llvm::ArrayRef<llvm::StringRef> entries);

} // namespace tenon
