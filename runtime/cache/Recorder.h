/// Appends each kernel that this process asks for to a file, one JSON object a line, so that a
/// manifest can be made of it: {"graph", "signature", "target", "options"}.
#pragma once

#include "tenon/KernelKey.h"
#include "tenon/Result.h"

#include <string>

namespace tenon {

/// One write of one line: processes that record into one file do not mix. Errors: kIo.
Result<void> record(const std::string &file, const KernelKey &key);

} // namespace tenon
