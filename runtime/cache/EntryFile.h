/// The bytes of an entry: a kernel image, and behind it, where it is signed,
///
///     "TENONSIG"  public key (32)  Ed25519 signature (64)  u64 XXH3 of these three
///
/// The signature is of "tenon kernel entry 1\n" and the image.
#pragma once

#include "cache/Signing.h"

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace tenon {

/// Errors: kInternal where libsodium refuses.
Result<std::vector<std::byte>> seal(std::span<const std::byte> image, const SigningKey &key);

/// The image's bytes in those of an entry, and whether a signature of `key` stands behind them.
std::span<const std::byte> image_in(std::span<const std::byte> entry);
bool is_signed_by(std::span<const std::byte> entry, const PublicKey &key);

/// As verify_entry, with whatever key the entry holds. Errors: those of verify_entry.
Result<KernelImage> open_entry(std::span<const std::byte> entry, const PublicKeys &signers);

} // namespace tenon
