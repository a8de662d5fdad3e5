// What the environment asks for: the order of blocks and warps by its seed; values that make no sense are refused.
#include "Emulator.h"
#include "launch/Schedule.h"
#include <algorithm>
#include <numeric>
#include <set>

namespace tenon::emulator {
namespace {

using Numbers = std::vector<uint64_t>;

Numbers block_order(const std::string &schedule, uint64_t blocks) {
  Numbers order;
  for (uint64_t turn = 0; turn < blocks; turn++)
    order.push_back(Schedule::parse(schedule).value().block(turn, blocks));
  return order;
}

Numbers in_order(uint64_t count) {
  Numbers numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

TEST(Schedules, EveryBlockComesOnce) {
  for (uint64_t blocks : {1, 2, 3, 5, 16, 17, 64, 100, 1000, 4097})
    for (const char *schedule : {"forward", "reverse", "random", "random:0", "random:7", "random:4294967295"}) {
      Numbers order = block_order(schedule, blocks);
      std::ranges::sort(order);
      EXPECT_EQ(order, in_order(blocks)) << schedule;
    }
  EXPECT_EQ(block_order("forward", 5), (Numbers{0, 1, 2, 3, 4}));
  EXPECT_EQ(block_order("reverse", 5), (Numbers{4, 3, 2, 1, 0}));
  // The grids of the most blocks that there are.
  const uint64_t most = uint64_t{2147483647} * 65535 * 65535;
  std::set<uint64_t> seen;
  for (uint64_t turn = 0; turn < 1000; turn++)
    EXPECT_TRUE(seen.insert(Schedule::parse("random:3")->block(turn, most)).second);
  EXPECT_LT(*seen.rbegin(), most);
}

TEST(Schedules, SeedsGiveBlocksOrdersOfTheirOwn) {
  for (uint64_t blocks : {16, 64, 100}) {
    std::set<Numbers> orders;
    std::set<uint64_t> steps; // from the first block to the second
    for (uint32_t seed = 0; seed < 64; seed++) {
      const Numbers order = block_order("random:" + std::to_string(seed), blocks);
      EXPECT_EQ(order, block_order("random:" + std::to_string(seed), blocks));
      orders.insert(order);
      steps.insert((order[1] + blocks - order[0]) % blocks);
    }
    EXPECT_EQ(orders.size(), 64u);
    EXPECT_GT(steps.size(), std::min<uint64_t>(blocks, 64) / 3) << "seeds differ in more than where they begin";
  }
  std::set<Numbers> of_two, of_three;
  for (uint32_t seed = 0; seed < 64; seed++) {
    of_two.insert(block_order("random:" + std::to_string(seed), 2));
    of_three.insert(block_order("random:" + std::to_string(seed), 3));
  }
  EXPECT_EQ(of_two.size(), 2u);
  EXPECT_EQ(of_three.size(), 6u);
}

TEST(Schedules, OtherTextsAreNone) {
  for (const char *text : {"", "zzz", "Forward", "random7", "random:", "random:x", "random:1x", "random:-1", "random:4294967296"})
    EXPECT_FALSE(Schedule::parse(text)) << text;
}

/// Each warp takes a ticket, and leaves it in out[warp].
std::vector<uint32_t> tickets_of_warps(const std::string &schedule) {
  setenv("TENON_EMULATOR_SCHEDULE", schedule.c_str(), 1);
  Card card;
  auto *kernel = card.load(ptx_header() + R"(.visible .entry kernel(.param .u64 out) {
    .reg .b32 %r<4>; .reg .b64 %rd<3>; .reg .pred %p0;
    mov.u32 %r0, %tid.x; and.b32 %r1, %r0, 31; setp.ne.u32 %p0, %r1, 0; @%p0 bra END;
    ld.param.u64 %rd0, [out]; shr.u32 %r2, %r0, 3; cvt.u64.u32 %rd1, %r2; add.s64 %rd1, %rd1, %rd0;
    atom.global.add.u32 %r3, [%rd0+128], 1; st.global.u32 [%rd1], %r3;
    END: ret; })");
  const DevicePointer out = card.upload(std::vector<uint32_t>(33));
  EXPECT_EQ(card.launch(kernel, 1, 1024, 0, out), kSuccess) << Card::report();
  unsetenv("TENON_EMULATOR_SCHEDULE");
  return card.download<uint32_t>(out, 32);
}
TEST(Schedules, SeedsGiveWarpsOrdersOfTheirOwn) {
  std::vector<uint32_t> forward(32);
  std::iota(forward.begin(), forward.end(), 0);
  EXPECT_EQ(tickets_of_warps("forward"), forward);
  EXPECT_EQ(tickets_of_warps("reverse"), std::vector<uint32_t>(forward.rbegin(), forward.rend()));
  std::set<std::vector<uint32_t>> orders = {forward};
  for (uint32_t seed = 0; seed < 8; seed++) {
    const std::string schedule = "random:" + std::to_string(seed);
    EXPECT_EQ(tickets_of_warps(schedule), tickets_of_warps(schedule));
    EXPECT_TRUE(orders.insert(tickets_of_warps(schedule)).second) << schedule;
  }
  EXPECT_EQ(tickets_of_warps("random"), tickets_of_warps("random:1"));
}

/// Warps write words of their own where tickets come in the order of the warps, or the other way round: else two meet.
TEST(Schedules, ARaceThatOrdersHideIsFoundBySomeSeed) {
  auto races = [](const std::string &schedule, const char *ticket_of_all) {
    setenv("TENON_EMULATOR_SCHEDULE", schedule.c_str(), 1);
    Card card;
    auto *kernel = card.load(ptx_header() + ".visible .entry kernel() {\n.shared .align 4 .b32 box[5];\n" + R"(
      .reg .b32 %r<8>; .reg .pred %p<4>; mov.u32 %r0, %tid.x; shr.u32 %r1, %r0, 5; and.b32 %r2, %r0, 31;
      setp.eq.u32 %p0, %r0, 0; @%p0 st.shared.u32 [box+16], 0; bar.sync 0;
      setp.ne.u32 %p1, %r2, 0; @%p1 bra END; sub.u32 %r6, 3, %r1;
      atom.shared.add.u32 %r3, [box+16], 1; )" + std::string(ticket_of_all) + R"(
      setp.eq.u32 %p2, %r3, %r1; setp.eq.or.u32 %p2, %r3, %r6, %p2;
      selp.b32 %r4, %r1, 0, %p2; shl.b32 %r4, %r4, 2; mov.u32 %r5, box; add.u32 %r5, %r5, %r4; st.shared.u32 [%r5], %r0;
      END: ret; })");
    EXPECT_EQ(card.launch(kernel, 1, 128, 0), kSuccess);
    unsetenv("TENON_EMULATOR_SCHEDULE");
    for (const Finding &finding : Card::findings())
      EXPECT_EQ(finding.kind, FindingKind::kSharedRace) << finding.text;
    return Card::findings().size();
  };
  EXPECT_EQ(races("forward", ""), 0u);
  EXPECT_EQ(races("reverse", ""), 0u);
  size_t found = 0;
  for (uint32_t seed = 1; seed <= 8; seed++) {
    found += races("random:" + std::to_string(seed), "");
    EXPECT_EQ(races("random:" + std::to_string(seed), "mov.u32 %r3, %r1;"), 0u) << "words of their own whatever the tickets";
  }
  EXPECT_GT(found, 2u);
}

struct WrongValue {
  const char *variable, *value, *says;
};
void PrintTo(const WrongValue &wrong, std::ostream *os) { *os << wrong.variable << "=" << wrong.value; }

/// What cuInit answers, and says on standard error, where a variable has that value.
std::pair<Status, std::string> initialise_with(const char *variable, const char *value) {
  const char *before = std::getenv(variable);
  const std::optional<std::string> kept = before ? std::optional<std::string>(before) : std::nullopt;
  setenv(variable, value, 1);
  testing::internal::CaptureStderr();
  const Status status = cuInit(0);
  if (kept)
    setenv(variable, kept->c_str(), 1);
  else
    unsetenv(variable);
  return {status, testing::internal::GetCapturedStderr()};
}

TEST(ChosenCheckers, NoneStandsAlone) {
  const auto [status, told] = initialise_with("TENON_EMULATOR_CHECK", "all,none");
  EXPECT_EQ(status, kInvalidValue);
  EXPECT_NE(told.find("'none' stands alone"), told.npos) << told;
  EXPECT_EQ(initialise_with("TENON_EMULATOR_CHECK", "none").first, kSuccess);
}

class WrongValues : public testing::TestWithParam<WrongValue> {};
TEST_P(WrongValues, AreRefusedAndToldApart) {
  const auto [status, told] = initialise_with(GetParam().variable, GetParam().value);
  EXPECT_EQ(status, kInvalidValue);
  EXPECT_NE(told.find(std::string("emulator: ") + GetParam().variable + ": '" + GetParam().value + "'"), told.npos) << told;
  EXPECT_NE(told.find(GetParam().says), told.npos) << told;
}
INSTANTIATE_TEST_SUITE_P(
    All, WrongValues,
    testing::Values(WrongValue{"TENON_EMULATOR_SCHEDULE", "zzz", "forward, reverse, random"},
                    WrongValue{"TENON_EMULATOR_SCHEDULE", "random:x", "random:SEED"},
                    WrongValue{"TENON_EMULATOR_THREADS", "abc", "1 to 1024"}, WrongValue{"TENON_EMULATOR_THREADS", "0", "1 to 1024"},
                    WrongValue{"TENON_EMULATOR_THREADS", "2x", "1 to 1024"}, WrongValue{"TENON_EMULATOR_BUDGET", "x", "warp instructions"},
                    WrongValue{"TENON_EMULATOR_BUDGET", "1e6", "warp instructions"}, WrongValue{"TENON_EMULATOR_BUDGET", "-1", "warp instructions"},
                    WrongValue{"TENON_EMULATOR_TIMEOUT", "-1", "seconds"}, WrongValue{"TENON_EMULATOR_TIMEOUT", "0", "seconds"},
                    WrongValue{"TENON_EMULATOR_TIMEOUT", "ten", "seconds"}, WrongValue{"TENON_EMULATOR_PERTURB", "x", "a number"},
                    WrongValue{"TENON_EMULATOR_PERTURB", "0x", "a number"}, WrongValue{"TENON_EMULATOR_PERTURB", "09", "a number"},
                    WrongValue{"TENON_EMULATOR_ISA", "zz", "avx512, avx2, or baseline"}));

TEST(Environment, RightValuesAndEmptyOnesAreTakenSilently) {
  const std::pair<const char *, std::vector<const char *>> right[] = {
      {"TENON_EMULATOR_SCHEDULE", {"", "forward", "reverse", "random", "random:0", "random:4294967295"}},
      {"TENON_EMULATOR_THREADS", {"", "1", "1024"}},
      {"TENON_EMULATOR_BUDGET", {"", "0", "18446744073709551615"}},
      {"TENON_EMULATOR_TIMEOUT", {"", "1", "86400"}},
      {"TENON_EMULATOR_PERTURB", {"", "0", "7", "0x1F", "017", "18446744073709551615"}},
      {"TENON_EMULATOR_ISA", {"", "baseline"}}};
  for (const auto &[variable, values] : right)
    for (const char *value : values) {
      const auto [status, told] = initialise_with(variable, value);
      EXPECT_EQ(status, kSuccess) << variable << "=" << value;
      EXPECT_EQ(told, "") << variable << "=" << value;
    }
}

TEST(Environment, AnUnknownCardIsNoDeviceAndIsNamed) {
  const DeviceModel *model = std::exchange(Driver::instance().model, nullptr);
  const auto [status, told] = initialise_with("TENON_EMULATOR_CARD", "nonsense");
  Driver::instance().model = model;
  EXPECT_EQ(status, kNoDevice);
  EXPECT_NE(told.find("TENON_EMULATOR_CARD: no card 'nonsense'; known are a100, h100, rtx4090, b200"), told.npos) << told;
}

// Unless they were asked for, printed or written.
TEST(Settings, AProgramWithFindingsIsToldSoWhenItEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto end_with_findings = [](int count, bool asked) {
    unsetenv("TENON_EMULATOR_LOG");
    for (int line = 1; line <= count; line++) {
      Finding finding{};
      finding.kernel = "k";
      finding.location.line = static_cast<uint32_t>(line);
      finding.thread.emplace();
      Report::instance().add(finding);
    }
    if (asked)
      Report::instance().text();
    std::exit(0);
  };
  EXPECT_EXIT(end_with_findings(1, false), testing::ExitedWithCode(0), "^emulator: 1 finding: TENON_EMULATOR_LOG=1 prints");
  EXPECT_EXIT(end_with_findings(2, false), testing::ExitedWithCode(0), "^emulator: 2 findings: TENON_EMULATOR_LOG=1 prints");
  EXPECT_EXIT(end_with_findings(0, false), testing::ExitedWithCode(0), "^$");
  EXPECT_EXIT(end_with_findings(1, true), testing::ExitedWithCode(0), "^$");
}

} // namespace
} // namespace tenon::emulator
