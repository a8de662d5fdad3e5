// For every checker kernels with one bug each, which must be named with its line, and the same kernels unbroken, which
// must pass, in both orders of the warps. Where `same_output` is set, the broken kernel computes what the right one does
// where warps run forward: a comparison with a reference would not have seen the bug.
#include "PlantedKernel.h"
#include <algorithm>

namespace tenon::emulator {
namespace {

using namespace planted;

struct Planted {
  const char *name;
  FindingKind kind;
  const char *body;        // the right kernel
  const char *right, *bug; // what of it becomes what
  bool same_output = false;
  Status status = kSuccess;
  unsigned blocks = 1;
};
void PrintTo(const Planted &planted, std::ostream *os) { *os << planted.name; }

/// `forward`: the warps run in that order.
void expect_named(const Planted &planted, const std::string &right, const std::string &broken, bool forward) {
  const Outcome good = run(right, planted.blocks);
  EXPECT_EQ(good.status, kSuccess);
  EXPECT_EQ(good.report, "nothing found\n");

  const Outcome bad = run(broken, planted.blocks);
  EXPECT_EQ(bad.status, planted.status) << bad.report;
  const auto found = std::find_if(bad.findings.begin(), bad.findings.end(),
                                  [&](const Finding &finding) { return finding.kind == planted.kind; });
  ASSERT_NE(found, bad.findings.end()) << bad.report;
  EXPECT_EQ(found->kernel, "kernel");
  EXPECT_GE(found->location.line, 4u);
  EXPECT_TRUE(found->thread.has_value());
  EXPECT_FALSE(found->ptx.empty());
  if (planted.same_output && forward)
    EXPECT_EQ(bad.output, good.output);
}

class PlantedBug : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBug, IsNamedAndTheRightKernelPasses) {
  const Planted &planted = GetParam();
  const std::string right = planted.body;
  const size_t at = right.find(planted.right);
  ASSERT_NE(at, right.npos);
  std::string broken = right;
  broken.replace(at, std::string(planted.right).size(), planted.bug);

  for (const char *schedule : {"forward", "reverse"}) {
    SCOPED_TRACE(schedule);
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    expect_named(planted, right, broken, schedule == std::string("forward"));
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}

#define STAGE "cp.async.ca.shared.global [%r2], [%rd3], 4; cp.async.commit_group;\n"

#define TWICE(gate) "mbarrier.arrive.shared.b64 _, [" gate "]; mbarrier.arrive.shared.b64 _, [" gate "];"
#define ARRIVE "mbarrier.arrive.shared.b64 _, [gate];\n"

#define ARRIVALS(arrives) \
  ".shared .align 8 .b64 gate; setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [gate], 64; bar.sync 0;\n@%p0 " arrives "\nst.global.b32 [%rd2], %r0;"
const Planted kPlanted[] = {
    // bounds
    {"GlobalWriteBehindTheEnd", FindingKind::kOutOfBounds, "st.global.b32 [%rd2], %r0;", "[%rd2]", "[%rd2+1024]", false,
     kIllegalAddress},
    {"GlobalWriteFarBehindTheEnd", FindingKind::kOutOfBounds, "st.global.b32 [%rd2], %r0;", "[%rd2]", "[%rd2+32768]", false,
     kIllegalAddress},
    {"GlobalReadBehindTheEnd", FindingKind::kOutOfBounds,
     "setp.lt.u32 %p0, %r0, 63; mov.u32 %r4, 7; @%p0 ld.global.b32 %r4, [%rd3+772]; st.global.b32 [%rd2], %r0;", "@%p0", "",
     false, kIllegalAddress, 1},
    {"SharedWriteBeyondItsSize", FindingKind::kOutOfBounds, "st.shared.b32 [%r2], %r0;", "[%r2]", "[%r2+4]", false, kIllegalAddress},
    {"SharedReadBeyondItsSize", FindingKind::kOutOfBounds,
     "st.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 4; ld.shared.b32 %r5, [%r4];", "[%r4]", "[%r4+256]", false,
     kIllegalAddress},
    // alignment
    {"GlobalVectorMisaligned", FindingKind::kMisaligned, "ld.global.v2.b32 {%r4, %r5}, [%rd1];", "[%rd1]", "[%rd1+4]",
     false, kMisalignedAddress},
    {"SharedMisaligned", FindingKind::kMisaligned, "and.b32 %r4, %r2, -8; mov.b64 %rd5, 1; st.shared.b64 [%r4], %rd5;",
     "st.shared.b64 [%r4]", "st.shared.b64 [%r4+4]", false, kMisalignedAddress},
    // uninitialised
    {"SharedNeverWritten", FindingKind::kUninitialisedMemory,
     "st.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "st.shared.b32", "setp.lt.u32 %p0, %r0, 63; @%p0 st.shared.b32"},
    {"SharedPartlyWritten", FindingKind::kUninitialisedMemory,
     "mov.u32 %r4, 0; st.shared.b32 [%r2], %r4; ld.shared.b32 %r5, [%r2]; and.b32 %r5, %r5, 255; st.global.b32 [%rd2], %r5;",
     "st.shared.b32", "st.shared.b8", true},
    {"LocalNeverWritten", FindingKind::kUninitialisedMemory,
     "st.local.b32 [own], %r0; st.local.b32 [own+4], %r0; ld.local.b32 %r4, [own+4]; st.global.b32 [%rd2], %r0;",
     "[own+4], %r0", "[own+8], %r0", true},
    {"LocalWrittenBySomeThreads", FindingKind::kUninitialisedMemory,
     "setp.lt.u32 %p0, %r0, 63; st.local.b32 [own], %r0; ld.local.b32 %r4, [own]; st.global.b32 [%rd2], %r4;",
     "st.local.b32", "@%p0 st.local.b32"},
    {"RegisterNeverWritten", FindingKind::kUninitialisedRegister, "mov.u32 %r9, 0; add.u32 %r4, %r9, %r0; st.global.b32 [%rd2], %r4;",
     "mov.u32 %r9, 0;", "", true},
    {"RegisterWrittenOnOnePath", FindingKind::kUninitialisedRegister,
     "setp.lt.u32 %p0, %r0, 40; mov.u32 %r9, 1; @%p0 mov.u32 %r9, 2; st.global.b32 [%rd2], %r9;", "mov.u32 %r9, 1;", ""},
    // What is copied is told where it is used: holes of structures are copied along, as compilers do.
    {"ACopyOfLocalMemoryIsComputedWith", FindingKind::kUninitialisedMemory,
     "st.local.b32 [own], %r0; ld.local.v2.b32 {%r4, %r5}, [own]; st.local.v2.b32 [own+8], {%r4, %r5}; ld.local.b32 %r6, [own+8]; "
     "add.u32 %r6, %r6, 1; st.global.b32 [%rd2], %r6;", "ld.local.b32 %r6, [own+8]", "ld.local.b32 %r6, [own+12]"},
    {"ACopyOfLocalMemoryGetsToOtherThreads", FindingKind::kUninitialisedMemory,
     "mov.u64 %rd6, own; cvta.local.u64 %rd5, %rd6; st.local.b32 [own], %r0; ld.b32 %r4, [%rd5]; st.b32 [%rd2], %r4;", "[own], %r0",
     "[own+4], %r0"},
    {"HalfOfACopiedWordIsUsed", FindingKind::kUninitialisedMemory,
     ".reg .b16 %h<4>; cvt.u16.u32 %h0, %r0; st.local.b16 [own+2], %h0; ld.local.b32 %r4, [own]; st.local.b32 [own+8], %r4; ld.local.b16 %h1, [own+10]; "
     "st.global.b16 [%rd2], %h1;", "[own+10]", "[own+8]"},
    {"ACopyThatAlsoDecides", FindingKind::kUninitialisedMemory,
     "st.local.b32 [own], %r0; ld.local.b32 %r4, [own]; setp.eq.u32 %p0, %r4, 0; st.local.b32 [own+8], %r4;", "%r4, [own]", "%r4, [own+4]", true},
    // races in shared memory
    {"VolatileIsNoBarrier", FindingKind::kSharedRace,
     "st.volatile.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 128; setp.gt.u32 %p0, %r0, 31; mov.u32 %r5, 0; "
     "@%p0 ld.volatile.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "bar.sync 0;", "", true},
    {"VolatileIsNoWarpBarrier", FindingKind::kWarpRace,
     "st.volatile.shared.b32 [%r2], %r0; bar.warp.sync -1; xor.b32 %r4, %r2, 4; ld.volatile.shared.b32 %r5, [%r4]; bar.warp.sync -1; "
     "st.volatile.shared.b32 [%r2], %r5; st.global.b32 [%rd2], %r5;",
     "bar.warp.sync -1;", "", true},
    {"ALoopOverVolatileWordsWaitsForNobody", FindingKind::kSharedRace,
     "st.volatile.shared.b32 [%r2], %r0; bar.sync 0; mov.u32 %r4, box; mov.u32 %r5, 0; mov.u32 %r6, 0; NEXT: ld.volatile.shared.b32 %r7, [%r4]; "
     "add.u32 %r5, %r5, %r7; add.u32 %r4, %r4, 4; add.u32 %r6, %r6, 1; setp.lt.u32 %p0, %r6, 64; @%p0 bra NEXT; st.global.b32 [%rd2], %r5;",
     "bar.sync 0;", "bar.warp.sync -1;"},
    {"LanesWriteOneVolatileWord", FindingKind::kWarpRace,
     "setp.eq.u32 %p0, %r0, 0; @%p0 st.volatile.shared.b32 [box], %r0;", "setp.eq.u32 %p0, %r0, 0;", "setp.lt.u32 %p0, %r0, 32;"},
    {"MissingBarrierBeforeReading", FindingKind::kSharedRace,
     "st.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 128; setp.gt.u32 %p0, %r0, 31; mov.u32 %r5, 0; "
     "@%p0 ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "bar.sync 0;", "", true},
    {"MissingBarrierBeforeOverwriting", FindingKind::kSharedRace,
     "st.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; bar.sync 1; "
     "st.shared.b32 [%r2], %r5; st.global.b32 [%rd2], %r0;",
     "bar.sync 1;", "", true},
    {"TwoWarpsWriteOneWord", FindingKind::kSharedRace,
     "setp.lt.u32 %p0, %r0, 32; shr.u32 %r4, %r0, 5; @%p0 st.shared.b32 [box], %r4;", "@%p0", ""},
    {"HalvesOfWordsUnordered", FindingKind::kSharedRace,
     ".reg .b16 %h<4>; cvt.u16.u32 %h0, %r0; shl.b32 %r4, %r0, 1; mov.u32 %r5, box; add.u32 %r4, %r4, %r5; st.shared.b16 [%r4], %h0; "
     "bar.sync 0; ld.shared.b16 %h1, [box+100]; st.global.b16 [%rd2], %h1;",
     "bar.sync 0;", ""},
    {"ABarrierOfTheOtherWarpOrdersNothing", FindingKind::kSharedRace,
     "st.shared.b32 [%r2], %r0; bar.sync 1, 64; setp.gt.u32 %p0, %r0, 31; mov.u32 %r5, 0; xor.b32 %r4, %r2, 128; "
     "@%p0 ld.shared.b32 %r5, [%r4];",
     "bar.sync 1, 64;", "shr.u32 %r6, %r0, 5; add.u32 %r6, %r6, 1; bar.sync %r6, 32;"},
    {"AWarpThatExitedWasAtNoBarrierOfTheOther", FindingKind::kSharedRace,
     "setp.lt.u32 %p0, %r0, 32; @%p0 bra TAKE; st.shared.b32 [%r2], %r0; bar.arrive 1, 64; exit; TAKE: bar.sync 1, 64; xor.b32 %r4, %r2, 128; "
     "ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "bar.arrive 1, 64; exit; TAKE: bar.sync 1, 64;", "exit; TAKE: bar.sync 1, 32;"},
    {"AWarpThatExitedReadBeforeNoBarrierOfTheOther", FindingKind::kSharedRace,
     "st.shared.b32 [%r2], %r0; bar.sync 0; xor.b32 %r4, %r2, 128; setp.lt.u32 %p0, %r0, 32; @%p0 bra PUT; ld.shared.b32 %r5, [%r4]; "
     "st.global.b32 [%rd2], %r5; bar.arrive 1, 64; exit; PUT: bar.sync 1, 64; st.shared.b32 [%r2], 7;",
     "bar.arrive 1, 64; exit; PUT: bar.sync 1, 64;", "exit; PUT: bar.sync 1, 32;"},
    {"AtomicAndPlainWrites", FindingKind::kSharedRace,
     "setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.b32 [box], 0; bar.sync 0; atom.shared.add.u32 %r4, [box], 1; bar.sync 0; ld.shared.b32 %r5, [box];",
     "atom.shared.add.u32 %r4, [box], 1; bar.sync 0;", "atom.shared.add.u32 %r4, [box], 1;"},
    // races inside a warp
    {"LanesWriteOneWord", FindingKind::kWarpRace,
     "setp.eq.u32 %p0, %r0, 5; @%p0 st.shared.b32 [box], %r0;", "setp.eq.u32 %p0, %r0, 5", "setp.lt.u32 %p0, %r0, 5"},
    {"LanesWriteOneWordOfGlobalMemory", FindingKind::kWarpRace,
     "setp.eq.u32 %p0, %r0, 4; @%p0 st.global.b32 [%rd0], %r0;", "setp.eq.u32 %p0, %r0, 4", "setp.lt.u32 %p0, %r0, 5", true},
    {"PartedLanesWithoutSyncwarp", FindingKind::kWarpRace,
     "setp.lt.u32 %p1, %r0, 32; @!%p1 bra END; setp.eq.u32 %p0, %r0, 3; @!%p0 bra SKIP; st.shared.b32 [box], 77; SKIP: bar.warp.sync -1; "
     "ld.shared.b32 %r4, [box]; st.global.b32 [%rd2], %r4; END:",
     "bar.warp.sync -1;", "", true},
    {"PartedLanesOverwriteWhatOthersRead", FindingKind::kWarpRace,
     "setp.lt.u32 %p1, %r0, 32; @!%p1 bra END; st.shared.b32 [%r2], %r0; bar.warp.sync -1; xor.b32 %r4, %r2, 4; ld.shared.b32 %r5, [%r4]; bar.warp.sync 0xffffffff; "
     "setp.eq.u32 %p0, %r0, 3; @!%p0 bra END; st.shared.b32 [%r2], 9; END:",
     "bar.warp.sync 0xffffffff;", "", true},
    // Lanes that run side by side all the same: on a card they may part at any instruction.
    {"LanesExchangeWithoutSyncwarp", FindingKind::kWarpRace,
     "st.shared.b32 [%r2], %r0; bar.warp.sync -1; xor.b32 %r4, %r2, 4; ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "bar.warp.sync -1;", "", true},
    {"LanesOverwriteWhatTheirNeighboursRead", FindingKind::kWarpRace,
     "st.shared.b32 [%r2], %r0; bar.warp.sync -1; xor.b32 %r4, %r2, 4; ld.shared.b32 %r5, [%r4]; bar.warp.sync 0xffffffff; "
     "st.shared.b32 [%r2], %r5; st.global.b32 [%rd2], %r5;",
     "bar.warp.sync 0xffffffff;", "", true},
    {"AShuffleThatCameTooEarly", FindingKind::kWarpRace,
     "st.shared.b32 [%r2], %r0; shfl.sync.bfly.b32 %r6, %r0, 1, 31, -1; xor.b32 %r4, %r2, 8; ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "st.shared.b32 [%r2], %r0; shfl.sync.bfly.b32 %r6, %r0, 1, 31, -1;", "shfl.sync.bfly.b32 %r6, %r0, 1, 31, -1; st.shared.b32 [%r2], %r0;", true},
    // races in global memory
    {"BlocksWriteOneWord", FindingKind::kGlobalRace,
     "setp.eq.u32 %p0, %r1, 0; @%p0 st.global.b32 [%rd0], %r1;", "%r1, 0", "%r0, 0", false, kSuccess, 2},
    {"BlocksReadWhatOthersWrite", FindingKind::kGlobalRace, "st.global.b32 [%rd2], %r1; ld.global.b32 %r4, [%rd2];",
     "ld.global.b32 %r4, [%rd2]", "ld.global.b32 %r4, [%rd0+256]", true, kSuccess, 2},
    {"WarpsOfOneBlockWithoutABarrier", FindingKind::kGlobalRace,
     "st.global.b32 [%rd2], %r0; bar.sync 0; ld.global.b32 %r4, [%rd0];", "bar.sync 0;", "", true},
    {"ACounterWithoutAFence", FindingKind::kGlobalRace,
     "st.global.b32 [%rd2], %r0; membar.gl; bar.sync 0; setp.eq.u32 %p0, %r0, 0; mov.u32 %r4, 0; @%p0 atom.global.add.u32 %r4, [%rd0+1020], 1; "
     "setp.eq.u32 %p1, %r4, 1; xor.b32 %r6, %r1, 64; mul.wide.u32 %rd5, %r6, 4; add.s64 %rd5, %rd5, %rd0; @%p1 ld.global.b32 %r5, [%rd5]; ",
     "membar.gl;", "", true, kSuccess, 2},
    {"ABlockOverwritesWhatBothRead", FindingKind::kGlobalRace,
     "ld.global.b32 %r4, [%rd0+256]; bar.sync 0; setp.eq.u32 %p0, %r1, 64; @%p0 st.global.b32 [%rd0+252], %r4;", "[%rd0+252]", "[%rd0+256]",
     false, kSuccess, 2},
    {"ABlockReadsWhatBothWrote", FindingKind::kGlobalRace,
     "st.global.b32 [%rd0+512], 7; setp.eq.u32 %p0, %r1, 64; @%p0 ld.global.b32 %r4, [%rd0+256];", "[%rd0+256]", "[%rd0+512]", true,
     kSuccess, 2},
    {"AWarpOverwritesWhatBothRead", FindingKind::kGlobalRace,
     "ld.global.b32 %r4, [%rd0]; bar.sync 0; setp.eq.u32 %p0, %r0, 32; @%p0 st.global.b32 [%rd0], 9;", "bar.sync 0;", ""},
    // asynchronous copies
    {"CopyReadBeforeItsWait", FindingKind::kPendingCopy,
     STAGE "cp.async.wait_group 0;\nld.shared.b32 %r4, [%r2]; st.global.b32 [%rd2], %r4;", "wait_group 0", "wait_group 1"},
    {"CopyNeverWaitedFor", FindingKind::kPendingCopy,
     STAGE "cp.async.wait_all;\nbar.sync 0; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "cp.async.wait_all;", ""},
    {"CopyOverwritesAPendingOne", FindingKind::kPendingCopy,
     STAGE "cp.async.wait_group 0; bar.sync 0;\n" STAGE "cp.async.wait_group 0;\nld.shared.b32 %r4, [%r2];", "cp.async.wait_group 0; bar.sync 0;",
     "", true},
    {"WaitWithoutABarrier", FindingKind::kSharedRace,
     STAGE "cp.async.wait_group 0;\nbar.sync 0; xor.b32 %r4, %r2, 128; setp.gt.u32 %p0, %r0, 31; mov.u32 %r5, 0; @%p0 ld.shared.b32 %r5, [%r4]; st.global.b32 [%rd2], %r5;",
     "bar.sync 0;", "", true},
    {"StageOverwrittenWhileItIsRead", FindingKind::kSharedRace,
     STAGE "cp.async.wait_group 0;\nbar.sync 0; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; bar.sync 1;\n" STAGE
           "cp.async.wait_group 0; st.global.b32 [%rd2], %r5;",
     "bar.sync 1;", ""},
    {"SourceOfACopyOverwrittenBeforeItsWait", FindingKind::kPendingCopy,
     STAGE "cp.async.wait_all;\nst.global.b32 [%rd3], %r0; ld.shared.b32 %r4, [%r2]; st.global.b32 [%rd2], %r4;", "cp.async.wait_all;\nst.global.b32 [%rd3], %r0;",
     "st.global.b32 [%rd3], %r0; cp.async.wait_all;", true},
    {"SourceOfACopyOverwrittenByAnotherWarp", FindingKind::kPendingCopy,
     "and.b32 %r7, %r0, 60; xor.b32 %r7, %r7, 32; mul.wide.u32 %rd5, %r7, 4; add.s64 %rd5, %rd5, %rd1; and.b32 %r8, %r0, 3; setp.eq.u32 %p1, %r8, 0; "
     "cp.async.ca.shared.global [%r2], [%rd3], 4, 2; cp.async.commit_group; bar.sync 0; @%p1 st.global.b16 [%rd5+18], 7; cp.async.wait_group 0;",
     "[%rd5+18]", "[%rd5+16]", true},
    {"SourceOfACopyChangedByAnAtomic", FindingKind::kPendingCopy,
     STAGE "red.global.add.u32 [%rd3+256], 1; cp.async.wait_group 0;", "[%rd3+256]", "[%rd3]", true},
    // mbarrier objects
    {"ReadWithoutWaitingForTheMbarrier", FindingKind::kSharedRace,
     GATE "st.shared.b32 [%r2], %r0; mbarrier.arrive.shared.b64 _, [gate];\nWAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT;\n"
          "xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4];",
     "@!%p3 bra WAIT;", "", true},
    {"CopyReadBeforeItsMbarrier", FindingKind::kPendingCopy,
     GATE "cp.async.ca.shared.global [%r2], [%rd3], 4; cp.async.mbarrier.arrive.noinc.shared.b64 [gate];\n"
          "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT;\nld.shared.b32 %r4, [%r2]; st.global.b32 [%rd2], %r4;",
     "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT;", ""},
    {"StageOverwrittenBeforeItsReadersArrived", FindingKind::kSharedRace,
     GATE "setp.lt.u32 %p1, %r0, 32; @!%p1 bra TAKE; st.shared.b32 [%r2], %r0; " TWICE("gate") "\n"
          "EMPTY: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], %r6; @!%p3 bra EMPTY;\nst.shared.b32 [%r2], 7; bra END;\n"
          "TAKE: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra TAKE;\nxor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; "
          TWICE("gate+8") " END:",
     "@!%p3 bra EMPTY;", "", true},
    {"MbarrierUsedBeforeOthersKnowIt", FindingKind::kSharedRace, GATE ARRIVE, "bar.sync 0;", "bar.warp.sync -1;", true},
    {"MbarrierWaitedForBeforeOthersKnowIt", FindingKind::kSharedRace, GATE "mbarrier.test_wait.parity.shared.b64 %p3, [gate], 1;", "bar.sync 0;", "", true},
    {"MbarrierNeverInitialised", FindingKind::kMbarrierMisuse, GATE ARRIVE, "mbarrier.init.shared.b64 [gate], 64;", "mov.u32 %r6, 0;", true},
    {"MbarrierUsedAfterItsEnd", FindingKind::kMbarrierMisuse,
     GATE ARRIVE "bar.sync 0; @%p0 mbarrier.inval.shared.b64 [gate]; bar.sync 0; mbarrier.arrive.shared.b64 _, [gate+8];\n", "_, [gate+8]", "_, [gate]", true},
    {"MbarrierEndedTwice", FindingKind::kMbarrierMisuse,
     GATE "@%p0 mbarrier.inval.shared.b64 [gate]; @%p0 mbarrier.inval.shared.b64 [gate+8];", "[gate+8];", "[gate];", true},
    {"MbarrierEndedWhileAnotherWarpArrives", FindingKind::kSharedRace,
     GATE ARRIVE "bar.sync 1; setp.eq.u32 %p1, %r0, 63; @%p1 mbarrier.inval.shared.b64 [gate];", "bar.sync 1;", "", true},
    {"MbarrierOverwritten", FindingKind::kMbarrierMisuse,
     GATE "@%p0 mbarrier.inval.shared.b64 [gate]; @%p0 st.shared.b64 [gate], %rd0; bar.sync 0; mbarrier.arrive.shared.b64 _, [gate+8];",
     "@%p0 mbarrier.inval.shared.b64 [gate];", "", true},
    {"MbarrierUsedAfterItWasOverwritten", FindingKind::kMbarrierMisuse,
     GATE "@%p0 mbarrier.inval.shared.b64 [gate]; @%p0 st.shared.b64 [gate], %rd0; bar.sync 0; mbarrier.arrive.shared.b64 _, [gate+8];", "_, [gate+8]", "_, [gate]",
     true},
    {"MbarrierOverwrittenWhileOthersArrive", FindingKind::kMbarrierMisuse,
     GATE ARRIVE "setp.eq.u32 %p1, %r0, 40; @%p1 st.shared.b32 [box], 0;", "[box], 0", "[gate], 0", true},
    {"MbarrierInitialisedAgain", FindingKind::kMbarrierMisuse,
     GATE ARRIVE "bar.sync 0; @%p0 mbarrier.inval.shared.b64 [gate]; @%p0 mbarrier.init.shared.b64 [gate], 64;", "@%p0 mbarrier.inval.shared.b64 [gate];", "", true},
    {"MbarrierInitialisedAgainWhileOthersArrive", FindingKind::kMbarrierMisuse,
     GATE ARRIVE "@%p0 mbarrier.init.shared.b64 [box], 64;", "[box], 64", "[gate], 64", true},
    {"MbarrierReadAsANumber", FindingKind::kMbarrierMisuse,
     GATE "st.shared.b32 [%r2], %r0; bar.sync 0; ld.shared.b32 %r4, [box+4];", "[box+4]", "[gate+4]", true},
    // divergence
    {"BarrierInOneBranch", FindingKind::kDivergentBarrier,
     "setp.lt.u32 %p0, %r0, 5; bar.sync 0; @!%p0 bra B; add.u32 %r4, %r0, 1; B: st.global.b32 [%rd2], %r0;",
     "bar.sync 0; @!%p0 bra B; add.u32 %r4, %r0, 1; B:", "@!%p0 bra B; bar.sync 0; bra C; B: bar.sync 0; C:", true},
    {"BarrierUnderAPredicate", FindingKind::kDivergentBarrier,
     "setp.ne.u32 %p0, %r0, 5; st.shared.b32 [%r2], %r0; bar.sync 0; st.global.b32 [%rd2], %r0; bar.sync 0;", "bar.sync 0;", "@%p0 bar.sync 0;", true},
    {"ShuffleInOneBranch", FindingKind::kDivergentWarp,
     "setp.lt.u32 %p0, %r0, 5; shfl.sync.bfly.b32 %r4, %r0, 1, 31, -1; @%p0 bra A; A: st.global.b32 [%rd2], %r4;",
     "shfl.sync.bfly.b32 %r4, %r0, 1, 31, -1; @%p0 bra A;", "mov.u32 %r4, 0; @%p0 bra A; shfl.sync.bfly.b32 %r4, %r0, 1, 31, -1;"},
    {"ShuffleFromALaneThatLeft", FindingKind::kDivergentWarp,
     "setp.lt.u32 %p0, %r0, 60; shfl.sync.idx.b32 %r4, %r0, 0, 31, -1; @!%p0 exit; st.global.b32 [%rd2], %r4;",
     "shfl.sync.idx.b32 %r4, %r0, 0, 31, -1; @!%p0 exit;", "@!%p0 exit; shfl.sync.idx.b32 %r4, %r0, 31, 31, -1;"},
    {"MaskWithoutTheLaneItself", FindingKind::kWrongMembers,
     "shfl.sync.bfly.b32 %r4, %r0, 1, 31, 0xffffffff; st.global.b32 [%rd2], %r4;", "0xffffffff", "0x7fffffff", true},
    {"LanesDisagreeAboutTheMask", FindingKind::kWrongMembers,
     "setp.eq.u32 %p0, %r0, 3; selp.b32 %r5, -1, -1, %p0; vote.sync.ballot.b32 %r4, 1, %r5; st.global.b32 [%rd2], %r0;",
     "-1, -1, %p0", "0xff, -1, %p0", true},
    // progress
    {"BarrierThatTooFewReach", FindingKind::kDeadlock, "bar.sync 1, 64; st.global.b32 [%rd2], %r0;", "64", "96", false, kLaunchTimeout},
    {"WarpsAtDifferentBarriers", FindingKind::kDeadlock,
     "setp.lt.u32 %p0, %r0, 32; @%p0 bra A; bar.sync 0; bra B; A: bar.sync 0; B: st.global.b32 [%rd2], %r0;", "A: bar.sync 0;", "A: bar.sync 1;",
     false, kLaunchTimeout},
    {"WaitForAnMbarrierThatWasNeverInitialised", FindingKind::kDeadlock,
     GATE ARRIVE "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT; st.global.b32 [%rd2], %r0;",
     "@%p0 mbarrier.init.shared.b64 [gate], 64;", "@%p0 st.shared.b64 [gate], 0;", false, kLaunchTimeout},
    {"WaitForAnMbarrierThatWasInvalidated", FindingKind::kDeadlock,
     GATE ARRIVE "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT; bar.sync 0; @%p0 mbarrier.inval.shared.b64 [gate]; bar.sync 0; "
                 "AGAIN: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], 1; @!%p3 bra AGAIN; st.global.b32 [%rd2], %r0;",
     "[gate+8], 1; @!%p3 bra AGAIN", "[gate], %r6; @!%p3 bra AGAIN", false, kLaunchTimeout},
    {"ArrivalsThatNeverCome", FindingKind::kDeadlock,
     GATE "setp.ne.u32 %p1, %r0, 40;\n" ARRIVE "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT; st.global.b32 [%rd2], %r0;",
     "\nmbarrier.arrive", "\n@%p1 mbarrier.arrive", false, kLaunchTimeout},
    {"WarpsWaitForEachOther", FindingKind::kDeadlock,
     GATE "setp.lt.u32 %p1, %r0, 32; @%p1 bra LOW; WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], %r6; @!%p3 bra WAIT; "
          TWICE("gate+8") " bra END;\n"
          "LOW: " TWICE("gate") " BACK: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], %r6; @!%p3 bra BACK; END:",
     "LOW: " TWICE("gate") " BACK: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], %r6; @!%p3 bra BACK;",
     "LOW: BACK: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], %r6; @!%p3 bra BACK; " TWICE("gate"), false,
     kLaunchTimeout},
    // Barriers and their counts.
    {"OneBarrierForTwoCounts", FindingKind::kWrongMembers,
     "setp.lt.u32 %p0, %r0, 32; @!%p0 bra HIGH; bar.sync 1, 64; bra END; HIGH: bar.sync 1, 64; END: st.global.b32 [%rd2], %r0;",
     "HIGH: bar.sync 1, 64", "HIGH: bar.sync 1, 32", true},
    {"CountOfAllThreadsAndOfSome", FindingKind::kWrongMembers,
     "setp.lt.u32 %p0, %r0, 32; @!%p0 bra HIGH; bar.sync 1; bra END; HIGH: bar.sync 1, 64; END: st.global.b32 [%rd2], %r0;",
     "HIGH: bar.sync 1, 64", "HIGH: bar.sync 1, 32", true},
    {"MoreArrivalsThanPending", FindingKind::kMbarrierMisuse, ARRIVALS("mbarrier.arrive.noComplete.shared.b64 %rd5, [gate], 60;"), "], 60;\n", "], 65;\n"},
    {"AnArrivalOfNobody", FindingKind::kMbarrierMisuse, ARRIVALS("mbarrier.arrive.noComplete.shared.b64 %rd5, [gate], 1;"), "], 1;\n", "], 0;\n"},
    {"NoCompleteThatCompletes", FindingKind::kMbarrierMisuse, ARRIVALS("mbarrier.arrive.noComplete.shared.b64 %rd5, [gate], 63;"), "], 63;\n", "], 64;\n"},
    // Updates lost inside a warp, where all lanes store the same.
    {"HistogramWithoutAtomics", FindingKind::kWarpRace,
     "st.shared.b32 [%r2], 0; bar.sync 0; and.b32 %r4, %r0, 63; shl.b32 %r4, %r4, 2; mov.u32 %r5, box; add.u32 %r4, %r4, %r5;"
     "ld.shared.b32 %r6, [%r4]; add.u32 %r6, %r6, 1; st.shared.b32 [%r4], %r6;",
     "and.b32 %r4, %r0, 63;", "and.b32 %r4, %r0, 62;"},
    {"CounterInGlobalMemory", FindingKind::kWarpRace,
     "setp.gt.u32 %p0, %r0, 0; @%p0 bra END; ld.global.b32 %r4, [%rd0]; add.u32 %r4, %r4, 1; st.global.b32 [%rd0], %r4; END:",
     "%p0, %r0, 0", "%p0, %r0, 31", true},
    {"Trap", FindingKind::kTrap, "setp.gt.u32 %p0, %r0, 63; @%p0 trap;", "setp.gt.u32 %p0, %r0, 63", "setp.gt.u32 %p0, %r0, 62", false, kLaunchFailed},
    {"TrapInOneBlock", FindingKind::kTrap, "setp.eq.u32 %p0, %r1, 128; @%p0 trap;", "128", "70", false, kLaunchFailed, 2},
};

INSTANTIATE_TEST_SUITE_P(All, PlantedBug, testing::ValuesIn(kPlanted),
                         [](const auto &row) { return std::string(row.param.name); });

/// What depends on the program around the kernel: memory freed, or never written.
class BufferState : public testing::TestWithParam<const char *> {};
TEST_P(BufferState, FreedAndNeverWrittenBuffersAreNamed) {
  for (bool freed : {false, true}) {
    Card card;
    auto *kernel = card.load(text_of(GetParam()));
    const DevicePointer out = card.upload(std::vector<uint32_t>(kWords)), in = card.upload(std::vector<uint32_t>(kWords));
    if (freed) {
      ASSERT_EQ(cuMemFree_v2(out), kSuccess);
    }
    EXPECT_EQ(card.launch(kernel, 1, 64, 0, out, in), freed ? kIllegalAddress : kSuccess);
    ASSERT_EQ(Card::findings().size(), freed ? 1u : 0u) << Card::report();
    if (freed) {
      EXPECT_EQ(Card::findings()[0].kind, FindingKind::kUseAfterFree);
    }
  }
  Card card;
  auto *kernel = card.load(text_of("ld.global.b32 %r9, [%rd3]; " + std::string(GetParam())));
  EXPECT_EQ(card.launch(kernel, 1, 64, 0, card.allocate(kWords * 4), card.allocate(kWords * 4)), kSuccess);
  ASSERT_FALSE(Card::findings().empty());
  EXPECT_EQ(Card::findings()[0].kind, FindingKind::kUninitialisedMemory);
  EXPECT_EQ(Card::findings()[0].access->space, Space::kGlobal);
}
INSTANTIATE_TEST_SUITE_P(Reads, BufferState, testing::Values("ld.global.b32 %r4, [%rd2];"));
INSTANTIATE_TEST_SUITE_P(Writes, BufferState, testing::Values("st.global.b32 [%rd2], %r0;"));

/// The budget of warp instructions ends what would not end; the same loop with an end passes.
class Endless : public testing::TestWithParam<std::pair<const char *, const char *>> {};
TEST_P(Endless, IsTold) {
  setenv("TENON_EMULATOR_BUDGET", "3000000", 1);
  const Outcome right = run(GetParam().first, 1), broken = run(GetParam().second, 1);
  unsetenv("TENON_EMULATOR_BUDGET");
  EXPECT_EQ(right.report, "nothing found\n");
  EXPECT_EQ(broken.status, kLaunchTimeout);
  ASSERT_FALSE(broken.findings.empty());
  EXPECT_EQ(broken.findings[0].kind, FindingKind::kTimeout);
  EXPECT_NE(broken.report.find("budget of 3000000"), std::string::npos) << broken.report;
}
INSTANTIATE_TEST_SUITE_P(
    All, Endless,
    testing::Values(std::pair{"mov.u32 %r4, 0; LOOP: add.u32 %r4, %r4, 1; setp.lt.u32 %p0, %r4, 100; @%p0 bra LOOP;",
                              "mov.u32 %r4, 0; LOOP: add.u32 %r4, %r4, 1; setp.gt.u32 %p0, %r4, 0; @%p0 bra LOOP;"},
                    std::pair{"mov.u32 %r4, 0; LOOP: bar.sync 0; add.u32 %r4, %r4, 1; setp.lt.u32 %p0, %r4, 100; @%p0 bra LOOP;",
                              "mov.u32 %r4, 0; LOOP: bar.sync 0; add.u32 %r4, %r4, 1; setp.gt.u32 %p0, %r4, 0; @%p0 bra LOOP;"}));

/// A warp that waits for what no warp writes is told long before the launch's time is over.
TEST(WaitsForNobody, IsToldAtOnce) {
  const std::string body = "st.volatile.shared.b32 [box], 1; bar.sync 0; WAIT: ld.volatile.shared.b32 %r4, [box]; setp.ne.u32 %p0, %r4, ";
  EXPECT_EQ(run(body + "1; @%p0 bra WAIT;", 1).report, "nothing found\n");
  const Outcome broken = run(body + "2; @%p0 bra WAIT;", 1);
  EXPECT_EQ(broken.status, kLaunchTimeout);
  ASSERT_EQ(broken.findings.size(), 1u) << broken.report;
  EXPECT_EQ(broken.findings[0].kind, FindingKind::kDeadlock);
}

} // namespace
} // namespace tenon::emulator
