// Right programs that look like races: what orders them is not a barrier of the whole block.
#include "PlantedKernel.h"

namespace tenon::emulator {
namespace {

using namespace planted;

class Ordered : public testing::TestWithParam<std::pair<const char *, const char *>> {};
TEST_P(Ordered, IsNoFinding) {
  for (const char *schedule : {"forward", "reverse", "random:3"}) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule, 1);
    EXPECT_EQ(run(GetParam().second, 2).report, "nothing found\n") << schedule;
  }
  unsetenv("TENON_EMULATOR_SCHEDULE");
}
INSTANTIATE_TEST_SUITE_P(
    All, Ordered,
    testing::Values(
        std::pair{"AWarpReadsItsOwnWords", "st.shared.b32 [%r2], %r0; ld.shared.b32 %r4, [%r2]; st.shared.b32 [%r2], %r4;"},
        std::pair{"WarpsWriteHalvesOfOneWord",
                  ".reg .b16 %h<2>; cvt.u16.u32 %h0, %r0; setp.eq.u32 %p0, %r0, 31; setp.eq.u32 %p1, %r0, 32; @%p0 st.shared.b16 [box], %h0; "
                  "@%p1 st.shared.b16 [box+2], %h0; @%p0 ld.shared.b16 %h1, [box];"},
        std::pair{"EveryoneWritesTheSame", "mov.u32 %r4, 5; st.shared.b32 [box], %r4; st.global.b32 [%rd0], %r4;"},
        std::pair{"HolesOfStructuresAreCopied",
                  "st.local.b8 [own], 1; st.local.b32 [own+4], %r0; ld.local.b64 %rd5, [own]; st.local.b64 [own+8], %rd5; ld.local.v2.b32 {%r4, %r5}, [own+8]; "
                  "st.local.v2.b32 [own+16], {%r4, %r5}; ld.local.b32 %r6, [own+20]; add.u32 %r6, %r6, 1;"},
        std::pair{"ProducerAndConsumerByNamedBarriers",
                  "setp.lt.u32 %p0, %r0, 32; @!%p0 bra TAKE; st.shared.b32 [%r2], %r0; bar.arrive 1, 64; bar.sync 2, 64; st.shared.b32 [%r2], 0; bra END; "
                  "TAKE: bar.sync 1, 64; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; bar.arrive 2, 64; END:"},
        std::pair{"FlagWithFences",
                  "setp.eq.u32 %p0, %r0, 0; @%p0 st.volatile.shared.b32 [box+128], 0; bar.sync 0; setp.lt.u32 %p1, %r0, 32; @!%p1 bra TAKE; st.shared.b32 [%r2], %r0; "
                  "bar.warp.sync -1; membar.cta; @%p0 st.volatile.shared.b32 [box+128], 1; bra END; TAKE: ld.volatile.shared.b32 %r4, [box+128]; "
                  "setp.ne.u32 %p2, %r4, 1; @%p2 bra TAKE; membar.cta; xor.b32 %r4, %r2, 128; ld.shared.b32 %r5, [%r4]; END:"},
        // The consumer gives the word back; the flag itself is ordered by nothing else.
        std::pair{"AFlagGoesToAndFro",
                  "setp.eq.u32 %p0, %r0, 0; setp.eq.u32 %p1, %r0, 32; @%p0 st.volatile.shared.b32 [box+128], 0; mov.u32 %r6, 0; bar.sync 0; @%p1 bra TAKE; @!%p0 bra END; "
                  "GIVE: st.shared.b32 [box], %r6; membar.cta; st.volatile.shared.b32 [box+128], 1; BACK: ld.volatile.shared.b32 %r4, [box+128]; setp.ne.u32 %p2, %r4, 0; "
                  "@%p2 bra BACK; membar.cta; add.u32 %r6, %r6, 1; setp.lt.u32 %p2, %r6, 3; @%p2 bra GIVE; bra END; "
                  "TAKE: ld.volatile.shared.b32 %r4, [box+128]; setp.eq.u32 %p2, %r4, 0; @%p2 bra TAKE; membar.cta; ld.shared.b32 %r5, [box]; membar.cta; "
                  "st.volatile.shared.b32 [box+128], 0; add.u32 %r6, %r6, 1; setp.lt.u32 %p2, %r6, 3; @%p2 bra TAKE; END:"},
        std::pair{"OneHasFoundItAndTheOthersLook",
                  "setp.eq.u32 %p0, %r0, 0; @%p0 st.volatile.shared.b32 [box], 0; mov.u32 %r6, 0; bar.sync 0; "
                  "LOOK: ld.volatile.shared.b32 %r4, [box]; setp.ne.u32 %p1, %r4, 0; @%p1 bra END; add.u32 %r6, %r6, 1; setp.eq.u32 %p2, %r6, %r0; "
                  "@%p2 st.volatile.shared.b32 [box], 1; setp.lt.u32 %p1, %r6, 99; @%p1 bra LOOK; END:"},
        std::pair{"VolatileWordsBetweenBarriersOfAWarp",
                  "st.volatile.shared.b32 [%r2], %r0; bar.warp.sync -1; xor.b32 %r4, %r2, 4; ld.volatile.shared.b32 %r5, [%r4]; bar.warp.sync -1; "
                  "st.volatile.shared.b32 [%r2], %r5; bar.warp.sync -1; ld.volatile.shared.b32 %r5, [%r4];"},
        std::pair{"AnAtomicAndAVolatileLoad", "atom.shared.exch.b32 %r5, [box], %r0; bar.sync 0; red.shared.add.u32 [box], 1; ld.volatile.shared.b32 %r4, [box];"},
        std::pair{"LanesOfOneWarpWaitForItsOthers",
                  GATE "and.b32 %r7, %r0, 31; setp.gt.u32 %p1, %r7, 1; @%p1 bra OTHERS;\n"
                       "WAIT: mbarrier.test_wait.parity.shared.b64 %p3, [gate], 0; @!%p3 bra WAIT; setp.eq.u32 %p2, %r7, 0; @%p2 bra END;\n"
                       "BACK: mbarrier.test_wait.parity.shared.b64 %p3, [gate+8], 0; @!%p3 bra BACK; bra END;\n"
                       "OTHERS: mbarrier.arrive.shared.b64 _, [gate+8]; mbarrier.arrive.shared.b64 _, [gate]; setp.gt.u32 %p1, %r7, 3; @%p1 bra END; "
                       "mbarrier.arrive.shared.b64 _, [gate]; mbarrier.arrive.shared.b64 _, [gate+8]; END:"},
        // A flag that some set because nobody had: no update of it.
        std::pair{"LanesLookAndThenSetAFlag",
                  "shr.u32 %r4, %r0, 5; shl.b32 %r4, %r4, 2; mov.u32 %r5, box; add.u32 %r4, %r4, %r5; mov.u32 %r6, 0; st.shared.b32 [%r4], %r6; "
                  "ld.shared.b32 %r7, [%r4]; setp.eq.u32 %p0, %r7, 0; mov.u32 %r8, 5; bar.warp.sync -1; @%p0 st.shared.b32 [%r4], %r8;"},
        std::pair{"LanesMeetBeforeTheyUpdateTogether",
                  "shr.u32 %r4, %r0, 5; shl.b32 %r4, %r4, 2; mov.u32 %r5, box; add.u32 %r4, %r4, %r5; mov.u32 %r6, 0; st.shared.b32 [%r4], %r6; "
                  "ld.shared.b32 %r7, [%r4]; bar.warp.sync -1; add.u32 %r7, %r7, 1; st.shared.b32 [%r4], %r7;"},
        std::pair{"AtomicsCount", "red.global.add.u32 [%rd0], 1; atom.global.max.u32 %r4, [%rd0+4], %r0;"}),
    [](const auto &row) { return std::string(row.param.first); });

} // namespace
} // namespace tenon::emulator
