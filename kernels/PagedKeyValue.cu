// Rows of keys or values to and from pages. Lengths and pages are data, nothing is computed: no work for the tile IR.
//
//     pages [page, head, row of the page, width], table [sequence, block]: row r of sequence s lies in
//     page table[s, r / page_rows], at r mod page_rows.
//
// Compiled by NVRTC as append_rows<Word> and gather_rows<Word>, where Word is the largest of 1, 2, 4, 8 and 16 bytes that
// divides a row, so that neighbouring threads move neighbouring words. A grid is (words of a head's rows / 256, heads,
// sequences).

struct Layout {
  int heads, rows, page_rows, words; // words of one row
  int table_blocks;                  // of a sequence in the table
  int page_count;
};

/// The word of `pages` for a row of a sequence, or a negative number where the table leads nowhere.
__device__ long long place(const Layout &layout, const int *table, int sequence, int head, int row, int word) {
  int block = row / layout.page_rows;
  if (row < 0 || block >= layout.table_blocks)
    return -1;
  int page = table[sequence * layout.table_blocks + block];
  if (page < 0 || page >= layout.page_count)
    return -1;
  long long first = ((long long)page * layout.heads + head) * layout.page_rows + row % layout.page_rows;
  return first * layout.words + word;
}

/// pages[row positions[s] + i of sequence s] = rows[s, head, i]
template <class Word>
__global__ void append_rows(Word *pages, const Word *rows, const int *table, const int *positions, Layout layout) {
  int head = blockIdx.y, sequence = blockIdx.z;
  int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / layout.words, word = at % layout.words;
  if (row >= layout.rows)
    return;
  long long target = place(layout, table, sequence, head, positions[sequence] + row, word);
  if (target >= 0)
    pages[target] = rows[((long long)(sequence * layout.heads + head) * layout.rows + row) * layout.words + word];
}

/// rows[s, head, i] = pages[row i of sequence s], and zero from lengths[s] on
template <class Word>
__global__ void gather_rows(Word *rows, const Word *pages, const int *table, const int *lengths, Layout layout) {
  int head = blockIdx.y, sequence = blockIdx.z;
  int at = blockIdx.x * blockDim.x + threadIdx.x, row = at / layout.words, word = at % layout.words;
  if (row >= layout.rows)
    return;
  long long source = row < lengths[sequence] ? place(layout, table, sequence, head, row, word) : -1;
  Word value{};
  if (source >= 0)
    value = pages[source];
  rows[((long long)(sequence * layout.heads + head) * layout.rows + row) * layout.words + word] = value;
}
