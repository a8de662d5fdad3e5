/// A library to be loaded before Tenon's: one of them is then of another build, as far as the command can see.
#include "tenon/Libraries.h"

namespace tenon {

#ifdef OTHER_RUNTIME
uint64_t runtime_fingerprint() noexcept {
  return kRuntimeFingerprint + 1;
}
#else
uint64_t tenon_fingerprint() noexcept {
  return kTenonFingerprint + 1;
}
#endif

} // namespace tenon
