// What is counted besides findings: instructions by kind, divergence, bank conflicts and sectors, by line.
#include "Emulator.h"
#include <nlohmann/json.hpp>

namespace tenon::emulator {
namespace {

using nlohmann::json;

json counters() {
  std::string text(tenonEmulatorCounters(nullptr, 0), '\0');
  tenonEmulatorCounters(text.data(), text.size());
  text.pop_back();
  return json::parse(text);
}

/// Runs one warp; gives the counts of the body's last line that touches memory.
json last_access(const std::string &body, unsigned threads = 32) {
  Card card("h100"); // which has stmatrix
  auto *kernel = card.load(ptx_header("sm_90") + ".visible .entry kernel(.param .u64 out) {\n"
                           ".reg .b32 %r<32>; .reg .b64 %rd<16>; .reg .pred %p<4>; .shared .align 128 .b8 box[8192];\n"
                           "mov.u32 %r0, %tid.x; mov.u32 %r1, box; ld.param.u64 %rd0, [out]; mov.b64 %rd9, 0; mov.b32 %r9, 0;\n" +
                           body + "\nret;\n}\n");
  EXPECT_EQ(card.launch(kernel, 1, threads, 0, card.upload(std::vector<char>(65536))), kSuccess) << Card::report();
  json last;
  const json all = counters();
  for (const json &line : all["kernels"]["kernel"]["lines"])
    if (line.contains("shared") || line.contains("global"))
      last = line;
  return last;
}

struct Pattern {
  const char *name, *body;
  int used, ideal;
};
void PrintTo(const Pattern &pattern, std::ostream *os) { *os << pattern.name; }

class SharedWavefronts : public testing::TestWithParam<Pattern> {};
TEST_P(SharedWavefronts, AreCounted) {
  json line = last_access(GetParam().body);
  EXPECT_EQ(line["shared"]["wavefronts"], GetParam().used);
  EXPECT_EQ(line["shared"]["ideal"], GetParam().ideal);
}
#define LANE_TIMES(n) "mul.lo.u32 %r2, %r0, " #n "; add.u32 %r2, %r2, %r1;\n"
INSTANTIATE_TEST_SUITE_P(
    All, SharedWavefronts,
    testing::Values(
        Pattern{"WordsInARow", LANE_TIMES(4) "st.shared.b32 [%r2], %r0;", 1, 1},
        Pattern{"EverySecondWord", LANE_TIMES(8) "st.shared.b32 [%r2], %r0;", 2, 1},
        Pattern{"AColumnOf32Words", LANE_TIMES(128) "st.shared.b32 [%r2], %r0;", 32, 1},
        Pattern{"AColumnOf33Words", LANE_TIMES(132) "st.shared.b32 [%r2], %r0;", 1, 1},
        Pattern{"OneWordForAll", "st.shared.b32 [%r1], %r9;\nld.shared.b32 %r3, [%r1];", 1, 1},
        Pattern{"BytesInARow", LANE_TIMES(1) "st.shared.b8 [%r2], %r0;", 1, 1},
        Pattern{"EightBytesInARow", LANE_TIMES(8) "st.shared.b64 [%r2], %rd9;", 2, 2},
        Pattern{"EightBytesSixteenApart", LANE_TIMES(16) "st.shared.b64 [%r2], %rd9;", 4, 2},
        Pattern{"SixteenBytesInARow", LANE_TIMES(16) "st.shared.v4.b32 [%r2], {%r0, %r0, %r0, %r0};", 4, 4},
        Pattern{"SixteenBytesARowOf128Apart", LANE_TIMES(128) "st.shared.v4.b32 [%r2], {%r0, %r0, %r0, %r0};", 32, 4},
        Pattern{"RowsOf128BytesForStmatrix", LANE_TIMES(128) "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r2], {%r0, %r0, %r0, %r0};", 32, 4},
        Pattern{"RowsOf144BytesForStmatrix", LANE_TIMES(144) "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r2], {%r0, %r0, %r0, %r0};", 4, 4},
        Pattern{"HalfAWarp", "setp.lt.u32 %p0, %r0, 16;\n" LANE_TIMES(8) "@%p0 st.shared.b32 [%r2], %r0;", 1, 1}),
    [](const auto &row) { return std::string(row.param.name); });

class GlobalSectors : public testing::TestWithParam<Pattern> {};
TEST_P(GlobalSectors, AreCounted) {
  json line = last_access(GetParam().body);
  EXPECT_EQ(line["global"]["sectors"], GetParam().used);
  EXPECT_EQ(line["global"]["ideal"], GetParam().ideal);
}
#define GLOBAL_TIMES(n) "mul.wide.u32 %rd2, %r0, " #n "; add.s64 %rd2, %rd2, %rd0;\n"
INSTANTIATE_TEST_SUITE_P(
    All, GlobalSectors,
    testing::Values(Pattern{"WordsInARow", GLOBAL_TIMES(4) "ld.global.b32 %r3, [%rd2];", 4, 4},
                    Pattern{"WordsInARowShifted", GLOBAL_TIMES(4) "ld.global.b32 %r3, [%rd2+4];", 5, 4},
                    Pattern{"EverySecondWord", GLOBAL_TIMES(8) "ld.global.b32 %r3, [%rd2];", 8, 4},
                    Pattern{"AColumn", GLOBAL_TIMES(1024) "ld.global.b32 %r3, [%rd2];", 32, 4},
                    Pattern{"OneWordForAll", GLOBAL_TIMES(0) "ld.global.b32 %r3, [%rd2];", 1, 1},
                    Pattern{"SixteenBytes", GLOBAL_TIMES(16) "ld.global.v4.b32 {%r3, %r4, %r5, %r6}, [%rd2];", 16, 16},
                    Pattern{"Backwards", "sub.u32 %r3, 31, %r0; mul.wide.u32 %rd2, %r3, 4; add.s64 %rd2, %rd2, %rd0;\nld.global.b32 %r3, [%rd2];", 4, 4}),
    [](const auto &row) { return std::string(row.param.name); });

TEST(Counts, InstructionsInTheTextAndExecuted) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".visible .entry kernel() {\n.reg .b32 %r<4>; .reg .pred %p0;\n"
                           "mov.u32 %r0, 0;\nLOOP: add.u32 %r0, %r0, 1;\nsetp.lt.u32 %p0, %r0, 10;\n@%p0 bra LOOP;\nret;\n}\n");
  EXPECT_EQ(card.launch(kernel, 3, 64, 0), kSuccess);
  const json counted = counters()["kernels"]["kernel"];
  EXPECT_EQ(counted["warp_instructions"], 3 * 2 * (1 + 30 + 1));
  EXPECT_EQ(counted["kinds"]["control"], 3 * 2 * (10 + 1));
  EXPECT_EQ(counted["static_kinds"]["control"], 2);
  EXPECT_EQ(counted["divergent_warp_instructions"], 0);
}

TEST(Counts, DivergenceIsWhatAPartOfAWarpExecutes) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".visible .entry kernel() {\n.reg .b32 %r<4>; .reg .pred %p0;\n"
                           "mov.u32 %r0, %tid.x; setp.lt.u32 %p0, %r0, 3;\n@%p0 bra END;\nadd.u32 %r0, %r0, 1;\nadd.u32 %r0, %r0, 1;\n"
                           "END: ret;\n}\n");
  EXPECT_EQ(card.launch(kernel, 1, 64, 0), kSuccess);
  EXPECT_EQ(counters()["divergent_warp_instructions"], 2) << "the two additions, in the first warp";
}

} // namespace
} // namespace tenon::emulator
