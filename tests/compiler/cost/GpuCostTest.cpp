/// The cost model of GPU tiles: what it chooses where hand-written kernels say what is best, and that there is
/// always a tile.
#include "compiler/attention/GpuCost.h"

#include <gmock/gmock.h>

using namespace tenon;
using testing::HasSubstr;

namespace {

constexpr int64_t kMostQueries = 128;

GpuChoice choose(const char *target, const GpuWork &work, const GivenTile &given = {}, int64_t mostQueries = kMostQueries) {
  std::string why;
  std::optional<GpuChoice> choice = cheapestTile(*findGpuFigures(target), work, given, mostQueries, why);
  EXPECT_TRUE(choice) << target << ", width " << work.width << ": " << why;
  return choice.value_or(GpuChoice{});
}

// The fastest kernels written by hand for these widths have 128 x 64 tiles and 4 warps of 32 rows.
TEST(GpuCost, ChoosesWhatIsBestByHandOnSm80) {
  GpuTile narrow = choose("sm_80", {64, 64, 2}).tile, wide = choose("sm_80", {128, 128, 2}).tile;
  EXPECT_EQ(narrow.queries, 128);
  EXPECT_EQ(narrow.keys, 64);
  EXPECT_EQ(narrow.warps(), 4);
  EXPECT_EQ(narrow.stages, 2);
  EXPECT_EQ(wide.queries, 128);
  EXPECT_EQ(wide.keys, 32); // 64 leave too few registers to what Tenon generates
  EXPECT_EQ(wide.warps(), 4);
  EXPECT_EQ(wide.stages, 2);
  GpuTile lazy = choose("sm_80", {.width = 128, .valueWidth = 128, .elementBytes = 2, .laneMaxima = true}).tile;
  EXPECT_EQ(lazy.queries, 128);
  EXPECT_EQ(lazy.keys, 48);
  EXPECT_EQ(lazy.warps(), 4);
  EXPECT_EQ(lazy.stages, 1); // two blocks on a multiprocessor
}

// Measured by the SASS of masks (compiler/gpu/README.md): wider heads have no registers for a second fragment of rows.
TEST(GpuCost, NarrowHeadsWithAMaskHaveTwoFragmentsOfRows) {
  for (const char *target : {"sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"}) {
    GpuTile narrow = choose(target, {.width = 32, .valueWidth = 32, .elementBytes = 2, .tables = 1}).tile;
    EXPECT_EQ(narrow.rowsOfWarp, 32) << target;
    EXPECT_EQ(narrow.keys, 48) << target;
    EXPECT_EQ(choose(target, {.width = 64, .valueWidth = 64, .elementBytes = 2, .tables = 1}).tile.rowsOfWarp, 16);
    EXPECT_EQ(choose(target, {.width = 32, .valueWidth = 64, .elementBytes = 2, .tables = 1}).tile.rowsOfWarp, 16);
    EXPECT_EQ(choose(target, {.width = 32, .valueWidth = 32, .elementBytes = 2, .tables = 2}).tile.rowsOfWarp, 16);
    EXPECT_EQ(choose(target, {.width = 32, .valueWidth = 32, .elementBytes = 4, .tf32 = true, .tables = 1}).tile.rowsOfWarp, 16);
  }
}

// With 64 keys ptxas 13.0 spills 12 to 80 bytes from width 64 on (tests/benchmarks/spills).
TEST(GpuCost, ManyTablesHaveFewKeys) {
  for (const char *target : {"sm_80", "sm_90", "sm_120"}) {
    EXPECT_LE(choose(target, {.width = 128, .valueWidth = 128, .elementBytes = 2, .tables = 2}).tile.keys, 32) << target;
    EXPECT_LE(choose(target, {.width = 64, .valueWidth = 64, .elementBytes = 2, .tables = 3}).tile.keys, 32) << target;
    EXPECT_EQ(choose(target, {.width = 64, .valueWidth = 64, .elementBytes = 2, .tables = 2}).tile.keys, 64) << target;
  }
}

TEST(GpuCost, AlwaysFindsATileUpToWidth256) {
  for (const char *target : {"sm_80", "sm_86", "sm_87", "sm_89", "sm_90", "sm_100", "sm_103", "sm_120", "sm_90a"})
    for (int64_t width = 16; width <= 256; width += 16)
      for (int64_t bytes : {2, 4})
        for (bool dropout : {false, true}) {
          GpuChoice choice = choose(target, {width, width, bytes, /*tf32=*/false, dropout});
          EXPECT_LE(choice.cost.sharedBytes, findGpuFigures(target)->sharedBytesOfBlock);
          EXPECT_GE(choice.cost.blocks, 1);
          EXPECT_TRUE(!dropout || choice.tile.keys % 32 == 0);
        }
}

TEST(GpuCost, FewQueriesTakeOneWarp) {
  GpuTile tile = choose("sm_80", {128, 128, 2}, {}, 16).tile;
  EXPECT_EQ(tile.queries, 16);
  EXPECT_EQ(tile.warps(), 1);
}

// Measured on an H200: 32 heads on 8, 8,192 keys, width 128. One stage of 16 keys took 26 us, of these 16.
TEST(GpuCost, FewQueriesHaveTheirKeysUnderWayAhead) {
  GpuWork work{.width = 128, .valueWidth = 128, .elementBytes = 2, .fewBlocks = true, .laneMaxima = true};
  for (const char *target : {"sm_80", "sm_90"}) {
    GpuTile tile = choose(target, work, {}, 16).tile;
    EXPECT_GT(tile.stages, 1);
    EXPECT_GE(tile.keys * (tile.stages - 1), 48);
  }
  EXPECT_EQ(choose("sm_90", work, {.keys = 16, .stages = 4}, 16).tile.stages, 4);
}

TEST(GpuCost, KeepsWhatIsGiven) {
  GpuTile tile = choose("sm_90", {64, 64, 2}, {.queries = 64, .keys = 48, .stages = 1, .warps = 4}).tile;
  EXPECT_EQ(tile.queries, 64);
  EXPECT_EQ(tile.keys, 48);
  EXPECT_EQ(tile.stages, 1);
  EXPECT_EQ(tile.rowsOfWarp, 16);
}

TEST(GpuCost, SaysWhatATileLacks) {
  std::string why;
  EXPECT_FALSE(cheapestTile(*findGpuFigures("sm_86"), {256, 256, 4}, {.queries = 128, .keys = 128}, kMostQueries, why));
  EXPECT_THAT(why, HasSubstr("128 queries and 128 keys need"));
  EXPECT_THAT(why, HasSubstr("bytes of shared memory, a block of sm_86 has 101376"));
}

TEST(GpuCost, SaysThatWarpsDoNotFitATile) {
  std::string why;
  EXPECT_FALSE(cheapestTile(*findGpuFigures("sm_80"), {64, 64, 2}, {.queries = 64, .warps = 3}, kMostQueries, why));
  EXPECT_THAT(why, HasSubstr("no tile of 64 queries and 0 keys has 3 warps"));
}

TEST(GpuCost, ExplainsItself) {
  std::string text = choose("sm_80", {128, 128, 2}).explanation;
  for (const char *part : {"4 warps of 32 queries, 32 keys in 2 stages", "most by tensor cores",
                           "of 166912 bytes of shared memory", "registers a thread", "next best: "})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(GpuCost, WideRowsOf16AreBoundBySharedMemory) {
  GpuCost two = costOf(*findGpuFigures("sm_80"), {128, 128, 2}, {128, 32, 64, 1});
  GpuCost one = costOf(*findGpuFigures("sm_80"), {128, 128, 2}, {64, 16, 64, 1});
  EXPECT_EQ(two.limit, "tensor cores");
  EXPECT_EQ(one.limit, "shared memory");
  EXPECT_LT(two.cycles, one.cycles);
}

} // namespace
