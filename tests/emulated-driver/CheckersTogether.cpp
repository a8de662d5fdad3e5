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

} // namespace
} // namespace tenon::emulator
