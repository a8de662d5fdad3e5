/// The JSON header of a kernel image: everything but the bytes of its sections.
///
///     {"kernel", "key", "schedule", "few_schedule", "graph", "sections": [{"kind", "target", "bytes"}…],
///      "launch": {"phases": [{"entry", "grid": [extent × 3], "threads", "shared_bytes",
///                             "workspace": [fixed, a block], "code_offset", "when"}…],
///                 "tensors": [[role, index]…], "scalars": [index…],
///                 "workspace_tensors": [{"sizes": [extent × 3], "width", "when"}…], "uses_dropout"}}
///
/// where an extent is [dimension, divisor, multiplier, times, times_divisor, most_times], and "when" [least queries,
/// most queries, least keys, most keys].
#pragma once

#include "tenon/KernelImage.h"

#include <string>
#include <string_view>

namespace tenon {

std::string write_header(const KernelImage &image);

struct ParsedHeader {
  KernelImage image;                   ///< sections without their bytes
  std::vector<uint64_t> section_sizes; ///< in bytes, one for each section
};
/// Errors: kCorruptFile, naming the field that is missing or out of its range.
Result<ParsedHeader> parse_header(std::string_view text);
/// The first two strings of a header that may be cut off behind them. Errors: kCorruptFile.
Result<KernelImage::Summary> read_summary(std::string_view text);

} // namespace tenon
