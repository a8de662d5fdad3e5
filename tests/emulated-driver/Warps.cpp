// What the lanes of a warp do together, and how they part and meet again.
#include "Elementwise.h"
#include <numeric>

namespace tenon::emulator {
namespace {

std::vector<uint32_t> lane_numbers() {
  std::vector<uint32_t> lanes(32);
  std::iota(lanes.begin(), lanes.end(), 0);
  return lanes;
}

TEST(Warps, Shuffles) {
  auto x = lane_numbers();
  struct Mode {
    const char *operands;
    uint32_t (*source)(uint32_t);
  };
  const Mode kModes[] = {{"bfly.b32 %d|%p0, %a0, 5, 31", [](uint32_t i) { return i ^ 5; }},
                         {"up.b32 %d|%p0, %a0, 3, 0", [](uint32_t i) { return i < 3 ? i : i - 3; }},
                         {"down.b32 %d|%p0, %a0, 2, 31", [](uint32_t i) { return i + 2 > 31 ? i : i + 2; }},
                         {"idx.b32 %d|%p0, %a0, 7, 31", [](uint32_t) { return 7u; }},
                         {"idx.b32 %d|%p0, %a0, 1, 0x1c1f", [](uint32_t i) { return (i & 28) | 1; }},   // groups of four
                         {"down.b32 %d|%p0, %a0, 1, 0x181f", [](uint32_t i) { return i % 8 == 7 ? i : i + 1; }}}; // of eight
  for (const Mode &mode : kModes) {
    auto d = run_lanes<uint32_t>({"b32"}, "b32", std::string("shfl.sync.") + mode.operands + ", -1;", x);
    for (uint32_t i = 0; i < 32; i++)
      EXPECT_EQ(d[i], mode.source(i)) << mode.operands << " lane " << i;
  }
  auto in_range = run_lanes<uint32_t>({"b32"}, "pred", "shfl.sync.up.b32 %x0|%d, %a0, 3, 0, -1;", x);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(in_range[i], i >= 3);
}

TEST(Warps, Votes) {
  auto x = lane_numbers();
  auto ballot = run_lanes<uint32_t>({"b32"}, "b32", "setp.gt.u32 %p0, %a0, 9; vote.sync.ballot.b32 %d, !%p0, -1;", x);
  auto any = run_lanes<uint32_t>({"b32"}, "pred", "setp.eq.u32 %p0, %a0, 9; vote.sync.any.pred %d, %p0, -1;", x);
  auto all = run_lanes<uint32_t>({"b32"}, "pred", "setp.lt.u32 %p0, %a0, 31; vote.sync.all.pred %d, %p0, -1;", x);
  auto sum = run_lanes<uint32_t>({"b32"}, "b32", "redux.sync.add.u32 %d, %a0, -1;", x);
  auto least = run_lanes<uint32_t>({"b32"}, "b32", "sub.s32 %x0, %a0, 5; redux.sync.min.s32 %d, %x0, -1;", x);
  auto same = run_lanes<uint32_t>({"b32"}, "b32", "shr.u32 %x0, %a0, 3; match.any.sync.b32 %d, %x0, -1;", x);
  for (uint32_t i = 0; i < 32; i++) {
    EXPECT_EQ(ballot[i], 0x3ffu);
    EXPECT_EQ(any[i], 1u);
    EXPECT_EQ(all[i], 0u);
    EXPECT_EQ(sum[i], 496u);
    EXPECT_EQ(static_cast<int32_t>(least[i]), -5);
    EXPECT_EQ(same[i], 0xffu << (i / 8 * 8));
  }
}

TEST(Warps, PartsAndMeetsAgain) {
  // Each lane counts Collatz steps; then all shuffle, which needs them together again.
  auto x = lane_numbers();
  auto d = run_lanes<uint32_t>({"b32"}, "b32",
                               "add.s32 %x0, %a0, 1; mov.u32 %x1, 0;\n"
                               "LOOP: setp.eq.u32 %p0, %x0, 1; @%p0 bra DONE;\n"
                               "add.s32 %x1, %x1, 1; and.b32 %x2, %x0, 1; setp.eq.u32 %p1, %x2, 0; @%p1 bra EVEN;\n"
                               "mad.lo.s32 %x0, %x0, 3, 1; bra LOOP;\n"
                               "EVEN: shr.u32 %x0, %x0, 1; bra.uni LOOP;\n"
                               "DONE: shfl.sync.bfly.b32 %x3, %x1, 1, 31, -1; mad.lo.s32 %d, %x3, 1000, %x1;",
                               x);
  auto steps = [](uint32_t n) {
    uint32_t count = 0;
    for (; n != 1; count++)
      n = n % 2 ? 3 * n + 1 : n / 2;
    return count;
  };
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], steps((i ^ 1) + 1) * 1000 + steps(i + 1));
}

TEST(Warps, PredicatedInstructionsLeaveOtherLanesAlone) {
  auto d = run_lanes<uint32_t>({"b32"}, "b32", "mov.u32 %d, 5; and.b32 %x0, %a0, 1; setp.eq.u32 %p0, %x0, 1; @%p0 add.s32 %d, %a0, 100; @!%p0 mul.lo.s32 %d, %d, 2;", lane_numbers());
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], i % 2 ? i + 100 : 10u);
}

TEST(Warps, IndexedBranch) {
  auto d = run_lanes<uint32_t>({"b32"}, "b32",
                               "rem.u32 %x0, %a0, 3;\nTABLE: .branchtargets CASE0, CASE1, CASE2;\nbrx.idx %x0, TABLE;\n"
                               "CASE0: mov.u32 %d, 10; bra END;\nCASE1: mov.u32 %d, 20; bra END;\nCASE2: mov.u32 %d, 30;\nEND:",
                               lane_numbers());
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], (i % 3 + 1) * 10);
}

/// A sum over a block of 256 threads: shuffles in a warp, shared memory and barriers between warps.
const char *kBlockSum = R"(
.visible .entry kernel(.param .u64 out, .param .u64 in) {
  .reg .b32 %r<16>; .reg .b64 %rd<8>; .reg .pred %p<4>;
  .shared .align 4 .b8 partial[32];
  mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x;
  mad.lo.s32 %r3, %r1, %r2, %r0;
  ld.param.u64 %rd0, [in]; mul.wide.u32 %rd1, %r3, 4; add.s64 %rd0, %rd0, %rd1;
  ld.global.nc.u32 %r4, [%rd0];
  shfl.sync.bfly.b32 %r5, %r4, 16, 31, -1; add.s32 %r4, %r4, %r5;
  shfl.sync.bfly.b32 %r5, %r4, 8, 31, -1; add.s32 %r4, %r4, %r5;
  shfl.sync.bfly.b32 %r5, %r4, 4, 31, -1; add.s32 %r4, %r4, %r5;
  shfl.sync.bfly.b32 %r5, %r4, 2, 31, -1; add.s32 %r4, %r4, %r5;
  shfl.sync.bfly.b32 %r5, %r4, 1, 31, -1; add.s32 %r4, %r4, %r5;
  shr.u32 %r6, %r0, 5; shl.b32 %r7, %r6, 2; mov.u32 %r8, partial; add.s32 %r7, %r7, %r8;
  and.b32 %r9, %r0, 31; setp.eq.s32 %p0, %r9, 0;
  @%p0 st.shared.u32 [%r7], %r4;
  bar.sync 0;
  setp.ne.s32 %p1, %r0, 0;
  @%p1 bra END;
  ld.shared.v4.u32 {%r4, %r5, %r6, %r7}, [partial];
  add.s32 %r4, %r4, %r5; add.s32 %r6, %r6, %r7; add.s32 %r4, %r4, %r6;
  ld.shared.v4.u32 {%r10, %r11, %r12, %r13}, [partial+16];
  add.s32 %r10, %r10, %r11; add.s32 %r12, %r12, %r13; add.s32 %r10, %r10, %r12; add.s32 %r4, %r4, %r10;
  ld.param.u64 %rd2, [out]; mul.wide.u32 %rd3, %r1, 4; add.s64 %rd2, %rd2, %rd3;
  st.global.u32 [%rd2], %r4;
END: ret;
})";
TEST(Warps, BlocksSumAcrossBarriers) {
  for (const char *schedule : {"forward", "reverse", "random"}) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    Card card;
    std::vector<uint32_t> in(256 * 50), expected(50);
    for (size_t i = 0; i < in.size(); i++) {
      in[i] = static_cast<uint32_t>(i * 2654435761u);
      expected[i / 256] += in[i];
    }
    auto *kernel = card.load(ptx_header() + kBlockSum);
    auto out = card.allocate(200);
    ASSERT_EQ(card.launch(kernel, 50, 256, 0, out, card.upload(in)), kSuccess);
    EXPECT_EQ(card.download<uint32_t>(out, 50), expected) << schedule;
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}

TEST(Warps, NamedBarriersBetweenProducerAndConsumer) {
  Card card;
  auto *kernel = card.load(ptx_header() + R"(
.visible .entry kernel(.param .u64 out) {
  .reg .b32 %r<8>; .reg .b64 %rd<4>; .reg .pred %p<2>;
  .shared .b32 box[32];
  mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 31; shl.b32 %r2, %r1, 2; mov.u32 %r3, box; add.s32 %r2, %r2, %r3;
  setp.lt.u32 %p0, %r0, 32; @%p0 bra CONSUMER;
  mul.lo.s32 %r4, %r1, 3; st.shared.u32 [%r2], %r4; bar.arrive 1, 64; ret;
CONSUMER: bar.sync 1, 64; ld.shared.u32 %r4, [%r2];
  ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r1, 4; add.s64 %rd0, %rd0, %rd1; st.global.u32 [%rd0], %r4; ret;
})");
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 64, 0, out), kSuccess);
  auto d = card.download<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], i * 3);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

} // namespace
} // namespace tenon::emulator
