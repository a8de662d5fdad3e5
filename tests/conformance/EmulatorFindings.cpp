#include "EmulatorFindings.h"

#include <cstddef>
#include <dlfcn.h>

namespace tenon::conformance {
namespace {

// The library that the device opened, if it did: opening it here too would choose its card before the device does.
template <class F> F *entry(const char *name) {
  static void *library = nullptr;
  if (!library)
    library = dlopen(TENON_EMULATED_DRIVER, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  return library ? reinterpret_cast<F *>(dlsym(library, name)) : nullptr;
}

} // namespace

EmulatorFindings::EmulatorFindings() {
  if (auto *clear = entry<void()>("tenonEmulatorClearReport"))
    clear();
}

std::string EmulatorFindings::text() const {
  auto *findings = entry<size_t(char *, size_t)>("tenonEmulatorFindings");
  if (!findings)
    return "";
  std::string text(findings(nullptr, 0), '\0');
  findings(text.data(), text.size());
  text.pop_back();
  return text;
}

} // namespace tenon::conformance
