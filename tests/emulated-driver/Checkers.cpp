// Each checker with a planted bug: it must be caught, and named with its place.
#include "Emulator.h"

namespace tenon::emulator {
namespace {

std::string kernel_text(const std::string &body, const std::string &before = "") {
  return ptx_header() + before + ".visible .entry kernel(.param .u64 out) {\n"
         ".reg .b32 %r<32>; .reg .b64 %rd<16>; .reg .pred %p<4>;\n"
         "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd2, %rd0, %rd1;\n" +
         body + "\nret;\n}\n";
}

struct Bug {
  const char *name;
  FindingKind kind;
  Status status;
  std::string body;
  std::vector<std::string> says; // parts of the finding
};
void PrintTo(const Bug &bug, std::ostream *os) { *os << bug.name; }

class Checkers : public testing::TestWithParam<Bug> {};
/// The bug is on the first line of the body, line 7 of the text. The buffer has 128 bytes; blocks have 64 threads.
TEST_P(Checkers, FindsThePlantedBug) {
  const Bug &bug = GetParam();
  Card card;
  auto *kernel = card.load(kernel_text(bug.body));
  ASSERT_TRUE(kernel);
  DevicePointer buffer = card.allocate(256);
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, buffer), bug.status) << Card::report();
  auto findings = Card::findings();
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].kind, bug.kind) << findings[0].text;
  EXPECT_EQ(findings[0].kernel, "kernel");
  EXPECT_EQ(findings[0].location.line, 7u) << findings[0].text;
  for (const std::string &part : bug.says)
    EXPECT_NE(findings[0].text.find(part), std::string::npos) << findings[0].text << "\nmust say " << part;
}

INSTANTIATE_TEST_SUITE_P(
    Planted, Checkers,
    testing::Values(
        Bug{"WriteBehindTheEnd", FindingKind::kOutOfBounds, kIllegalAddress, "st.global.b32 [%rd2+4], %r0;",
            {"kernel 'kernel'", "ptx line 7 (st.global.b32)", "block (0, 0, 0)", "thread (63, 0, 0)", "0 bytes behind the end of the allocation of 256 bytes", "write of 4 bytes"}},
        Bug{"ReadBeforeTheStart", FindingKind::kOutOfBounds, kIllegalAddress, "ld.global.b32 %r1, [%rd2+-8];", {"thread (0, 0, 0)", "read of 4 bytes"}},
        Bug{"NullPointer", FindingKind::kOutOfBounds, kIllegalAddress, "mov.u64 %rd3, 0; ld.global.b32 %r1, [%rd3];", {"at 0x0", "not an address of device memory"}},
        Bug{"WideAccessAcrossTheEnd", FindingKind::kOutOfBounds, kIllegalAddress, "mul.wide.u32 %rd3, %r0, 8; add.s64 %rd3, %rd3, %rd0; st.global.b64 [%rd3], %rd1;", {"thread (32, 0, 0)"}},
        Bug{"MisalignedGlobal", FindingKind::kMisaligned, kMisalignedAddress, "ld.global.b32 %r1, [%rd2+2];", {"read of 4 bytes"}},
        Bug{"MisalignedVector", FindingKind::kMisaligned, kMisalignedAddress, "st.global.v2.b32 [%rd2], {%r0, %r0};", {"thread (1, 0, 0)"}},
        Bug{"SharedOverflow", FindingKind::kOutOfBounds, kIllegalAddress, ".shared .b32 box[32]; mov.u32 %r1, box; shl.b32 %r2, %r0, 2; add.s32 %r1, %r1, %r2; st.shared.b32 [%r1], %r0;",
            {"shared write", "thread (32, 0, 0)", "shared memory of 128 bytes"}},
        Bug{"UninitialisedGlobal", FindingKind::kUninitialisedMemory, kSuccess, "ld.global.b32 %r1, [%rd2];", {"global read", "thread (0, 0, 0)", "0 bytes into the allocation"}},
        Bug{"UninitialisedShared", FindingKind::kUninitialisedMemory, kSuccess, ".shared .b32 box[64]; ld.shared.b32 %r1, [box+4];", {"shared read"}},
        Bug{"UninitialisedRegister", FindingKind::kUninitialisedRegister, kSuccess, "setp.lt.u32 %p0, %r0, 40; @%p0 mov.u32 %r9, 1; add.s32 %r1, %r9, 1;", {"%r9", "thread (40, 0, 0)"}},
        Bug{"CopyReadBeforeItsWait", FindingKind::kPendingCopy, kSuccess,
            ".shared .align 16 .b8 stage[256]; st.global.b32 [%rd2], %r0; mov.u32 %r1, stage; shl.b32 %r2, %r0, 2; add.s32 %r1, %r1, %r2; cp.async.ca.shared.global [%r1], [%rd2], 4; cp.async.commit_group; cp.async.wait_group 1; ld.shared.b32 %r3, [%r1];",
            {"shared read", "pending copy", "the copy by thread (0, 0, 0) at ptx line 7 (cp.async.ca.shared.global) has not been waited for",
             "the group that this thread committed last, so that only cp.async.wait_group 0"}},
        Bug{"CopyOverflowsShared", FindingKind::kOutOfBounds, kIllegalAddress, ".shared .align 16 .b8 stage[16]; st.global.b32 [%rd2], %r0; mov.u32 %r1, stage; cp.async.cg.shared.global [%r1+16], [%rd0], 16;", {"destination of an asynchronous copy"}},
        Bug{"CopySourceOutOfBounds", FindingKind::kOutOfBounds, kIllegalAddress, ".shared .align 16 .b8 stage[16]; mov.u32 %r1, stage; cp.async.cg.shared.global [%r1], [%rd0+256], 16;", {"source of an asynchronous copy"}},
        Bug{"DivergentBarrier", FindingKind::kDivergentBarrier, kSuccess, "setp.lt.u32 %p0, %r0, 5; @%p0 bra A; bar.sync 0; bra B; A: bar.sync 0; B:", {"bar.sync", "wait at different barriers"}},
        Bug{"DivergentShuffle", FindingKind::kDivergentWarp, kSuccess, "setp.lt.u32 %p0, %r0, 5; @%p0 bra A; shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1; bra B; A: mov.u32 %r1, 0; bar.warp.sync -1; B:", {"lanes"}},
        Bug{"Deadlock", FindingKind::kDeadlock, kLaunchTimeout, "setp.lt.u32 %p0, %r0, 32; @%p0 bar.sync 1, 96;", {"waits at barrier 1"}},
        Bug{"Trap", FindingKind::kTrap, kLaunchFailed, "setp.eq.u32 %p0, %r0, 33; @%p0 trap;", {"thread (33, 0, 0)", "trap"}},
        Bug{"MatrixRowMisaligned", FindingKind::kMisaligned, kMisalignedAddress, ".shared .align 16 .b8 tile[512]; mov.u32 %r1, tile; ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1+8];", {"read of 16 bytes"}},
        Bug{"ParametersOverrun", FindingKind::kOutOfBounds, kIllegalAddress, "mov.u64 %rd3, out; add.s64 %rd3, %rd3, %rd1; ld.param.b32 %r1, [%rd3];", {"parameters of 8 bytes"}}),
    [](const auto &bug) { return std::string(bug.param.name); });

TEST(CheckersOfTheDriver, UseAfterFree) {
  Card card;
  auto *kernel = card.load(kernel_text("ld.global.b32 %r1, [%rd2];"));
  DevicePointer buffer = card.allocate(256);
  ASSERT_EQ(cuMemFree_v2(buffer), kSuccess);
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, buffer), kIllegalAddress);
  ASSERT_EQ(Card::findings().size(), 1u);
  EXPECT_EQ(Card::findings()[0].kind, FindingKind::kUseAfterFree);
  EXPECT_NE(Card::report().find("a freed allocation of 256 bytes"), std::string::npos) << Card::report();
}

/// What comes to the same state again never ends, and is told at once; what does not, after its time. Both with the line
/// and the thread that does not get on, though other lanes of its warp wait elsewhere.
TEST(CheckersOfTheDriver, ALoopWithoutEndIsToldNotHung) {
  for (bool counts : {false, true}) {
    setenv("TENON_EMULATOR_TIMEOUT", counts ? "1" : "600", 1);
    Card card;
    auto *kernel = card.load(kernel_text("setp.ne.u32 %p0, %r0, 37; @%p0 bra OUT; mov.u64 %rd3, 0; LOOP:\nadd.u64 %rd3, %rd3, " +
                                         std::string(counts ? "1" : "0") + "; bra LOOP;\nOUT: st.global.b32 [%rd2], %r0;"));
    EXPECT_EQ(card.launch(kernel, 1, 64, 0, card.allocate(256)), kLaunchTimeout);
    unsetenv("TENON_EMULATOR_TIMEOUT");
    ASSERT_EQ(Card::findings().size(), 1u) << Card::report();
    const Finding finding = Card::findings()[0];
    EXPECT_EQ(finding.kind, counts ? FindingKind::kTimeout : FindingKind::kDeadlock);
    EXPECT_EQ(finding.location.line, 8u) << finding.text;
    EXPECT_EQ(finding.thread->thread[0], 37u) << finding.text;
  }
}

/// A lane of its own, and the threads that have come.
TEST(CheckersOfTheDriver, ABarrierThatTooFewReachSaysWhoWaits) {
  Card card;
  auto *kernel = card.load(kernel_text("setp.lt.u32 %p0, %r0, 32; @!%p0 bra OTHER; setp.lt.u32 %p0, %r0, 3; @%p0 exit;\n"
                                       "bar.sync 1, 64;\nbra END;\nOTHER: bar.sync 2, 96;\nEND:"));
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, card.allocate(256)), kLaunchTimeout);
  ASSERT_EQ(Card::findings().size(), 2u) << Card::report();
  EXPECT_EQ(Card::findings()[0].location.line, 8u);
  EXPECT_EQ(Card::findings()[0].thread->thread[0], 3u);
  EXPECT_NE(Card::report().find("waits at barrier 1, which not all threads reach: 32 of 64 threads have arrived"), std::string::npos) << Card::report();
  EXPECT_EQ(Card::findings()[1].location.line, 10u);
  EXPECT_NE(Card::report().find("32 of 96 threads have arrived"), std::string::npos) << Card::report();
}

/// A block without a loop never uses up a turn: its instructions are counted when it ends.
TEST(CheckersOfTheDriver, TheBudgetHoldsWithoutLoopsToo) {
  for (const char *budget : {"100", "1000000"}) {
    const bool enough = budget == std::string("1000000");
    setenv("TENON_EMULATOR_BUDGET", budget, 1);
    Card card;
    auto *kernel = card.load(kernel_text("add.u32 %r4, %r0, %r0;"));
    EXPECT_EQ(card.launch(kernel, 1000, 64, 0, card.allocate(256)), enough ? kSuccess : kLaunchTimeout);
    unsetenv("TENON_EMULATOR_BUDGET");
    ASSERT_EQ(Card::findings().size(), enough ? 0u : 1u) << Card::report();
    if (!enough)
      EXPECT_NE(Card::report().find("budget of 100 warp instructions"), std::string::npos) << Card::report();
  }
}

TEST(CheckersOfTheDriver, AFaultStaysUntilTheContextGoes) {
  {
    Card card;
    auto *kernel = card.load(kernel_text("st.global.b32 [%rd2+100000], %r0;"));
    DevicePointer buffer = card.allocate(256);
    void *arguments[] = {&buffer};
    EXPECT_EQ(cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, 0, nullptr, arguments, nullptr), kSuccess) << "a fault is told later";
    EXPECT_EQ(cuCtxSynchronize(), kIllegalAddress);
    EXPECT_EQ(cuStreamSynchronize(nullptr), kIllegalAddress);
    EXPECT_EQ(cuLaunchKernel(kernel, 1, 1, 1, 64, 1, 1, 0, nullptr, arguments, nullptr), kIllegalAddress);
    EXPECT_EQ(cuMemAlloc_v2(&buffer, 4), kIllegalAddress);
  }
  Card fresh;
  EXPECT_EQ(cuCtxSynchronize(), kSuccess);
}

TEST(CheckersOfTheDriver, WrongGeometryIsRefusedWithItsReason) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".visible .entry kernel(.param .u64 out) .reqntid 64, 1, 1 { ret; }");
  EXPECT_EQ(card.launch(kernel, 1, 32, 0, DevicePointer{0}), kInvalidValue);
  EXPECT_NE(Card::report().find(".reqntid says 64 x 1 x 1"), std::string::npos) << Card::report();
  tenonEmulatorClearReport();
  EXPECT_EQ(card.launch(kernel, 0, 64, 0, DevicePointer{0}), kInvalidValue);
  EXPECT_NE(Card::report().find("launch geometry"), std::string::npos);
  EXPECT_EQ(Card::findings()[0].detail, "a grid of 0 x 1 x 1 blocks is not within 2147483647 x 65535 x 65535");
  EXPECT_NE(Card::findings()[0].ptx.find(".visible .entry kernel"), std::string::npos) << Card::findings()[0].ptx;
  EXPECT_EQ(card.launch(kernel, 0, 64, 0, DevicePointer{0}), kInvalidValue);
  EXPECT_EQ(card.launch(kernel, 1, 2048, 0, DevicePointer{0}), kInvalidValue);
  ASSERT_EQ(Card::findings().size(), 2u) << "another reason is another finding";
  EXPECT_EQ(Card::findings()[0].count, 2u);
  tenonEmulatorClearReport();
  EXPECT_EQ(card.launch(kernel, 1, 64, 100000, DevicePointer{0}), kInvalidValue);
  EXPECT_NE(Card::report().find("100000 bytes of dynamic shared memory"), std::string::npos) << Card::report();
  EXPECT_NE(Card::report().find("must be opted in to"), std::string::npos) << Card::report();
  tenonEmulatorClearReport();
  EXPECT_EQ(card.launch(kernel, 1, 64, 999999, DevicePointer{0}), kInvalidValue);
  EXPECT_NE(Card::report().find("the device's 166912"), std::string::npos) << Card::report();
  EXPECT_EQ(Card::report().find("opted in"), std::string::npos) << Card::report();
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, DevicePointer{0}), kSuccess);
}

TEST(CheckersOfTheDriver, ARightKernelHasNoFindings) {
  Card card;
  auto *kernel = card.load(kernel_text("st.global.b32 [%rd2], %r0; ld.global.b32 %r1, [%rd2];"));
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, card.allocate(256)), kSuccess);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(CheckersOfTheDriver, CountsInstructions) {
  Card card;
  auto *kernel = card.load(kernel_text("st.global.b32 [%rd2], %r0;"));
  EXPECT_EQ(card.launch(kernel, 1, 192, 0, card.allocate(1024)), kSuccess);
  std::string json(tenonEmulatorCounters(nullptr, 0), '\0');
  tenonEmulatorCounters(json.data(), json.size());
  EXPECT_NE(json.find("\"launches\":1,\"blocks\":1,\"warp_instructions\":36"), std::string::npos) << json; // 6 instructions, 6 warps
  EXPECT_NE(json.find("\"st.global.b32\":6"), std::string::npos) << json;
}

} // namespace
} // namespace tenon::emulator
