#include "tenon/KernelImage.h"

#include "device/Text.h"
#include "image/ImageHeader.h"
#include "tenon/Signature.h"

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tenon {
namespace {

constexpr char kMagic[8] = {'T', 'E', 'N', 'O', 'N', 'I', 'M', 'G'};
constexpr size_t kPrefixBytes = sizeof kMagic + 2 * sizeof(uint32_t);
constexpr size_t kChecksumBytes = 16;

void put(std::vector<std::byte> &bytes, const void *data, size_t size) {
  if (size == 0)
    return;
  bytes.resize(bytes.size() + size);
  std::memcpy(bytes.data() + bytes.size() - size, data, size);
}

template <typename Number> void put_number(std::vector<std::byte> &bytes, Number number) {
  for (size_t i = 0; i < sizeof number; ++i)
    bytes.push_back(static_cast<std::byte>(number >> (8 * i)));
}

template <typename Number> Number get_number(const std::byte *bytes) {
  Number number = 0;
  for (size_t i = 0; i < sizeof number; ++i)
    number |= static_cast<Number>(bytes[i]) << (8 * i);
  return number;
}

void put_checksum(std::vector<std::byte> &bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  put_number(bytes, uint64_t{hash.low64});
  put_number(bytes, uint64_t{hash.high64});
}

bool checksum_holds(std::span<const std::byte> bytes) {
  size_t size = bytes.size() - kChecksumBytes;
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), size);
  return get_number<uint64_t>(bytes.data() + size) == hash.low64 &&
         get_number<uint64_t>(bytes.data() + size + 8) == hash.high64;
}

Error corrupt(std::string what) {
  return Error(ErrorCode::kCorruptFile, "kernel image: " + std::move(what));
}

Result<void> take_sections(ParsedHeader &header, std::span<const std::byte> rest) {
  for (size_t i = 0; i < header.section_sizes.size(); ++i) {
    uint64_t size = header.section_sizes[i];
    if (size > rest.size())
      return corrupt(concat("section ", i, " has ", size, " bytes, but ", rest.size(), " remain"));
    header.image.sections[i].bytes.assign(rest.begin(),
                                          rest.begin() + static_cast<ptrdiff_t>(size));
    rest = rest.subspan(size);
  }
  if (!rest.empty())
    return corrupt(concat(rest.size(), " bytes follow the last section"));
  return {};
}

Result<void> check_entries(const KernelImage &image) {
  const ImageSection *code = image.find(SectionKind::kHostCode);
  for (const LaunchPhase &phase : image.launch.phases)
    if (code && phase.code_offset >= code->bytes.size())
      return corrupt(concat("entry ", phase.entry, " at byte ", phase.code_offset, " of ",
                            code->bytes.size(), " bytes of code"));
  return {};
}

} // namespace

const ImageSection *KernelImage::find(SectionKind kind) const {
  auto found = std::ranges::find(sections, kind, &ImageSection::kind);
  return found == sections.end() ? nullptr : &*found;
}

const std::string &KernelImage::schedule_for(int64_t queries) const {
  return queries <= kFewQueries && !few_schedule.empty() ? few_schedule : schedule;
}

std::vector<std::byte> KernelImage::serialize() const {
  std::string header = write_header(*this);
  std::vector<std::byte> bytes;
  size_t size = kPrefixBytes + header.size() + kChecksumBytes;
  for (const ImageSection &section : sections)
    size += section.bytes.size();
  bytes.reserve(size);
  put(bytes, kMagic, sizeof kMagic);
  put_number(bytes, kFormatVersion);
  put_number(bytes, static_cast<uint32_t>(header.size()));
  put(bytes, header.data(), header.size());
  for (const ImageSection &section : sections)
    put(bytes, section.bytes.data(), section.bytes.size());
  put_checksum(bytes);
  return bytes;
}

Result<KernelImage> KernelImage::parse(std::span<const std::byte> bytes) {
  if (bytes.size() < kPrefixBytes + kChecksumBytes)
    return corrupt(concat(bytes.size(), " bytes are too few"));
  if (std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    return corrupt("it does not begin with TENONIMG");
  uint32_t version = get_number<uint32_t>(bytes.data() + sizeof kMagic);
  if (version != kFormatVersion)
    return corrupt(concat("format version ", version, "; this runtime reads ", kFormatVersion));
  if (!checksum_holds(bytes))
    return corrupt("the checksum does not match: the file is truncated or was altered");
  size_t header_bytes = get_number<uint32_t>(bytes.data() + sizeof kMagic + 4);
  std::span<const std::byte> body =
      bytes.subspan(kPrefixBytes, bytes.size() - kPrefixBytes - kChecksumBytes);
  if (header_bytes > body.size())
    return corrupt(concat("a header of ", header_bytes, " bytes, but ", body.size(), " remain"));
  Result<ParsedHeader> header =
      parse_header({reinterpret_cast<const char *>(body.data()), header_bytes});
  if (!header)
    return header.error();
  if (Result<void> taken = take_sections(*header, body.subspan(header_bytes)); !taken)
    return taken.error();
  if (Result<void> checked = check_entries(header->image); !checked)
    return checked.error();
  // One writing for each image: what is not written as serialize writes it was made by something
  // else.
  if (!std::ranges::equal(header->image.serialize(), bytes))
    return corrupt("it is not in canonical form");
  return std::move(header->image);
}

Result<KernelImage::Summary> KernelImage::parse_summary(std::span<const std::byte> first_bytes) {
  if (first_bytes.size() < kPrefixBytes ||
      std::memcmp(first_bytes.data(), kMagic, sizeof kMagic) != 0)
    return corrupt("it does not begin with TENONIMG");
  const size_t header_bytes = get_number<uint32_t>(first_bytes.data() + sizeof kMagic + 4);
  std::span<const std::byte> header = first_bytes.subspan(kPrefixBytes);
  header = header.first(std::min(header.size(), header_bytes));
  return read_summary({reinterpret_cast<const char *>(header.data()), header.size()});
}

} // namespace tenon
