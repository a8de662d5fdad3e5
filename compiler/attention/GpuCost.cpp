#include "compiler/attention/GpuCost.h"

#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

using namespace tenon;

namespace {

constexpr int64_t kLanes = 32, kRowsOfFragment = 16;
constexpr int64_t kRowPadding = 16;        // bytes, where rows are padded: Tile.td
constexpr int64_t kReserved = 1024;        // bytes of shared memory that the system takes of each block
constexpr int64_t kRegistersOfAll = 60;    // addresses, bounds, rows' maxima and sums, operands under way
constexpr int64_t kRegistersOfWarpUnit = 256, kRegisterUnit = 8; // that are handed out at once
constexpr int64_t kMostColumnsOfSums = 96;   // of a product in float32: 48 registers; with 128, width 256 spilled
constexpr double kSoftmaxInstructions = 2.5; // FFMA, ex2, half a conversion
constexpr double kDropoutInstructions = 6;   // draws of Philox and decisions, a score
constexpr double kTableInstructions = 4;     // address, guard and load of an element
constexpr int64_t kWidestQueryInRegisters = 128; // StageSharedMemory: beyond it the query is read from shared memory
constexpr double kScores = 1024;
constexpr double kWarpsThatHide = 2; // of a scheduler: while one waits for a product, another computes
constexpr int64_t kBlocksOfFew = 2;    // on a multiprocessor, where queries are few: a short batch fills no more
constexpr double kMemoryLatency = 900; // cycles; keys that few queries read come from memory
constexpr double kTurnCycles = 150;  // barriers, and pipelines that fill again: a mma takes 33 cycles, ex2 some 20

bool onTensorCores(const GpuWork &work) { return work.elementBytes == 2 || work.tf32; }

int64_t roundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Output, scores and query of the rows of a warp, dealt to its lanes.
int64_t registersOf(const GpuWork &work, const GpuTile &tile) {
  int64_t tables = work.tables != 0 ? tile.keys / 2 : 0; // half a tile's elements are under way
  // An expression is lowered operation by operation, each for all elements of a lane. Probabilities take the places of
  // the scores; by FFMA they are in shared memory, and sums take these places.
  int64_t scores = tile.keys * (1 + work.scoreValues) + tables;
  int64_t sums = onTensorCores(work) ? 0 : work.valueWidth / groupsOfFloat32(work.valueWidth);
  int64_t perRow = work.valueWidth + std::max(scores, sums);
  if (work.elementBytes == 2 && tile.rowsOfWarp / kRowsOfFragment * work.width <= kWidestQueryInRegisters)
    perRow += work.width / 2;
  return tile.rowsOfWarp * perRow / kLanes + kRegistersOfAll + work.loopValues;
}

int64_t blocksOn(const GpuFigures &figures, const GpuTile &tile, const GpuCost &cost) {
  int64_t ofWarp = roundUp(roundUp(cost.registers, kRegisterUnit) * kLanes, kRegistersOfWarpUnit);
  return std::min({figures.sharedBytesOfAll / (cost.sharedBytes + kReserved),
                   figures.registers / (ofWarp * tile.warps()), figures.warps / tile.warps()});
}

double instructionsOf(const GpuWork &work, const GpuTile &tile) {
  double widths = double(work.width + work.valueWidth), rows = double(tile.rowsOfWarp);
  double products = onTensorCores(work) ? widths / (work.elementBytes == 2 ? 64 : 32) : widths * 1.5;
  return products + kSoftmaxInstructions + widths * double(work.elementBytes) / (16 * rows) +
         widths * double(work.elementBytes) / (16 * double(tile.queries)) + 32 / double(tile.keys) +
         448 / (rows * double(tile.keys)) + (work.dropout ? kDropoutInstructions : 0) +
         kTableInstructions * double(work.tables) + double(work.scoreOperations);
}

} // namespace

int64_t tenon::groupsOfFloat32(int64_t columns) {
  return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>((columns - 1) / kMostColumnsOfSums + 1)));
}

int64_t tenon::sharedBytesOf(const GpuWork &work, const GpuTile &tile) {
  auto bytes = [&](int64_t rows, int64_t columns) {
    return rows * (columns * work.elementBytes + (work.padded ? kRowPadding : 0));
  };
  int64_t probabilities = onTensorCores(work) ? 0 : bytes(tile.queries, tile.keys);
  return bytes(tile.queries, work.width) + probabilities +
         tile.stages * (bytes(tile.keys, work.width) + bytes(tile.keys, work.valueWidth));
}

GpuCost tenon::costOf(const GpuFigures &figures, const GpuWork &work, const GpuTile &tile) {
  GpuCost cost{sharedBytesOf(work, tile), registersOf(work, tile), 0, 0, {}};
  if (cost.sharedBytes > figures.sharedBytesOfBlock || cost.registers > figures.registersOfThread) {
    cost.limit = cost.sharedBytes > figures.sharedBytesOfBlock
                     ? std::string(llvm::formatv("{0} bytes of shared memory, a block of {1} has {2}", cost.sharedBytes,
                                     figures.name, figures.sharedBytesOfBlock))
                     : std::string(llvm::formatv("some {0} registers a thread, there are {1}", cost.registers,
                                     figures.registersOfThread));
    return cost;
  }
  cost.blocks = std::max<int64_t>(blocksOn(figures, tile, cost), 1);
  if (work.fewBlocks)
    cost.blocks = std::min(cost.blocks, kBlocksOfFew);

  double widths = double(work.width + work.valueWidth), bytes = widths * double(work.elementBytes);
  double products = work.elementBytes == 2 ? figures.half : work.tf32 ? figures.tf32 : figures.float32;
  // By FFMA an element of the right operand serves the rows of a lane, and one of the left its columns.
  double read = onTensorCores(work) ? bytes / double(tile.rowsOfWarp) : bytes / 4;
  const std::pair<const char *, double> units[] = {
      {onTensorCores(work) ? "tensor cores" : "multiply-adds", widths / products},
      {"exponentials", 1 / figures.special},
      {"shared memory", (read + bytes / double(tile.queries)) / figures.sharedBytes},
      {"the second-level cache", bytes / double(tile.queries) / figures.secondLevelBytes},
      {"instructions", instructionsOf(work, tile) / figures.instructions}};
  double sum = 0, longest = 0;
  for (const auto &[name, cycles] : units) {
    sum += cycles;
    if (cycles > longest) {
      longest = cycles;
      cost.limit = name;
    }
  }
  double warpsOfScheduler = std::min(double(cost.blocks * tile.warps()) / 4, kWarpsThatHide);
  double perScore = longest + (sum - longest) / (1 + warpsOfScheduler);
  // What a turn of the loop waits: for a copy, as far as other blocks, or with further stages its own work, do not
  // hide its latency, and for the warps of the block to meet.
  double scores = double(tile.queries * tile.keys), turn = perScore * scores;
  double hidden = turn * double(cost.blocks + tile.stages - 2);
  double latency = work.fewBlocks ? kMemoryLatency : figures.secondLevelLatency;
  double waits = std::max(0.0, latency - hidden) + kTurnCycles;
  cost.cycles = kScores * (perScore + waits / scores / double(cost.blocks));
  return cost;
}

namespace {

constexpr std::array<int64_t, 4> kQueries = {128, 64, 32, 16};
constexpr std::array<int64_t, 2> kRowsOfWarp = {32, 16};
constexpr int64_t kMostWarps = 4; // more meet at each barrier, and read keys and values for fewer rows each
constexpr std::array<int64_t, 4> kKeys = {64, 48, 32, 16}; // scores of more leave no registers to spare
constexpr std::array<int64_t, kMostStages> kStages = {2, 1, 3, 4};
// Other blocks hide what more would. Beside wide outputs, with lane maxima, the addresses of a second stage cost eight
// instructions a turn.
constexpr int64_t kStagesOfMany = 2;
// With 32 rows a warp ptxas 13.0 spills beyond.
constexpr int64_t kWidestOfTwoInTf32 = 96, kCrowdedWidth = 64, kKeysBesideWide = 32;
constexpr int64_t kWidestBesideTables = 32, kKeysBesideTables = 48; // and one element a score
// Tables whose addresses and elements are under way at once; beyond kCrowdedWidth one fewer.
constexpr int64_t kManyTables = 3, kKeysBesideManyTables = 32;
constexpr int64_t kCrowdedWithLaneMaxima = 96, kKeysWithLaneMaxima = 48;
constexpr int64_t kDropoutKeys = 32; // that share draws of Philox: Dropout.h

// Calls `visit` for each tile that the code can be made for, and that agrees with what was given.
template <typename Visit>
void forEachTile(const GpuFigures &figures, const GpuWork &work, const GivenTile &given, int64_t mostQueries, Visit visit) {
  for (int64_t queries : kQueries)
    for (int64_t rows : kRowsOfWarp)
      for (int64_t keys : kKeys)
        for (int64_t stages : kStages) {
          GpuTile tile{given.queries ? given.queries : std::min(queries, mostQueries), rows,
                       given.keys ? given.keys : keys, given.stages ? given.stages : stages};
          int64_t width = std::max(work.width, work.valueWidth);
          bool wideLanes = work.laneMaxima && width > kCrowdedWithLaneMaxima;
          bool possible = tile.queries % rows == 0 && (rows == kRowsOfFragment || onTensorCores(work)) &&
                          (!work.dropout || tile.keys % kDropoutKeys == 0) &&
                          (given.keys || work.tables < kManyTables - (width > kCrowdedWidth) ||
                           tile.keys <= kKeysBesideManyTables) &&
                          (given.stages || work.fewBlocks || tile.stages <= (wideLanes ? 1 : kStagesOfMany));
          // Copies by elements, long scores, and wide outputs, less wide beside tables, need the registers of a second
          // fragment of rows.
          bool drops = !work.dropout || (figures.twoFragmentsDrop && tile.stages == 1);
          bool tablesFit = work.tables == 1 && work.elementBytes == 2 && !work.dropout && !work.fewBlocks && width <= kWidestBesideTables &&
                           tile.keys <= kKeysBesideTables;
          bool plain = (work.tables == 0 || tablesFit) && work.scoreOperations == 0 && drops && !work.strided;
          int64_t widest = work.tf32 ? kWidestOfTwoInTf32 : figures.widestOfTwoFragments;
          bool crowded = work.laneMaxima ? wideLanes && tile.keys > kKeysWithLaneMaxima
                                         : width > kCrowdedWidth && tile.keys > kKeysBesideWide;
          bool roomy = rows == kRowsOfFragment || (plain && width <= widest && !crowded);
          bool few = given.queries != 0 || tile.warps() <= kMostWarps;
          if (possible && (given.warps ? tile.warps() == given.warps : roomy && few))
            visit(tile);
        }
}

std::string described(const GpuTile &tile, const GpuCost &cost) {
  return llvm::formatv("{0} warps of {1} queries, {2} keys in {3} stages: {4:f0} cycles for 1,024 scores, most by {5}",
                       tile.warps(), tile.rowsOfWarp, tile.keys, tile.stages, cost.cycles, cost.limit);
}

} // namespace

std::optional<GpuChoice> tenon::cheapestTile(const GpuFigures &figures, const GpuWork &work, const GivenTile &given,
                                             int64_t mostQueries, std::string &why) {
  std::optional<GpuChoice> best, second;
  why = llvm::formatv("no tile of {0} queries and {1} keys has {2} warps of 16 or 32 rows (0: any)", given.queries,
                      given.keys, given.warps);
  forEachTile(figures, work, given, mostQueries, [&](const GpuTile &tile) {
    GpuCost cost = costOf(figures, work, tile);
    if (cost.blocks == 0) {
      why = llvm::formatv("{0} queries and {1} keys need {2}", tile.queries, tile.keys, cost.limit);
      return;
    }
    if (!best || cost.cycles < best->cost.cycles) {
      second = std::exchange(best, GpuChoice{tile, cost, {}});
      return;
    }
    bool other = tile.queries != best->tile.queries || tile.keys != best->tile.keys;
    if (other && (!second || cost.cycles < second->cost.cycles))
      second = GpuChoice{tile, cost, {}};
  });
  if (!best)
    return std::nullopt;
  best->explanation = described(best->tile, best->cost);
  best->explanation += llvm::formatv("; {0} of {1} bytes of shared memory, some {2} registers a thread, {3} blocks on "
                                     "a multiprocessor", best->cost.sharedBytes, figures.sharedBytesOfBlock,
                                     best->cost.registers, best->cost.blocks);
  if (second)
    best->explanation += "; next best: " + described(second->tile, second->cost);
  return best;
}
