// Two blocks on two threads of the host that come to the same words of global memory in the same moment, over and over:
// every race is told, once for each time, and nothing else is.
#include "Emulator.h"

namespace tenon::emulator {
namespace {

constexpr unsigned kRounds = 100;
static_assert(kRounds * 128 <= 65536);

struct Together {
  const char *name;
  const char *body;  // of a round: %rd1 is the address of 32 words of its own, the same for both blocks
  uint64_t findings; // in a round
};
void PrintTo(const Together &together, std::ostream *os) { *os << together.name; }

/// Two blocks of a warp that wait for each other at the start of each round. %r0: the lane; %r1: the block; %p1: block 1;
/// %rd2: the address of this lane's word.
std::string text_of(const std::string &body) {
  return ptx_header() +
         ".visible .entry kernel(.param .u64 counter, .param .u64 words, .param .u32 rounds) {\n"
         ".reg .b32 %r<16>; .reg .b64 %rd<8>; .reg .pred %p<4>;\n"
         "ld.param.u64 %rd0, [counter]; ld.param.u64 %rd1, [words]; ld.param.u32 %r2, [rounds]; mov.u32 %r3, 0;\n"
         "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; setp.eq.u32 %p0, %r0, 0; setp.eq.u32 %p1, %r1, 1;\n"
         "ROUND: add.u32 %r3, %r3, 2; @%p0 red.global.add.u32 [%rd0], 1;\n"
         "WAIT: ld.volatile.global.u32 %r4, [%rd0]; setp.lt.u32 %p2, %r4, %r3; @%p2 bra WAIT;\n"
         "mul.wide.u32 %rd3, %r0, 4; add.s64 %rd2, %rd1, %rd3;\n" +
         body +
         "\nadd.s64 %rd1, %rd1, 128; sub.u32 %r2, %r2, 1; setp.ne.u32 %p2, %r2, 0; @%p2 bra ROUND;\nret;\n}\n";
}

class BlocksTogether : public testing::TestWithParam<Together> {};

TEST_P(BlocksTogether, EveryRaceIsToldAndNothingElse) {
  Card card;
  auto *kernel = card.load(text_of(GetParam().body));
  // The words of a round lie 128 bytes behind those of the one before; a body may reach 64 KB further for each lane.
  std::vector<uint32_t> words(32 * 65536 / 4, 1000);
  DevicePointer counter = card.upload(std::vector<uint32_t>{0}), at = card.upload(words);
  unsigned rounds = kRounds;
  void *parameters[] = {&counter, &at, &rounds};
  ASSERT_EQ(cuLaunchCooperativeKernel(kernel, 2, 1, 1, 32, 1, 1, 0, nullptr, parameters), kSuccess);
  ASSERT_EQ(cuCtxSynchronize(), kSuccess);
  uint64_t found = 0;
  for (const Finding &finding : Card::findings()) {
    EXPECT_EQ(finding.kind, FindingKind::kGlobalRace) << finding.text;
    found += finding.count;
  }
  EXPECT_EQ(found, GetParam().findings * kRounds) << Card::report();
}

INSTANTIATE_TEST_SUITE_P(
    All, BlocksTogether,
    testing::Values(
        Together{"BothWriteAnotherValue", "st.global.u32 [%rd2], %r1;", 1},
        Together{"OneWritesWhatStoodThereBefore", "selp.u32 %r5, 1000, 5, %p1; st.global.u32 [%rd2], %r5;", 1},
        Together{"OneReads", "@%p1 st.global.u32 [%rd2], 7; @!%p1 ld.global.u32 %r5, [%rd2];", 1},
        Together{"OneReadsAWordOfSixteenBytes",
                 "@%p0 bra.uni FIRST; bra.uni LAST; FIRST: @%p1 st.global.u32 [%rd1+12], 7; @!%p1 ld.global.v4.u32 {%r5, %r6, %r7, %r8}, [%rd1]; LAST:", 1},
        Together{"OneCountsTheOtherWrites", "@%p1 st.global.u32 [%rd2], 7; @!%p1 red.global.add.u32 [%rd2], 1;", 1},
        Together{"OneCopiesTheOtherWrites",
                 ".shared .align 16 .b8 box[128]; mov.u32 %r5, box; shl.b32 %r6, %r0, 2; add.u32 %r5, %r5, %r6; @%p1 st.global.u32 [%rd2], 7; "
                 "@!%p1 cp.async.ca.shared.global [%r5], [%rd2], 4; cp.async.wait_all;", 1},
        Together{"WordsFarApart",
                 "xor.b32 %r5, %r0, 31; selp.b32 %r5, %r5, %r0, %p1; mul.wide.u32 %rd3, %r5, 65536; add.s64 %rd3, %rd3, %rd1; st.global.u32 [%rd3], %r1;", 1},
        Together{"BothWriteTheSame", "st.global.u32 [%rd2], 5;", 0},
        Together{"BothCount", "red.global.add.u32 [%rd2], 1;", 0},
        Together{"BothRead", "ld.global.u32 %r5, [%rd2];", 0},
        Together{"Neighbours",
                 "and.b32 %r5, %r0, 1; setp.eq.u32 %p3, %r5, %r1; @!%p3 bra NEXT; ld.global.u32 %r5, [%rd2]; st.global.u32 [%rd2], %r1; NEXT:", 0}),
    [](const auto &row) { return std::string(row.param.name); });

/// Each block waits for the one behind it, which a card holds at the same time.
std::string waits_for_next(const std::string &unless_last) {
  return ptx_header() + ".visible .entry kernel(.param .u64 flags) {\n.reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .pred %p<4>;\n"
         "mov.u32 %r0, %tid.x; setp.ne.u32 %p0, %r0, 0; @%p0 exit; mov.u32 %r0, %ctaid.x; mov.u32 %r1, %nctaid.x; ld.param.u64 %rd0, [flags];\n"
         "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1; add.u32 %r2, %r0, 1; setp.eq.u32 %p1, %r2, %r1; " + unless_last + "\n"
         "WAIT: ld.acquire.gpu.global.u32 %r3, [%rd1+4]; setp.eq.u32 %p2, %r3, 0; @%p2 bra WAIT;\n"
         "GO: mov.u32 %r4, 1; st.release.gpu.global.u32 [%rd1], %r4; ret; }\n";
}

TEST(BlocksThatWaitForBlocks, GetOnAsFarAsTheCardHoldsThemAtOnce) {
  for (const char *schedule : {"forward", "reverse", "random:5"}) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    Card card;
    auto *kernel = card.load(waits_for_next("@%p1 bra GO;"));
    const DevicePointer flags = card.upload(std::vector<uint32_t>(301));
    EXPECT_EQ(card.launch(kernel, 216, 1024, 0, flags), kSuccess) << schedule;
    EXPECT_EQ(Card::report(), "nothing found\n");
    const auto seen = card.download<uint32_t>(flags, 216);
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1u), 216);
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}

/// One block more than the card holds: nobody gets on, as there.
TEST(BlocksThatWaitForBlocks, AreADeadlockWhereTheCardDoesNotHoldThem) {
  for (const bool too_many : {false, true}) {
    Card card;
    auto *kernel = card.load(waits_for_next(too_many ? "@%p1 bra GO;" : ""));
    EXPECT_EQ(card.launch(kernel, too_many ? 217 : 8, 1024, 0, card.upload(std::vector<uint32_t>(301))), kLaunchTimeout);
    ASSERT_EQ(Card::findings().size(), 1u) << Card::report();
    EXPECT_EQ(Card::findings()[0].kind, FindingKind::kDeadlock);
    EXPECT_EQ(Card::findings()[0].location.line, 8u) << Card::report();
    EXPECT_NE(Card::report().find(too_many ? "216 of 217 blocks are resident, 1 have not begun" : "0 have not begun"), std::string::npos) << Card::report();
  }
}

/// Blocks of a cooperative launch count each other, and one is not counted.
TEST(BlocksThatWaitForBlocks, OfACooperativeLaunchToo) {
  const std::string head = ptx_header() + ".visible .entry kernel(.param .u64 count) {\n.reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .pred %p<4>;\n"
                           "mov.u32 %r0, %tid.x; setp.ne.u32 %p0, %r0, 0; @%p0 bra MEET; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %nctaid.x; ld.param.u64 %rd0, [count];\n",
                    tail = "WAIT: ld.acquire.gpu.global.u32 %r3, [%rd0]; setp.ne.u32 %p2, %r3, %r2; @%p2 bra WAIT;\nMEET: bar.sync 0; ret; }\n";
  for (const bool broken : {false, true}) {
    Card card;
    auto *kernel = card.load(head + (broken ? "setp.eq.u32 %p1, %r1, 1; @%p1 bra MEET; " : "") + "red.release.gpu.global.add.u32 [%rd0], 1;\n" + tail);
    DevicePointer count = card.upload(std::vector<uint32_t>(1));
    void *arguments[] = {&count};
    EXPECT_EQ(cuLaunchCooperativeKernel(kernel, 6, 1, 1, 64, 1, 1, 0, nullptr, arguments), kSuccess);
    EXPECT_EQ(cuCtxSynchronize(), broken ? kLaunchTimeout : kSuccess);
    ASSERT_EQ(Card::findings().size(), broken ? 2u : 0u) << Card::report();
    if (broken) {
      EXPECT_NE(Card::report().find("5 of 6 blocks are resident"), std::string::npos) << Card::report();
      EXPECT_NE(Card::report().find("32 of 64 threads have arrived"), std::string::npos) << Card::report();
    }
  }
}

} // namespace
} // namespace tenon::emulator
