// Lanes that exit instead of coming to what a whole warp executes; and those that may.
#include "Emulator.h"

namespace tenon::emulator {
namespace {

std::string kernel_text(const std::string &body) {
  return ptx_header() + ".visible .entry kernel(.param .u64 out) {\n.shared .align 16 .b8 box[1024];\n"
         ".reg .b32 %r<16>; .reg .f32 %f<8>; .reg .b64 %rd<4>; .reg .pred %p<4>;\n"
         "mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 31; ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1;\n"
         "mov.u32 %r2, 0; mov.u32 %r3, box; mov.f32 %f0, 0f00000000; shl.b32 %r4, %r1, 4; add.u32 %r3, %r3, %r4;\n"
         "st.shared.v4.u32 [%r3], {%r2, %r2, %r2, %r2}; setp.eq.u32 %p1, %r0, %r0; bar.sync 0;\n" +
         body + "\nret;\n}\n";
}

std::vector<Finding> findings_of(const std::string &body, unsigned threads) {
  Card card;
  auto *kernel = card.load(kernel_text(body));
  EXPECT_TRUE(kernel);
  EXPECT_EQ(card.launch(kernel, 2, threads, 0, card.allocate(512)), kSuccess) << Card::report();
  return Card::findings();
}

constexpr const char *kMma =
    "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r2, %r2, %r2, %r2}, {%r2, %r2}, {%f0, %f0, %f0, %f0};";

/// What a warp does together.
struct Together {
  const char *name, *instruction;
  bool whole_warp; // the rest waits for lanes that live
};
constexpr Together kTogether[] = {
    {"Mma", kMma, true},
    {"LoadMatrix", "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r5}, [%r3];", true},
    {"MoveMatrix", "movmatrix.sync.aligned.m8n8.trans.b16 %r5, %r2;", true},
    {"Shuffle", "shfl.sync.bfly.b32 %r5, %r0, 1, 31, -1;", false},
    {"Vote", "vote.sync.ballot.b32 %r5, %p1, -1;", false},
    {"Reduction", "redux.sync.add.u32 %r5, %r0, -1;", false},
    {"Match", "match.any.sync.b32 %r5, %r0, -1;", false},
    {"WarpBarrier", "bar.warp.sync -1;", false},
};
void PrintTo(const Together &together, std::ostream *os) { *os << together.name; }

class LanesThatExit : public testing::TestWithParam<Together> {};
TEST_P(LanesThatExit, AreMissedByWholeWarpsAlone) {
  const std::string instruction = GetParam().instruction, half = "setp.ge.u32 %p0, %r1, 16;";
  EXPECT_TRUE(findings_of(instruction, 64).empty()) << Card::report();
  for (const std::string &code : {half + "@%p0 ret;\n" + instruction, half + "@%p0 bra LEAVE;\n" + instruction + "\nLEAVE:",
                                  half + "@%p0 bra LEAVE;\n" + instruction + "\nLEAVE: st.global.u32 [%rd1], %r0;"}) {
    const auto found = findings_of(code, 64);
    ASSERT_EQ(found.size(), GetParam().whole_warp ? 1u : 0u) << code << Card::report();
    if (!GetParam().whole_warp)
      continue;
    EXPECT_EQ(found[0].kind, FindingKind::kDivergentWarp) << found[0].text;
    EXPECT_EQ(found[0].opcode, instruction.substr(0, instruction.find(' ')));
  }
}
INSTANTIATE_TEST_SUITE_P(All, LanesThatExit, testing::ValuesIn(kTogether),
                         [](const auto &row) { return std::string(row.param.name); });

TEST(Divergence, ABlockOfHalfAWarpHasNoMma) {
  const auto found = findings_of(kMma, 16);
  ASSERT_EQ(found.size(), 1u) << Card::report();
  EXPECT_EQ(found[0].kind, FindingKind::kDivergentWarp);
  EXPECT_TRUE(findings_of(kMma, 32).empty()) << Card::report();
}

/// Masks that name no lane that exits.
TEST(Divergence, LanesThatNobodyNamesMayExit) {
  EXPECT_TRUE(findings_of("setp.ge.u32 %p0, %r1, 16; @%p0 bra LEAVE; shfl.sync.bfly.b32 %r5, %r0, 1, 31, 0xffff;\nbar.warp.sync 0xffff; LEAVE:", 64).empty())
      << Card::report();
}

/// The block's barrier waits for threads that have not exited: `if (thread >= n) return;` before it is no bug.
TEST(Divergence, ThreadsThatExitAreNotAwaitedAtABarrier) {
  for (const char *body : {"setp.ge.u32 %p0, %r0, 40; @%p0 bra END; st.global.u32 [%rd1], %r0; bar.sync 0; st.global.u32 [%rd1], %r0; END:",
                           "setp.ge.u32 %p0, %r0, 40; @%p0 ret; bar.sync 0;",
                           "setp.lt.u32 %p0, %r0, 40; @%p0 bra ON; st.global.u32 [%rd1], %r0; ret; ON: bar.sync 0;"})
    EXPECT_TRUE(findings_of(body, 64).empty()) << body << Card::report();
}

/// Who is past the barrier, where all must come in the end, has not left early: he should have been there.
struct Skipped {
  const char *name, *body;
};
class Skips : public testing::TestWithParam<Skipped> {};
TEST_P(Skips, ABarrierOfItsWarp) {
  const auto found = findings_of(GetParam().body, 64);
  ASSERT_EQ(found.size(), 1u) << Card::report();
  EXPECT_EQ(found[0].kind, FindingKind::kDivergentBarrier);
  EXPECT_TRUE(found[0].opcode.starts_with("bar")) << found[0].text;
}
const Skipped kSkipped[] = {
    {"ByHalfOfEachWarp", "setp.ge.u32 %p0, %r1, 16; @%p0 bra ON; bar.sync 0; ON: st.global.u32 [%rd1], %r0;"},
    {"ByAGuard", "setp.lt.u32 %p0, %r1, 16; @%p0 bar.sync 0; st.global.u32 [%rd1], %r0;"},
    {"ByLanesOfTheLastWarp", "setp.ge.u32 %p0, %r0, 40; @%p0 bra ON; bar.sync 0; ON: st.global.u32 [%rd1], %r0; bra END; END: ret;"},
    {"ByThoseWhoWentRoundLess", "mov.u32 %r5, 0; NEXT: bar.sync 0; add.u32 %r5, %r5, 1; setp.le.u32 %p0, %r5, %r1; @%p0 bra NEXT; st.global.u32 [%rd1], %r0;"},
    {"InAReduction", "setp.ge.u32 %p0, %r1, 16; @%p0 bra ON; bar.red.popc.u32 %r5, 0, %p1; ON: st.global.u32 [%rd1], %r0;"},
};
INSTANTIATE_TEST_SUITE_P(All, Skips, testing::ValuesIn(kSkipped), [](const auto &row) { return std::string(row.param.name); });

/// Work before an early return, wherever the compiler puts it, is no code that the others come to.
TEST(Divergence, LanesThatLeaveEarlyMayWorkBefore) {
  for (const char *body : {"setp.ge.u32 %p0, %r1, 16; @%p0 bra OUT; bar.sync 0; st.global.u32 [%rd1], %r0; ret; OUT: st.global.u32 [%rd1], %r2; ret;",
                           "mov.u32 %r5, 0; NEXT: setp.ge.u32 %p0, %r5, %r1; @%p0 bra OUT; bar.sync 0; add.u32 %r5, %r5, 1; setp.lt.u32 %p0, %r5, 40; @%p0 bra NEXT; ret; "
                           "OUT: st.global.u32 [%rd1], %r2; ret;",
                           "setp.ge.u32 %p0, %r1, 16; @%p0 bra OUT; barrier.sync 0; OUT: st.global.u32 [%rd1], %r0;"})
    EXPECT_TRUE(findings_of(body, 64).empty()) << body << Card::report();
}

} // namespace
} // namespace tenon::emulator
