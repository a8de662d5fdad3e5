#include "tenon/PagedKeyValue.h"

#include <limits>

namespace tenon {
namespace {

constexpr const char *kSource =
#include "PagedKeyValue.cu.inc"
    ;
constexpr unsigned kThreads = 256;
constexpr int64_t kMostGridYz = 65535; // CUDA C++ Programming Guide, technical specifications

struct Word {
  int bytes;
  const char *type;
};
constexpr Word kWords[] = {
    {16, "uint4"}, {8, "uint2"}, {4, "unsigned int"}, {2, "unsigned short"}, {1, "unsigned char"}};

// As PagedKeyValue.cu has it.
struct PageLayout {
  int heads, rows, page_rows, words, table_blocks, page_count;
};

Status check(const char *name, const Tensor &tensor, DataType dtype, int rank, const char *sizes) {
  if (!tensor.defined() || tensor.dtype() != dtype)
    return Error::unsupported_type(
        name, tensor.defined() ? std::string(tenon::name(tensor.dtype())) : "no tensor",
        std::string(tenon::name(dtype)));
  if (tensor.rank() != rank)
    return Error::shape_mismatch(name, to_string(tensor.shape()), sizes);
  if (!tensor.is_contiguous())
    return Error::invalid_argument(name, "a strided view", "contiguous");
  if (tensor.element_count() > std::numeric_limits<int>::max() && rank < 4)
    return Error::shape_mismatch(name, to_string(tensor.shape()), "fewer than 2^31 elements");
  return {};
}

} // namespace

Result<PagedKeyValue> PagedKeyValue::open(DataType dtype, int64_t width, DeviceLocation device) {
  if (width < 1 || width > 65536)
    return Error::invalid_argument("width", std::to_string(width), "from 1 to 65536");
  PagedKeyValue paged;
  paged.dtype_ = dtype;
  paged.width_ = width;
  const int64_t row_bytes = width * static_cast<int64_t>(size_in_bytes(dtype));
  const Word *word = kWords;
  while (row_bytes % word->bytes != 0)
    ++word;
  paged.word_bytes_ = word->bytes;
  const std::string instance = std::string("<") + word->type + ">";
  TENON_ASSIGN_OR_RETURN(paged.append_,
                         cuda_kernel(kSource, "append_rows" + instance, {.device = device}));
  TENON_ASSIGN_OR_RETURN(paged.gather_,
                         cuda_kernel(kSource, "gather_rows" + instance, {.device = device}));
  return paged;
}

Status PagedKeyValue::launch(const CudaKernel &kernel, const Tensor &first, const Tensor &second,
                             const Tensor &rows, const Tensor &pages, const Tensor &table,
                             const Tensor &counts, const char *counts_name,
                             StreamHandle stream) const {
  TENON_TRY(check("rows", rows, dtype_, 4, "[sequences, heads, rows, width]"));
  TENON_TRY(check("pages", pages, dtype_, 4, "[page, heads, rows of a page, width]"));
  TENON_TRY(check("table", table, DataType::kInt32, 2, "[sequences, blocks]"));
  TENON_TRY(check(counts_name, counts, DataType::kInt32, 1, "[sequences]"));
  const int64_t sequences = rows.size(0), heads = rows.size(1);
  if (rows.size(3) != width_)
    return Error::shape_mismatch("rows", to_string(rows.shape()),
                                 "rows of " + std::to_string(width_));
  if (pages.size(1) != heads || pages.size(3) != width_ || pages.size(2) < 1)
    return Error::shape_mismatch("pages", to_string(pages.shape()),
                                 "the heads and width of rows " + to_string(rows.shape()));
  if (table.size(0) != sequences)
    return Error::shape_mismatch("table", to_string(table.shape()),
                                 "a line for each of " + std::to_string(sequences) + " sequences");
  if (counts.size(0) != sequences)
    return Error::shape_mismatch(counts_name, to_string(counts.shape()),
                                 "one for each of " + std::to_string(sequences) + " sequences");
  const int64_t words = width_ * static_cast<int64_t>(size_in_bytes(dtype_)) / word_bytes_;
  const int64_t blocks = (rows.size(2) * words + kThreads - 1) / kThreads;
  if (heads > kMostGridYz || sequences > kMostGridYz ||
      rows.size(2) * words > std::numeric_limits<int>::max() - int64_t{kThreads})
    return Error::shape_mismatch(
        "rows", to_string(rows.shape()),
        "at most 65535 sequences and heads, and fewer than 2^31 words a head");
  if (blocks * heads * sequences == 0)
    return {};
  const PageLayout layout = {int(heads), int(rows.size(2)),  int(pages.size(2)),
                             int(words), int(table.size(1)), int(pages.size(0))};
  return kernel.launch({.blocks = {unsigned(blocks), unsigned(heads), unsigned(sequences)},
                        .threads = {kThreads},
                        .stream = stream},
                       {first, second, table, counts, CudaArgument::of(layout)});
}

Status PagedKeyValue::append(const Tensor &pages, const Tensor &rows, const Tensor &table,
                             const Tensor &positions, StreamHandle stream) const {
  return launch(append_, pages, rows, rows, pages, table, positions, "positions", stream);
}
Status PagedKeyValue::gather(const Tensor &rows, const Tensor &pages, const Tensor &table,
                             const Tensor &lengths, StreamHandle stream) const {
  return launch(gather_, rows, pages, rows, pages, table, lengths, "lengths", stream);
}

} // namespace tenon
