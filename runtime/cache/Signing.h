/// Ed25519 signatures, by libsodium, which is opened when the first is made or checked.
///
/// A secret key's file holds 64 hexadecimal digits, the seed; a public key's file 64 too.
#pragma once

#include "tenon/KernelStore.h"
#include "tenon/Result.h"

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace tenon {

inline constexpr size_t kPublicKeyBytes = 32, kSignatureBytes = 64; // RFC 8032, section 5.1
using Signature64 = std::array<std::byte, kSignatureBytes>;

class SigningKey {
public:
  /// Errors: kNotFound, kCorruptFile; kUnsupported for a file that others can read, or without
  /// libsodium.
  static Result<SigningKey> read(const std::string &file);
  static SigningKey from_seed(std::span<const std::byte> seed);
  Result<Signature64> sign(std::span<const std::byte> message) const;
  const PublicKey &public_key() const { return public_key_; }

private:
  PublicKey public_key_;
  std::array<std::byte, 64> secret_ = {}; // libsodium's form: seed and public key
};

/// Errors: kUnsupported without libsodium; kCorruptFile where it is not `key`'s signature of the
/// message.
Result<void> check_signature(std::span<const std::byte> message, const Signature64 &signature,
                             const PublicKey &key);

} // namespace tenon
