/// What a kernel is found by: everything that its code depends on, and nothing else.
///
///     KernelKey key({graph.hash(), signature.text(), "sm_80", "{}", graph.text()});
#pragma once

#include "tenon/Api.h"
#include "tenon/KernelImage.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace tenon {

/// The text is the key; the hash only finds it, and names the entry on disk.
class TENON_API KernelKey {
public:
  struct Parts {
    std::string graph_hash; ///< of the graph's canonical text
    std::string signature;  ///< Signature::text()
    std::string
        target; ///< with the figures that the schedule was made for, where not the named target's
    std::string options;    ///< a JSON object, in whatever order and spacing
    std::string graph = {}; ///< the canonical text itself: kept with the kernel, to be read
    uint32_t code_generation = kCodeGenerationVersion;
  };
  KernelKey() = default;
  explicit KernelKey(Parts parts);

  /// One line for each part: "code generation 1\ngraph 3f2a…\ntarget sm_80\nsignature {…}\noptions
  /// {}\n".
  const std::string &text() const { return text_; }
  const Parts &parts() const { return parts_; }
  const std::string &target() const { return parts_.target; }
  const std::string &graph() const { return parts_.graph; }
  /// The same kernel for another target.
  KernelKey for_target(std::string target) const;
  /// XXH3-128 of the text in 32 hexadecimal digits.
  std::string hash() const;
  static std::string hash_of(std::string_view text);
  uint64_t hash_high() const { return high_; }
  uint64_t hash_low() const { return low_; }
  bool operator==(const KernelKey &other) const {
    return low_ == other.low_ && high_ == other.high_ && text_ == other.text_;
  }

private:
  std::string text_;
  Parts parts_;
  uint64_t high_ = 0, low_ = 0;
};

/// The rest of the line of a key's text that begins with `part`: key_part(key.text(), "target").
TENON_API std::string_view key_part(std::string_view key_text, std::string_view part);

} // namespace tenon
