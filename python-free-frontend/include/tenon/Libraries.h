/// Whether the libraries that a program runs with are those whose headers it was compiled with: Fingerprint.h.
///
///     if (std::string wrong = tenon::wrong_libraries(); !wrong.empty())
///       return fail(wrong);   // before the first object passes to them
#pragma once

#include "tenon/Attention.h"
#include "tenon/Explanation.h"
#include "tenon/Fingerprint.h"
#include "tenon/Function.h"
#include "tenon/PagedKeyValue.h"
#include "tenon/Value.h"

#include <cstdint>
#include <string>

namespace tenon {

/// Of the headers that the including file was compiled with, those of the runtime included.
constexpr uint64_t kTenonFingerprint =
    fingerprint_of({kRuntimeFingerprint, sizeof(AttentionCall), sizeof(AttentionGraphOptions), sizeof(AttentionOptions),
                    sizeof(CachedShape), sizeof(CompileOptions), sizeof(Explanation), sizeof(Function),
                    sizeof(LaunchOptions), sizeof(ScalarArguments), sizeof(Value)});

/// Of the headers that libtenon.so was compiled with which the process runs.
TENON_API uint64_t tenon_fingerprint() noexcept;

/// "" where all fit; else a sentence that says what does not.
inline std::string wrong_libraries() {
  const char *wrong = runtime_fingerprint() != kRuntimeFingerprint ? "libtenon-runtime.so"
                      : tenon_fingerprint() != kTenonFingerprint   ? "libtenon.so"
                                                                   : "";
  return *wrong ? std::string("this program was built with other headers than ") + wrong +
                      ", which it runs with: build or install both together"
                : std::string();
}

} // namespace tenon
