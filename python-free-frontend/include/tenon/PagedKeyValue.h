/// Keys and values in pages: written row by row as sequences grow, and read back as one tensor.
///
///     auto paged = PagedKeyValue::open(DataType::kFloat16, 64, {DeviceKind::kCuda, 0}).value();
///     // pages[s, positions[s] + i] = fresh[s, i]
///     paged.append(pages, fresh, table, positions, stream);
///     // keys[s, i] = pages[s, i], zero behind lengths[s]
///     paged.gather(keys, pages, table, lengths, stream);
///
/// The kernels are CUDA C++ (kernels/PagedKeyValue.cu), compiled by NVRTC as any `cuda_kernel` is.
#pragma once

#include "tenon/CudaKernel.h"
#include "tenon/DataType.h"

namespace tenon {

class TENON_API PagedKeyValue {
public:
  /// For rows of `width` elements of a type. Errors: those of cuda_kernel; a width below 1.
  static Result<PagedKeyValue> open(DataType dtype, int64_t width, DeviceLocation device);

  /// `pages` [page, heads, rows of a page, width], `rows` [sequences, heads, rows, width], `table`
  /// i32 [sequences, blocks], `positions` i32 [sequences]: contiguous, on the device. A row whose
  /// page is not in the table, or is none of `pages`, is left out. Errors: what does not fit, by
  /// name; the device's own.
  Status append(const Tensor &pages, const Tensor &rows, const Tensor &table,
                const Tensor &positions, StreamHandle stream = 0) const;
  /// The other way; rows that are not there are zeros.
  Status gather(const Tensor &rows, const Tensor &pages, const Tensor &table, const Tensor &lengths,
                StreamHandle stream = 0) const;

private:
  Status launch(const CudaKernel &kernel, const Tensor &first, const Tensor &second,
                const Tensor &rows, const Tensor &pages, const Tensor &table, const Tensor &counts,
                const char *counts_name, StreamHandle stream) const;
  DataType dtype_ = DataType::kFloat32;
  int64_t width_ = 0;
  int word_bytes_ = 1;
  CudaKernel append_, gather_;
};

} // namespace tenon
