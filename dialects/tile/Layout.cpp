#include "dialects/tile/Layout.h"

#include <algorithm>
#include <cassert>

using namespace tenon::tile;

static int bitsFor(int count) { return std::bit_width(static_cast<unsigned>(count - 1)); }

static Element image(const std::vector<Element> &bases, int number) {
  Element sum;
  for (size_t bit = 0; bit < bases.size(); ++bit)
    if (number >> bit & 1)
      sum = sum ^ bases[bit];
  return sum;
}

Layout Layout::accumulator(int rows, int columns, int warps) {
  assert(rows % (16 * warps) == 0 && std::has_single_bit(unsigned(rows)) && columns % 8 == 0);
  Layout layout;
  int rowsOfWarp = rows / warps;
  layout.registerBases_ = {{0, 1}, {8, 0}};
  for (int row = 16; row < rowsOfWarp; row *= 2)
    layout.registerBases_.push_back({row, 0});
  for (int bit = 0; bit < bitsFor(columns / 8); ++bit)
    layout.registerBases_.push_back({0, 8 << bit});
  layout.laneBases_ = {{0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
  for (int row = rowsOfWarp; row < rows; row *= 2)
    layout.warpBases_.push_back({row, 0});
  layout.registers_ = rowsOfWarp / 8 * (columns / 8) * 2;
  return layout;
}

Layout Layout::rightOperand(int inner, int columns) {
  assert(inner % 16 == 0 && columns % 8 == 0);
  Layout layout;
  layout.registerBases_ = {{1, 0}, {8, 0}};
  for (int bit = 0; bit < bitsFor(columns / 8); ++bit)
    layout.registerBases_.push_back({0, 8 << bit});
  assert(std::has_single_bit(unsigned(columns)) || inner == 16);
  for (int bit = 0; bit < bitsFor(inner / 16); ++bit)
    layout.registerBases_.push_back({16 << bit, 0});
  layout.laneBases_ = {{2, 0}, {4, 0}, {0, 1}, {0, 2}, {0, 4}};
  layout.registers_ = inner / 16 * (columns / 8) * 4;
  return layout;
}

Layout Layout::rows(int rows, int warps) {
  Layout matrix = accumulator(rows, 8, warps), layout;
  layout.registerBases_.assign(matrix.registerBases_.begin() + 1, matrix.registerBases_.end());
  layout.laneBases_ = {{0, 0}, {0, 0}, {1, 0}, {2, 0}, {4, 0}};
  layout.warpBases_ = matrix.warpBases_;
  layout.registers_ = matrix.registers_ / 2;
  return layout;
}

Element Layout::element(Place place) const {
  return image(registerBases_, place.registerIndex) ^ image(laneBases_, place.lane) ^
         image(warpBases_, place.warp);
}

std::optional<Place> Layout::find(Element element) const {
  Place place;
  // Each bit of an element belongs to one basis, so that bits can be taken off in any order.
  auto take = [&](const std::vector<Element> &bases, int &number) {
    for (size_t bit = 0; bit < bases.size(); ++bit) {
      Element basis = bases[bit];
      bool holds = basis != Element{} && (element.row & basis.row) == basis.row &&
                   (element.column & basis.column) == basis.column;
      if (holds) {
        number |= 1 << bit;
        element = element ^ basis;
      }
    }
  };
  take(registerBases_, place.registerIndex);
  take(laneBases_, place.lane);
  take(warpBases_, place.warp);
  if (element != Element{} || place.registerIndex >= registers_)
    return std::nullopt;
  return place;
}

Layout Layout::transposed() const {
  Layout result = *this;
  for (std::vector<Element> *bases :
       {&result.registerBases_, &result.laneBases_, &result.warpBases_})
    for (Element &basis : *bases)
      basis = basis.transposed();
  return result;
}

SharedRows SharedRows::swizzled(int64_t bytes) {
  assert(bytes % (2 * kChunk) == 0);
  const int even = std::countr_zero(static_cast<uint64_t>(bytes / kChunk));
  return {bytes, std::min(even, std::countr_zero(static_cast<uint64_t>(kChunks)))};
}

Element Layout::MatrixAddresses::of(int lane) const {
  return image({bases, bases + kLaneBits}, lane);
}

std::optional<Layout::MatrixAddresses> Layout::matrixAddresses() const {
  if (registerBases_.size() < 3)
    return std::nullopt;
  const std::vector<Element> within = {{0, 1}, {0, 2}, {0, 4}, {1, 0}, {2, 0}, {4, 0}};
  for (bool transpose : {false, true}) {
    auto matches = [&](Element mine, Element matrix) {
      return mine == (transpose ? matrix.transposed() : matrix);
    };
    bool all = matches(registerBases_[0], within[0]);
    for (int bit = 0; bit < kLaneBits; ++bit)
      all &= matches(laneBases_[bit], within[bit + 1]);
    if (all)
      return MatrixAddresses{{{1, 0}, {2, 0}, {4, 0}, registerBases_[1], registerBases_[2]}, transpose};
  }
  return std::nullopt;
}
