#include "compiler/llvm/ProcessOptions.h"

using namespace tenon;

static std::mutex &mutex() {
  static std::mutex instance;
  return instance;
}

ProcessOptions::ProcessOptions(llvm::ArrayRef<llvm::StringRef> names) : lock_(mutex()) {
  for (llvm::StringRef name : names)
    set(name);
}

ProcessOptions::~ProcessOptions() {
  for (auto [option, before] : changed_)
    option->setValue(before);
}

void ProcessOptions::set(llvm::StringRef name) {
  auto &options = llvm::cl::getRegisteredOptions();
  auto found = options.find(name);
  if (found == options.end())
    return;
  auto *option = static_cast<llvm::cl::opt<bool> *>(found->second);
  changed_.emplace_back(option, option->getValue());
  option->setValue(true);
}
