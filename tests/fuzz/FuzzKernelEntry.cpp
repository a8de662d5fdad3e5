// Entries of the kernel cache. Each input is tried as it is, and as the header of an image whose
// checksum is right, so that what stands behind the checksum is reached.
#include "cache/EntryFile.h"

#include <algorithm>
#include <cstring>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace {

using tenon::KernelImage;

void check(std::span<const std::byte> bytes) {
  static_cast<void>(KernelImage::parse_summary(bytes).ok());
  const tenon::Result<KernelImage> image = tenon::open_entry(bytes, {});
  if (!image)
    return;
  const std::span<const std::byte> inner = tenon::image_in(bytes);
  const std::vector<std::byte> again = image->serialize();
  if (!std::ranges::equal(again, inner)) // one writing for each image
    __builtin_trap();
  const tenon::Result<KernelImage::Summary> summary = KernelImage::parse_summary(inner);
  if (!summary || summary->key != image->key || summary->kernel != image->kernel)
    __builtin_trap();
}

// "TENONIMG", version, size, header, checksum around a header that the fuzzer chose.
std::vector<std::byte> image_around(std::span<const std::byte> header) {
  const uint32_t numbers[2] = {KernelImage::kFormatVersion, static_cast<uint32_t>(header.size())};
  std::vector<std::byte> bytes(16 + header.size() + 16);
  std::memcpy(bytes.data(), "TENONIMG", 8);
  std::memcpy(bytes.data() + 8, numbers, 8);
  std::memcpy(bytes.data() + 16, header.data(), header.size());
  const XXH128_hash_t sum = XXH3_128bits(bytes.data(), bytes.size() - 16);
  const uint64_t halves[2] = {sum.low64, sum.high64};
  std::memcpy(bytes.data() + bytes.size() - 16, halves, 16);
  return bytes;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::span bytes(reinterpret_cast<const std::byte *>(data), size);
  check(bytes);
  if (size != 0)
    check(image_around(bytes));
  return 0;
}
