// Fat binaries: what nvcc packs of several forms of one program. The emulator takes the PTX out of them.
//
//     header:  u32 0xba55ed50, u16 version, u16 header bytes, u64 bytes of what follows
//     member:  u16 kind (1 PTX, 2 machine code), u16 version, u32 header bytes, u64 payload bytes, u32 compressed
//     bytes,
//              u32, u16 minor, u16 major, u32 architecture (80), u32, u32, u64 flags, u64, u64 bytes when decompressed
//
// Nothing documents the layout; this is what nvcc 11 to 13 write. PTX is compressed with LZ4 (flag 0x2000) or Zstandard
// (flag 0x8000), whose libraries are opened when they are needed.
#pragma once
#include <string>

namespace tenon::emulator {

/// Whether an image is a fat binary, or the wrapper that nvcc puts around one.
bool is_fat_binary(const void *image);

/// The PTX made for the highest architecture that a device of `capability` executes; false with the reason in `why`
/// where there is none, or it cannot be read.
bool ptx_of_fat_binary(const void *image, int capability, std::string &ptx, std::string &why);

} // namespace tenon::emulator
