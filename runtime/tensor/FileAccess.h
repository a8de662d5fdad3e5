/// Whole files, read and replaced.
#pragma once

#include "tenon/Result.h"

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tenon {

/// Errors: kNotFound, kIo (a directory, no permission), kOutOfMemory.
Result<std::vector<std::byte>> read_file(const std::string &path);

/// Writes the parts one after another to a temporary file beside `path`, then renames it.
Status replace_file(const std::string &path, std::span<const std::span<const std::byte>> parts);

/// The same error with the file's name before it.
Error in_file(const std::string &path, const Error &error);

} // namespace tenon
