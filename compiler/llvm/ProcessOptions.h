/// What LLVM offers only as options of the process.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/CommandLine.h"

#include <mutex>

namespace tenon {

/// Boolean options of LLVM, set for as long as this lives. They are read where a target machine and its passes are
/// made: each thread that makes such holds one of these meanwhile, with no names where it wants the options as they are,
/// or it would see those of another.
class ProcessOptions {
public:
  explicit ProcessOptions(llvm::ArrayRef<llvm::StringRef> names = {});
  ~ProcessOptions();

private:
  void set(llvm::StringRef name);

  std::lock_guard<std::mutex> lock_;
  llvm::SmallVector<std::pair<llvm::cl::opt<bool> *, bool>, 2> changed_;
};

} // namespace tenon
