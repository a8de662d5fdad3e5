/// Whole files, read and replaced.
#pragma once

#include "tenon/Result.h"

#include <bit>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tenon {

// Both formats are little-endian, and are copied as they are.
static_assert(std::endian::native == std::endian::little);

/// Errors: kNotFound, kIo (a directory, no permission), kOutOfMemory.
Result<std::vector<std::byte>> read_file(const std::string &path);

/// Writes the parts one after another to a temporary file beside `path`, then renames it; on an
/// error `path` is as it was. Errors: kIo.
Status replace_file(const std::string &path, std::span<const std::span<const std::byte>> parts);

/// The same error with the file's name before it.
Error in_file(const std::string &path, const Error &error);

} // namespace tenon
