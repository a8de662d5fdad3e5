/// What went wrong: a code for programs, and for people which argument it was about, what that was,
/// and what it must be.
#pragma once

#include "tenon/Api.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon {

enum class ErrorCode : uint8_t {
  kInvalidArgument,  ///< a value outside what its argument allows
  kShapeMismatch,    ///< shapes that do not fit each other
  kUnsupportedType,  ///< an element type that cannot stand here
  kNotFound,         ///< no such file, tensor, device, name
  kIo,               ///< the operating system refused to read or write
  kCorruptFile,      ///< bytes that are not what they claim to be
  kOutOfMemory,
  kDevice,           ///< a device's driver reported a failure
  kCompilation,      ///< the graph cannot be compiled as asked
  kUnsupported,      ///< well formed, but outside what this build or machine does
  kInternal,         ///< a defect of Tenon
  kCacheMiss,        ///< the kernel is in no cache, and the policy forbids compiling it
};

/// "invalid argument", "shape mismatch", …
TENON_API std::string_view name(ErrorCode code);

/// One thing that was considered and refused: {"host:x86-64-v4", "head width 24 is no multiple of 16"}.
struct Reason {
  std::string what, why;
  bool operator==(const Reason &) const = default;
};

class TENON_API Error {
public:
  Error(ErrorCode code, std::string text) : code_(code), text_(std::move(text)) {}
  Error(ErrorCode code, std::string argument, std::string actual, std::string expected)
      : code_(code), argument_(std::move(argument)), actual_(std::move(actual)),
        expected_(std::move(expected)) {}

  /// invalid_argument("dropout", "1.5", "a number in [0, 1]")
  static Error invalid_argument(std::string argument, std::string actual, std::string expected) {
    return {ErrorCode::kInvalidArgument, std::move(argument), std::move(actual), std::move(expected)};
  }
  static Error shape_mismatch(std::string argument, std::string actual, std::string expected) {
    return {ErrorCode::kShapeMismatch, std::move(argument), std::move(actual), std::move(expected)};
  }
  static Error unsupported_type(std::string argument, std::string actual, std::string expected) {
    return {ErrorCode::kUnsupportedType, std::move(argument), std::move(actual), std::move(expected)};
  }

  ErrorCode code() const { return code_; }
  const std::string &argument() const { return argument_; }  ///< empty where it is about none
  const std::string &actual() const { return actual_; }
  const std::string &expected() const { return expected_; }

  /// "dropout: was 1.5, must be a number in [0, 1]", or the free text.
  std::string message() const;

  /// What was weighed and why each was refused, for programs; the message says it too. Often empty.
  const std::vector<Reason> &reasons() const { return reasons_; }
  Error &&with_reasons(std::vector<Reason> reasons) && {
    reasons_ = std::move(reasons);
    return std::move(*this);
  }

private:
  ErrorCode code_;
  std::string text_, argument_, actual_, expected_;
  std::vector<Reason> reasons_;
};

} // namespace tenon
