#include "tenon/Libraries.h"

namespace tenon {

uint64_t tenon_fingerprint() noexcept {
  return kTenonFingerprint;
}

} // namespace tenon
