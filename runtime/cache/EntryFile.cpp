#include "cache/EntryFile.h"

#include "device/Text.h"

#include <algorithm>
#include <cstring>
#include <optional>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon {
namespace {

constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'S', 'I', 'G'};
constexpr std::string_view kDomain = "tenon kernel entry 1\n";
constexpr size_t kSealedBytes = sizeof kMagic + kPublicKeyBytes + kSignatureBytes;
constexpr size_t kTrailerBytes = kSealedBytes + sizeof(uint64_t);

struct Trailer {
  PublicKey key;
  Signature64 signature = {};
};

bool has_trailer(std::span<const std::byte> entry) {
  return entry.size() >= kTrailerBytes &&
         std::memcmp(entry.data() + entry.size() - kTrailerBytes, kMagic, sizeof kMagic) == 0;
}

std::vector<std::byte> message_of(std::span<const std::byte> image) {
  std::vector<std::byte> message(kDomain.size() + image.size());
  std::memcpy(message.data(), kDomain.data(), kDomain.size());
  std::ranges::copy(image, message.begin() + kDomain.size());
  return message;
}

Result<std::optional<Trailer>> read_trailer(std::span<const std::byte> entry) {
  if (!has_trailer(entry))
    return std::optional<Trailer>();
  const std::byte *bytes = entry.data() + entry.size() - kTrailerBytes;
  uint64_t sum = 0;
  std::memcpy(&sum, bytes + kSealedBytes, sizeof sum);
  if (XXH3_64bits(bytes, kSealedBytes) != sum)
    return Error(ErrorCode::kCorruptFile, "the signature's checksum does not match");
  Trailer trailer;
  trailer.key.assign(bytes + sizeof kMagic, bytes + sizeof kMagic + kPublicKeyBytes);
  std::memcpy(trailer.signature.data(), bytes + sizeof kMagic + kPublicKeyBytes, kSignatureBytes);
  return std::optional(std::move(trailer));
}

Result<void> check_signer(std::span<const std::byte> image, const std::optional<Trailer> &trailer,
                          const PublicKeys &signers) {
  if (signers.empty())
    return {};
  if (!trailer)
    return Error(ErrorCode::kUnsupported, "it is not signed, and a signature is required");
  if (std::ranges::find(signers, trailer->key) == signers.end())
    return Error(ErrorCode::kUnsupported, "it is signed by a key that is not trusted");
  return check_signature(message_of(image), trailer->signature, trailer->key);
}

} // namespace

Result<std::vector<std::byte>> seal(std::span<const std::byte> image, const SigningKey &key) {
  TENON_ASSIGN_OR_RETURN(const Signature64 signature, key.sign(message_of(image)));
  std::vector<std::byte> entry(image.size() + kTrailerBytes);
  std::byte *to = std::ranges::copy(image, entry.data()).out;
  std::byte *trailer = to;
  std::memcpy(to, kMagic, sizeof kMagic);
  to = std::ranges::copy(key.public_key(), to + sizeof kMagic).out;
  to = std::ranges::copy(signature, to).out;
  const uint64_t sum = XXH3_64bits(trailer, kSealedBytes);
  std::memcpy(to, &sum, sizeof sum);
  return entry;
}

std::span<const std::byte> image_in(std::span<const std::byte> entry) {
  return has_trailer(entry) ? entry.first(entry.size() - kTrailerBytes) : entry;
}

bool is_signed_by(std::span<const std::byte> entry, const PublicKey &key) {
  const Result<std::optional<Trailer>> trailer = read_trailer(entry);
  return trailer && *trailer && (*trailer)->key == key &&
         check_signature(message_of(image_in(entry)), (*trailer)->signature, key).ok();
}

Result<KernelImage> open_entry(std::span<const std::byte> entry, const PublicKeys &signers) {
  TENON_ASSIGN_OR_RETURN(const std::optional<Trailer> trailer, read_trailer(entry));
  const std::span<const std::byte> image = image_in(entry);
  // Nothing is parsed that a required signature does not cover.
  TENON_TRY(check_signer(image, trailer, signers));
  return KernelImage::parse(image);
}

Result<KernelImage> verify_entry(std::span<const std::byte> bytes, const KernelKey &key,
                                 const PublicKeys &signers) {
  TENON_ASSIGN_OR_RETURN(KernelImage image, open_entry(bytes, signers));
  if (image.key != key.text())
    return Error(ErrorCode::kCorruptFile,
                 concat("it holds another key, that of ", KernelKey::hash_of(image.key)));
  if (!key.graph().empty() && image.graph != key.graph())
    return Error(ErrorCode::kCorruptFile, "it holds another graph");
  return image;
}

} // namespace tenon
