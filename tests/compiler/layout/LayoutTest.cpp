/// Layouts against the formulas of the PTX ISA 9.0, section 9.7.15.5.8 ("Matrix fragments for mma.m16n8k16")
/// and 9.7.15.5.15 (ldmatrix), for every register of every lane.
#include "dialects/tile/Layout.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

using namespace tenon::tile;

namespace {

std::pair<int, int> key(Element element) { return {element.row, element.column}; }

Element accumulatorByIsa(int i, int lane) {
  int group = lane >> 2, thread = lane % 4;
  return {i < 2 ? group : group + 8, thread * 2 + (i & 1)};
}

Element leftOperandByIsa(int i, int lane) {
  int group = lane >> 2, thread = lane % 4;
  bool upper = (0 <= i && i < 2) || (4 <= i && i < 6);
  return {upper ? group : group + 8, thread * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
}

Element rightOperandByIsa(int i, int lane) {
  int group = lane >> 2, thread = lane % 4;
  return {thread * 2 + (i & 1) + (i >= 2 ? 8 : 0), group};
}

/// What ldmatrix.x4 gives lane `lane` in half `half` of register `matrix`: lane 8m + i of `address` points at
/// row i of matrix m, and 8 elements lie there.
Element loadMatrix(const Layout::MatrixAddresses &addresses, int matrix, int lane, int half) {
  int row = lane / 4, column = 2 * (lane % 4) + half;
  if (addresses.transpose)
    std::swap(row, column);
  Element start = addresses.of(8 * matrix + row);
  return {start.row, start.column + column};
}

TEST(Layout, AccumulatorOfOneFragmentIsThatOfTheIsa) {
  Layout layout = Layout::accumulator(16, 8, 1);
  ASSERT_EQ(layout.registers(), 4);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(layout.element({i, lane, 0}), accumulatorByIsa(i, lane)) << lane << " c" << i;
}

TEST(Layout, AccumulatorsOfSixteenColumnsAreALeftOperand) {
  Layout layout = Layout::accumulator(16, 16, 1);
  ASSERT_EQ(layout.registers(), 8);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 8; ++i)
      EXPECT_EQ(layout.element({i, lane, 0}), leftOperandByIsa(i, lane)) << lane << " a" << i;
}

TEST(Layout, RightOperandIsThatOfTheIsa) {
  Layout layout = Layout::rightOperand(16, 8);
  ASSERT_EQ(layout.registers(), 4);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i)
      EXPECT_EQ(layout.element({i, lane, 0}), rightOperandByIsa(i, lane)) << lane << " b" << i;
}

using Shape = std::tuple<int, int, int>; // rows of a warp, columns, warps
class AccumulatorOf : public testing::TestWithParam<Shape> {};

TEST_P(AccumulatorOf, HoldsEveryElementOnce) {
  auto [rowsOfWarp, columns, warps] = GetParam();
  int rows = rowsOfWarp * warps;
  Layout layout = Layout::accumulator(rows, columns, warps);
  EXPECT_EQ(layout.registers() * 32 * warps, rows * columns);
  EXPECT_EQ(layout.warps(), warps);
  std::map<std::pair<int, int>, Place> held;
  for (int warp = 0; warp < warps; ++warp)
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < layout.registers(); ++i) {
        Element element = layout.element({i, lane, warp});
        EXPECT_TRUE(held.emplace(key(element), Place{i, lane, warp}).second);
        EXPECT_EQ(element.row / rowsOfWarp, warp) << "rows are dealt in runs";
        EXPECT_EQ(layout.find(element), (Place{i, lane, warp}));
        // Every fragment of 16 x 8 is the one of the ISA.
        Element corner{element.row & ~15, element.column & ~7};
        EXPECT_EQ((Element{element.row - corner.row, element.column - corner.column}),
                  accumulatorByIsa(layout.find(element)->registerIndex % 4, lane));
      }
  EXPECT_EQ(held.size(), size_t(rows) * columns);
  EXPECT_FALSE(layout.find({0, columns}));
  EXPECT_FALSE(layout.find({rows, 0}));
}

TEST_P(AccumulatorOf, RowsAreOneElementARowInFourLanes) {
  auto [rowsOfWarp, columns, warps] = GetParam();
  Layout matrix = Layout::accumulator(rowsOfWarp * warps, columns, warps);
  Layout rows = Layout::rows(rowsOfWarp * warps, warps);
  EXPECT_EQ(rows.registers(), rowsOfWarp / 8);
  std::map<int, int> copies;
  for (int warp = 0; warp < warps; ++warp)
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < rows.registers(); ++i) {
        Element element = rows.element({i, lane, warp});
        EXPECT_EQ(element.column, 0);
        ++copies[element.row];
      }
      // Whoever holds an element of a row holds the row's own.
      for (int i = 0; i < matrix.registers(); ++i) {
        int inThread = matrix.element({i, 0, 0}).row;
        int index = rows.find({inThread, 0})->registerIndex;
        EXPECT_EQ(rows.element({index, lane, warp}).row, matrix.element({i, lane, warp}).row);
      }
    }
  EXPECT_EQ(copies.size(), size_t(rowsOfWarp) * warps);
  for (auto [row, count] : copies)
    EXPECT_EQ(count, 4) << row;
}

INSTANTIATE_TEST_SUITE_P(Shapes, AccumulatorOf,
                         testing::Combine(testing::Values(16, 32, 64),
                                          testing::Values(8, 16, 32, 48, 64, 80, 96, 128, 192, 256),
                                          testing::Values(1, 2, 4, 8)));

/// In a group of eight registers ldmatrix.x4 must deliver what the layout says of them.
void expectLoadable(const Layout &inMemory, bool transpose) {
  auto addresses = inMemory.matrixAddresses();
  ASSERT_TRUE(addresses);
  EXPECT_EQ(addresses->transpose, transpose);
  for (int group = 0; group < inMemory.registers() / 8; ++group) {
    Element first = inMemory.element({8 * group, 0, 0});
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 8; ++i)
        EXPECT_EQ(first ^ loadMatrix(*addresses, i / 2, lane, i % 2),
                  inMemory.element({8 * group + i, lane, 0}))
            << "group " << group << " lane " << lane << " register " << i;
  }
}

TEST(LoadMatrix, QueriesAsLeftOperand) {
  for (int columns : {16, 32, 64, 96, 128, 256}) {
    expectLoadable(Layout::accumulator(16, columns, 1), false);
    expectLoadable(Layout::accumulator(32, columns, 1), false);
  }
}

TEST(LoadMatrix, KeysLieTransposedAndNeedNoTransposition) {
  for (int columns : {16, 32, 64, 128})
    expectLoadable(Layout::rightOperand(16, columns).transposed(), false);
}

TEST(LoadMatrix, ValuesNeedTransposition) {
  for (int columns : {16, 32, 48, 64, 96, 128, 256})
    expectLoadable(Layout::rightOperand(16, columns), true);
}

TEST(LoadMatrix, RowsAreNotOfItsForm) {
  EXPECT_FALSE(Layout::rows(64, 4).matrixAddresses());
}

//===-- Rows in shared memory ------------------------------------------------------------------===//

constexpr int64_t kEighths = SharedRows::kChunks, kChunk = SharedRows::kChunk;

/// Which eighth of a line of shared memory a byte lies in.
int64_t eighth(int64_t offset) { return offset / kChunk % kEighths; }

std::vector<SharedRows> waysFor(int64_t bytes) { return {SharedRows::padded(bytes), SharedRows::swizzled(bytes)}; }

TEST(SharedRows, SwizzledOnesLoseNoByte) {
  for (int64_t bytes = 32; bytes <= 1024; bytes += 32) {
    SharedRows rows = SharedRows::swizzled(bytes);
    std::map<int64_t, int> held;
    for (int64_t row = 0; row < 16; ++row)
      for (int64_t byte = 0; byte < bytes; ++byte)
        ++held[rows.offset(row, byte)];
    EXPECT_EQ(held.size(), static_cast<size_t>(16 * bytes)) << bytes;
    EXPECT_EQ(held.rbegin()->first, 16 * bytes - 1) << bytes;
  }
}

TEST(SharedRows, AColumnOfEightRowsLiesInAllBanks) {
  for (int64_t bytes = 32; bytes <= 1024; bytes += 32)
    for (const SharedRows &rows : waysFor(bytes))
      for (int64_t first = 0; first < 32; first += 8)
        for (int64_t byte = 0; byte < bytes; byte += kChunk) {
          std::map<int64_t, int> taken;
          for (int64_t row = first; row < first + 8; ++row)
            ++taken[eighth(rows.offset(row, byte))];
          EXPECT_EQ(taken.size(), 8u) << bytes << " bytes, chunk " << byte / kChunk;
        }
}

TEST(SharedRows, EightWritersSideBySideOrBelowWriteToAllBanks) {
  for (int64_t bytes = 32; bytes <= 1024; bytes += 32) {
    int64_t chunks = bytes / kChunk, most = std::min<int64_t>(chunks & -chunks, 8);
    for (int64_t across : {std::min<int64_t>(most, 4), most})
      for (const SharedRows &rows : waysFor(bytes))
        for (int64_t j = 0; j < chunks; j += across) {
          std::map<int64_t, int> taken;
          for (int64_t lane = 0; lane < 8; ++lane)
            ++taken[eighth(rows.offset(lane / across * rows.stepOfWriters(across), (j + lane % across) * kChunk))];
          EXPECT_EQ(taken.size(), 8u) << bytes << " bytes, " << across << " chunks side by side";
        }
  }
}

/// A lane's row and bytes, and those that a register adds.
TEST(SharedRows, WhatIsAddedIsAConstantBesideToggledBits) {
  for (int64_t bytes : {32, 64, 96, 128, 160, 192, 256, 512})
    for (const SharedRows &rows : waysFor(bytes))
      for (int64_t row = 0; row < 8; ++row)
        for (int64_t further = 0; further < 32; further += 8)
          for (int64_t byte : {0, 4, 16, 20})
            for (int64_t right = 0; right + 32 <= bytes; right += 32)
              EXPECT_EQ(rows.offset(row + further, byte + right),
                        (rows.offset(row, byte) ^ rows.toggled(further, right)) + rows.added(further, right));
}

} // namespace
