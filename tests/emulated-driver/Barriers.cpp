// Barriers that answer, and mbarrier objects in shared memory.
#include "Emulator.h"

namespace tenon::emulator {
namespace {

std::string kernel_text(const std::string &body, const char *target = "sm_80") {
  return ptx_header(target) + ".visible .entry kernel(.param .u64 out) {\n.shared .align 8 .b8 box[64];\n"
         ".reg .b32 %r<16>; .reg .b64 %rd<8>; .reg .pred %p<4>;\nmov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; "
         "mul.wide.u32 %rd1, %r0, 4; add.s64 %rd1, %rd0, %rd1;\n" +
         body + "\nst.global.u32 [%rd1], %r9;\nret;\n}\n";
}

struct Reduction {
  const char *name, *instruction;
  uint32_t (*expected)(uint32_t below, uint32_t threads); // of threads whose number is below 70
};
class BarrierReductions : public testing::TestWithParam<Reduction> {};
TEST_P(BarrierReductions, AnswerEveryThread) {
  for (const char *schedule : {"forward", "reverse", "random"}) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    for (unsigned threads : {40u, 96u, 200u}) { // warps that are not whole, too
      Card card;
      auto *kernel = card.load(kernel_text("setp.lt.u32 %p0, %r0, 70; mov.u32 %r9, 0;\n" + std::string(GetParam().instruction)));
      ASSERT_TRUE(kernel);
      auto out = card.allocate(4 * threads);
      ASSERT_EQ(card.launch(kernel, 3, threads, 0, out), kSuccess) << Card::report();
      auto answers = card.download<uint32_t>(out, threads);
      for (unsigned i = 0; i < threads; i++)
        EXPECT_EQ(answers[i], GetParam().expected(std::min(threads, 70u), threads)) << threads << " thread " << i;
    }
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}
INSTANTIATE_TEST_SUITE_P(
    All, BarrierReductions,
    testing::Values(Reduction{"Count", "bar.red.popc.u32 %r9, 0, %p0;", [](uint32_t below, uint32_t) { return below; }},
                    Reduction{"CountOfNegated", "barrier.red.popc.aligned.u32 %r9, 3, !%p0;", [](uint32_t below, uint32_t threads) { return threads - below; }},
                    Reduction{"All", "bar.red.and.pred %p1, 0, %p0; selp.u32 %r9, 1, 0, %p1;", [](uint32_t below, uint32_t threads) { return uint32_t{below == threads}; }},
                    Reduction{"Any", "bar.red.or.pred %p1, 0, !%p0; selp.u32 %r9, 1, 0, %p1;", [](uint32_t below, uint32_t threads) { return uint32_t{below < threads}; }},
                    Reduction{"OneBehindTheOther", "bar.red.popc.u32 %r1, 0, %p0; bar.red.popc.u32 %r2, 0, !%p0; add.u32 %r9, %r1, %r2;", [](uint32_t, uint32_t threads) { return threads; }}),
    [](const auto &reduction) { return std::string(reduction.param.name); });

/// Warp 1 writes, arrives; warp 0 waits for the phase and reads, three times over.
TEST(Mbarriers, CarryValuesFromPhaseToPhase) {
  for (const char *schedule : {"forward", "reverse", "random"}) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    Card card;
    auto *kernel = card.load(kernel_text(R"(
  mov.u32 %r9, 0; setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [box], 64; @%p0 mbarrier.init.shared.b64 [box+8], 64;
  bar.sync 0; setp.ge.u32 %p1, %r0, 32; mov.u32 %r1, 0; and.b32 %r2, %r0, 31;
LOOP:
  mul.lo.u32 %r4, %r1, 100; add.u32 %r4, %r4, 7; setp.eq.u32 %p2, %r2, 0; and.pred %p2, %p2, %p1;
  @%p2 st.shared.u32 [box+16], %r4;
  mbarrier.arrive.shared.b64 %rd3, [box];
FULL: mbarrier.test_wait.shared.b64 %p3, [box], %rd3; @!%p3 bra FULL;
  ld.shared.u32 %r5, [box+16]; add.u32 %r9, %r9, %r5;
  and.b32 %r6, %r1, 1; mbarrier.arrive.shared.b64 _, [box+8];
EMPTY: mbarrier.test_wait.parity.shared.b64 %p3, [box+8], %r6; @!%p3 bra EMPTY;
  add.u32 %r1, %r1, 1; setp.lt.u32 %p3, %r1, 3; @%p3 bra LOOP;)"));
    ASSERT_TRUE(kernel);
    auto out = card.allocate(256);
    ASSERT_EQ(card.launch(kernel, 1, 64, 0, out), kSuccess) << Card::report();
    EXPECT_EQ(card.download<uint32_t>(out, 64), std::vector<uint32_t>(64, 7 + 107 + 207)) << schedule;
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}

TEST(Mbarriers, TellWhatIsPendingAndLetThreadsGo) {
  Card card;
  auto *kernel = card.load(kernel_text(R"(
  setp.ne.u32 %p0, %r0, 0; mov.u32 %r9, 0; @%p0 bra END;
  mbarrier.init.shared.b64 [box], 3;
  mbarrier.arrive.noComplete.shared.b64 %rd2, [box], 1; mbarrier.pending_count.b64 %r1, %rd2;      // 3
  mbarrier.arrive_drop.shared.b64 %rd3, [box]; mbarrier.pending_count.b64 %r2, %rd3;               // 2, then 2 are expected
  mbarrier.arrive.shared.b64 %rd4, [box]; mbarrier.pending_count.b64 %r3, %rd4;                    // 1, then complete
  mbarrier.test_wait.shared.b64 %p1, [box], %rd4; selp.u32 %r4, 1, 0, %p1;
  mbarrier.arrive.shared.b64 %rd5, [box]; mbarrier.pending_count.b64 %r5, %rd5;                    // 2
  mbarrier.test_wait.shared.b64 %p1, [box], %rd5; selp.u32 %r6, 1, 0, %p1;
  mad.lo.u32 %r9, %r1, 10, %r2; mad.lo.u32 %r9, %r9, 10, %r3; mad.lo.u32 %r9, %r9, 10, %r4; mad.lo.u32 %r9, %r9, 10, %r5; mad.lo.u32 %r9, %r9, 10, %r6;
  mbarrier.inval.shared.b64 [box];
END:)"));
  ASSERT_TRUE(kernel);
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out), kSuccess) << Card::report();
  EXPECT_EQ(card.download<uint32_t>(out, 1)[0], 321120u);
}

/// Copies arrive at the mbarrier for the thread that issued them: who waits for the phase sees them.
TEST(Mbarriers, ArriveWhenCopiesDo) {
  for (const char *variant : {"", ".noinc"}) {
    Card card;
    std::string count = *variant ? "32" : "1";
    auto *kernel = card.load(kernel_text(R"(
  .shared .align 16 .b8 stage[128]; setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [box], )" + count + R"(;
  mul.lo.u32 %r1, %r0, 5; st.global.u32 [%rd1], %r1; bar.sync 0;
  shl.b32 %r2, %r0, 2; mov.u32 %r3, stage; add.u32 %r2, %r2, %r3;
  cp.async.ca.shared.global [%r2], [%rd1], 4; cp.async.mbarrier.arrive)" + variant + R"(.shared.b64 [box];
  bar.sync 0; @%p0 mbarrier.arrive.shared.b64 _, [box];
WAIT: mbarrier.test_wait.parity.shared.b64 %p1, [box], 0; @!%p1 bra WAIT;
  ld.shared.u32 %r9, [%r2+0]; add.u32 %r9, %r9, 1;)"));
    // With .noinc the copies are the 32 expected arrivals: the one more belongs to the next phase.
    ASSERT_TRUE(kernel);
    auto out = card.allocate(128);
    ASSERT_EQ(card.launch(kernel, 1, 32, 0, out), kSuccess) << Card::report();
    auto values = card.download<uint32_t>(out, 32);
    for (uint32_t i = 0; i < 32; i++)
      EXPECT_EQ(values[i], 5 * i + 1);
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
}

/// What of a barrier comes from a register, where no assembler can refuse it.
struct BarrierOperands {
  const char *name, *instruction;
  uint32_t barrier, threads, right_barrier, right_threads;
  const char *says;
};
class BarriersFromRegisters : public testing::TestWithParam<BarrierOperands> {};
TEST_P(BarriersFromRegisters, AreCheckedWhenTheyAreMet) {
  for (bool right : {true, false}) {
    Card card;
    auto *kernel = card.load(kernel_text("mov.u32 %r9, 0; setp.eq.u32 %p0, %r0, 0; ld.global.u32 %r1, [%rd0]; ld.global.u32 %r2, [%rd0+4]; bar.sync 0;\n" +
                                         std::string(GetParam().instruction)));
    ASSERT_TRUE(kernel);
    std::vector<uint32_t> words(64);
    words[0] = right ? GetParam().right_barrier : GetParam().barrier;
    words[1] = right ? GetParam().right_threads : GetParam().threads;
    EXPECT_EQ(card.launch(kernel, 1, 64, 0, card.upload(words)), kSuccess) << Card::report();
    if (right) {
      EXPECT_EQ(Card::report(), "nothing found\n");
      continue;
    }
    ASSERT_EQ(Card::findings().size(), 1u) << Card::report();
    EXPECT_EQ(Card::findings()[0].kind, FindingKind::kWrongMembers);
    EXPECT_EQ(Card::findings()[0].location.line, 9u) << Card::report();
    EXPECT_NE(Card::report().find(GetParam().says), std::string::npos) << Card::report();
  }
}
INSTANTIATE_TEST_SUITE_P(
    All, BarriersFromRegisters,
    testing::Values(BarrierOperands{"NumberBehindTheLast", "bar.sync %r1;", 17, 0, 15, 0, "there is no barrier 17"},
                    BarrierOperands{"NoWholeWarps", "bar.sync %r1, %r2;", 1, 33, 1, 64, "expects 33 threads"},
                    BarrierOperands{"NoThreads", "barrier.sync %r1, %r2;", 1, 0, 1, 64, "expects 0 threads"},
                    BarrierOperands{"ReductionOfNoWholeWarps", "bar.red.popc.u32 %r9, %r1, %r2, %p0;", 2, 50, 2, 64, "expects 50 threads"}),
    [](const auto &operands) { return std::string(operands.param.name); });

TEST(Mbarriers, CountNobody) {
  for (uint32_t count : {1u, 0u}) {
    Card card;
    auto *kernel = card.load(kernel_text("mov.u32 %r9, 0; ld.global.u32 %r1, [%rd0]; setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [box], %r1;"));
    ASSERT_TRUE(kernel);
    EXPECT_EQ(card.launch(kernel, 1, 32, 0, card.upload(std::vector<uint32_t>(32, count))), kSuccess);
    EXPECT_EQ(Card::report().find("the count of an mbarrier object is from 1 to") != std::string::npos, count == 0) << Card::report();
  }
}

/// The state of an arrival may be waited for until the phase behind it ends.
TEST(Mbarriers, StatesOfPhasesLongOverAreNamed) {
  for (int later : {0, 1, 2, 3}) { // arrivals, each a phase, before the state is used
    Card card;
    std::string body = "mov.u32 %r9, 0; setp.ne.u32 %p0, %r0, 0; @%p0 bra END; mbarrier.init.shared.b64 [box], 1; mbarrier.arrive.shared.b64 %rd3, [box];";
    for (int i = 0; i < later; i++)
      body += " mbarrier.arrive.shared.b64 _, [box];";
    auto *kernel = card.load(kernel_text(body + " mbarrier.test_wait.shared.b64 %p1, [box], %rd3; END:"));
    ASSERT_TRUE(kernel);
    EXPECT_EQ(card.launch(kernel, 1, 32, 0, card.allocate(128)), kSuccess);
    EXPECT_EQ(Card::report().find("neither of this phase nor of the one before") != std::string::npos, later == 1 || later == 2) << later << Card::report();
  }
}

TEST(Mbarriers, ThatAreMissingAreNamed) {
  Card card;
  auto *kernel = card.load(kernel_text("mbarrier.arrive.shared.b64 %rd2, [box]; mov.u32 %r9, 0;"));
  ASSERT_TRUE(kernel);
  auto out = card.allocate(128);
  card.launch(kernel, 1, 32, 0, out);
  EXPECT_NE(Card::report().find("no mbarrier object is there: none was initialised"), std::string::npos) << Card::report();
  EXPECT_NE(card.refusal(kernel_text("mbarrier.try_wait.parity.shared.b64 %p0, [box], 0; mov.u32 %r9, 0;")).find("needs a target from sm_90 on"), std::string::npos);
}

} // namespace
} // namespace tenon::emulator
