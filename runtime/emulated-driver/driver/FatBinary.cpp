#include "driver/FatBinary.h"
#include <cstdint>
#include <cstring>
#include <dlfcn.h>

namespace tenon::emulator {
namespace {
constexpr uint32_t kMagic = 0xba55ed50, kWrapperMagic = 0x466243b1;
constexpr uint16_t kPtx = 1;
constexpr uint64_t kLz4 = 0x2000, kZstandard = 0x8000;
constexpr uint64_t kMostBytes = uint64_t{1} << 30; // of one PTX text: more is damage

struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;
};
struct Wrapper {
  uint32_t magic, version;
  const void *data;
};
struct Member {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;
  uint32_t compressed_bytes, options;
  uint16_t minor, major;
  uint32_t architecture;
  uint32_t name[2];
  uint64_t flags, unused, decompressed_bytes;
};
static_assert(sizeof(Header) == 16 && sizeof(Member) == 64);

template <class T> T read(const void *at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

template <class Function> Function *find(const char *library, const char *name) {
  void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  return handle ? reinterpret_cast<Function *>(dlsym(handle, name)) : nullptr;
}

bool decompress(const Member &member, const char *payload, std::string &ptx, std::string &why) {
  if (!(member.flags & (kLz4 | kZstandard))) {
    ptx.assign(payload, strnlen(payload, member.bytes));
    return true;
  }
  if (member.decompressed_bytes > kMostBytes || member.compressed_bytes > member.bytes) {
    why = "the fat binary's PTX is damaged";
    return false;
  }
  ptx.resize(member.decompressed_bytes);
  const char *library = member.flags & kZstandard ? "libzstd.so.1" : "liblz4.so.1";
  int64_t got = -1;
  if (member.flags & kZstandard) {
    if (auto *call = find<size_t(void *, size_t, const void *, size_t)>(library, "ZSTD_decompress"))
      got = static_cast<int64_t>(call(ptx.data(), ptx.size(), payload, member.compressed_bytes));
    else
      why = std::string("the fat binary's PTX is compressed, and ") + library + " cannot be opened";
  } else if (auto *call = find<int(const char *, char *, int, int)>(library, "LZ4_decompress_safe")) {
    got = call(payload, ptx.data(), static_cast<int>(member.compressed_bytes), static_cast<int>(ptx.size()));
  } else {
    why = std::string("the fat binary's PTX is compressed, and ") + library + " cannot be opened";
  }
  if (got == static_cast<int64_t>(ptx.size())) {
    ptx.resize(strnlen(ptx.data(), ptx.size()));
    return true;
  }
  if (why.empty())
    why = "the fat binary's PTX is damaged";
  return false;
}
} // namespace

bool is_fat_binary(const void *image) {
  auto magic = read<uint32_t>(image);
  return magic == kMagic || magic == kWrapperMagic;
}

bool ptx_of_fat_binary(const void *image, int capability, std::string &ptx, std::string &why) {
  if (read<uint32_t>(image) == kWrapperMagic)
    image = read<Wrapper>(image).data;
  if (!image || read<uint32_t>(image) != kMagic) {
    why = "not a fat binary";
    return false;
  }
  auto header = read<Header>(image);
  const char *at = static_cast<const char *>(image) + header.header_bytes, *end = at + header.bytes;
  const char *best = nullptr;
  uint32_t newest = 0;
  while (static_cast<size_t>(end - at) >= sizeof(Member)) {
    auto member = read<Member>(at);
    if (member.header_bytes < sizeof(Member) || member.header_bytes + member.bytes > static_cast<uint64_t>(end - at))
      break;
    bool runs = member.architecture <= static_cast<uint32_t>(capability);
    if (member.kind == kPtx && runs && member.architecture >= newest) {
      best = at;
      newest = member.architecture;
    }
    at += member.header_bytes + member.bytes;
  }
  if (!best) {
    why = "the fat binary holds no PTX for a device of compute capability " + std::to_string(capability / 10) + "." +
          std::to_string(capability % 10) +
          "; the emulated driver runs PTX alone (nvcc: -gencode arch=compute_80,code=compute_80)";
    return false;
  }
  auto member = read<Member>(best);
  return decompress(member, best + member.header_bytes, ptx, why);
}

} // namespace tenon::emulator
