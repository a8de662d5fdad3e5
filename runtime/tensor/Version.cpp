#include "tenon/Version.h"

#include "tenon/Fingerprint.h"

namespace tenon {

std::string_view version() {
  return TENON_VERSION;
}

uint64_t runtime_fingerprint() noexcept {
  return kRuntimeFingerprint;
}

} // namespace tenon
