/// Whole files, read and replaced: of what a user names, be it a file, a link, a pipe or a device.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

/// Of texts: graphs, manifests, PTX.
inline constexpr uint64_t kMostTextBytes = uint64_t(256) << 20;

/// A pipe is read until its other end is closed; where nobody opens that for ten seconds, that is an
/// error, as is a file of more than `most` bytes. Errors: kNotFound, kIo (a directory, a device, no
/// permission), kCorruptFile (too large), kOutOfMemory.
TENON_API Result<std::vector<std::byte>>
read_file(const std::string &path, uint64_t most = std::numeric_limits<uint64_t>::max());
/// As text.
TENON_API Result<std::string> read_text(const std::string &path, uint64_t most = kMostTextBytes);

/// Writes the parts one after another to a new file, which then takes the place of `path` and has its
/// permissions; until then, and on an error, `path` is as it was. What a link points to is replaced,
/// not the link; a pipe or a device such as /dev/null is written. Errors: kIo, also where `path` is
/// a file that may not be written.
TENON_API Status replace_file(const std::string &path,
                              std::span<const std::span<const std::byte>> parts);
TENON_API Status replace_file(const std::string &path, std::string_view bytes);

/// Whether replace_file would find there nothing or what may be written, in a directory that may be,
/// asked before long work. Errors: kIo.
TENON_API Status check_replaceable(const std::string &path);

/// The same error with the file's name before it.
TENON_API Error in_file(const std::string &path, const Error &error);

} // namespace tenon
