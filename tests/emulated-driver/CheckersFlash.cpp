// Bugs planted into the text of Tenon's own flash-attention forward kernel (sm_80, float16, width 64), one at a time:
// each must be named. The image is the one that the compiler makes from this tree; the emulator sees only its PTX.
#include "Emulator.h"
#include "device/Launch.h"
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <regex>

namespace tenon::emulator {
namespace {

constexpr int kRows = 256, kWidth = 64; // of queries and of keys
constexpr size_t kBytes = size_t{kRows} * kWidth * 2;

const KernelImage &image() {
  static const KernelImage parsed = [] {
    std::ifstream file(TENON_FLASH_IMAGE, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return KernelImage::parse(std::as_bytes(std::span(bytes))).value();
  }();
  return parsed;
}

/// The image's text without the kernels for other lengths.
std::string ptx() {
  const ImageSection *section = image().find(SectionKind::kPtx);
  const std::string text(reinterpret_cast<const char *>(section->bytes.data()), section->bytes.size());
  const size_t first = text.find(".visible .entry"), entry = text.find(".entry " + image().launch.phases.front().entry + "("),
               end = text.find("\n}", entry);
  return text.substr(0, first) + ".visible " + text.substr(entry, end + 3 - entry);
}

/// A third of the float16 numbers between -1 and 1.
std::vector<uint16_t> numbers(uint32_t seed) {
  std::vector<uint16_t> values(size_t{kRows} * kWidth);
  for (uint16_t &value : values) {
    seed = seed * 1664525 + 1013904223;
    value = static_cast<uint16_t>((seed >> 31) << 15 | (0x3000 + (seed >> 8 & 0x0bff)));
  }
  return values;
}

struct Ran {
  Status status;
  std::string report;
  std::vector<Finding> findings;
  std::vector<uint16_t> output;
};

Ran run(const std::string &text, uint32_t more_threads = 0) {
  setenv("TENON_EMULATOR_BUDGET", "5000000", 1); // warp instructions; the right kernel needs a hundredth
  Card card;
  const LaunchPhase &phase = image().launch.phases.front();
  FunctionObject *kernel = card.load(text, phase.entry.c_str());
  if (!kernel)
    return {};
  KernelArguments arguments{};
  arguments.batch = arguments.heads = arguments.key_heads = 1;
  arguments.query_length = arguments.key_length = kRows;
  arguments.scalars[0].real = 0.125f;
  DevicePointer output = 0;
  uint32_t seed = 1;
  for (size_t i = 0; i < image().launch.tensors.size(); i++) {
    const bool is_output = image().launch.tensors[i].role == TensorRole::kOutput;
    const DevicePointer at = is_output ? card.allocate(2 * kBytes) : card.upload(numbers(seed++));
    output = is_output ? at : output; // with room behind it, for rows that are written too far down
    arguments.tensors[i] = {reinterpret_cast<void *>(at), {kRows * kWidth, kRows * kWidth, kWidth, 1}, {1, 1, kRows, kWidth}};
  }
  GridSize grid;
  EXPECT_TRUE(compute_grid(phase, LaunchSizes(arguments), grid));
  EXPECT_EQ(cuFuncSetAttribute(kernel, 8, static_cast<int>(phase.shared_bytes)), kSuccess);
  void *parameters[] = {&arguments};
  Ran ran{cuLaunchKernel(kernel, static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y), static_cast<unsigned>(grid.z),
                         phase.threads + more_threads, 1, 1, phase.shared_bytes, nullptr, parameters, nullptr),
          {}, {}, {}};
  if (ran.status == kSuccess)
    ran.status = cuCtxSynchronize();
  ran.report = Card::report();
  ran.findings = Card::findings();
  if (ran.status == kSuccess)
    ran.output = card.download<uint16_t>(output, size_t{kRows} * kWidth);
  return ran;
}

struct Mutation {
  const char *name;
  FindingKind kind;
  const char *pattern, *replacement; // of every match; the flag of a parted warp is %planted
  Status status = kSuccess;
  bool first_only = false;
};
void PrintTo(const Mutation &mutation, std::ostream *os) { *os << mutation.name; }

class PlantedInFlash : public testing::TestWithParam<Mutation> {};

/// The text with a predicate that holds for five lanes of each warp, set at its beginning.
std::string with_predicate(std::string text) {
  const size_t body = text.find("{", text.find(".entry"));
  const size_t first = text.find("mov.", text.rfind(".reg"));
  text.insert(first, "mov.u32 %plantedlane, %laneid;\nsetp.lt.u32 %planted, %plantedlane, 5;\n");
  text.insert(body + 1, "\n.reg .pred %planted; .reg .b32 %plantedlane;\n");
  return text;
}

TEST(PlantedInFlash, TheRightKernelHasNoFinding) {
  const Ran ran = run(ptx());
  EXPECT_EQ(ran.status, kSuccess);
  EXPECT_EQ(ran.report, "nothing found\n");
  EXPECT_NE(std::count(ran.output.begin(), ran.output.end(), 0), std::ssize(ran.output));
  EXPECT_EQ(run(with_predicate(ptx())).report, "nothing found\n");
}

TEST_P(PlantedInFlash, IsNamed) {
  const Mutation &mutation = GetParam();
  const std::string text = with_predicate(ptx());
  const std::regex pattern(mutation.pattern);
  ASSERT_TRUE(std::regex_search(text, pattern)) << "the kernel has no " << mutation.pattern;
  const std::string broken =
      std::regex_replace(text, pattern, mutation.replacement,
                         mutation.first_only ? std::regex_constants::format_first_only : std::regex_constants::format_default);
  const Ran ran = run(broken);
  EXPECT_EQ(ran.status, mutation.status) << ran.report;
  EXPECT_TRUE(std::any_of(ran.findings.begin(), ran.findings.end(),
                          [&](const Finding &finding) { return finding.kind == mutation.kind; }))
      << "expected: " << finding_name(mutation.kind) << "\n" << ran.report;
}

#define COPY R"((cp\.async\.c[ag]\.shared\.global\s+\[%\w+)([^\]]*\], \[%\w+)([^\]]*\]))"
#define LDMATRIX R"((ldmatrix\.[^\n]*, \[%\w+)([^\]]*)\])"
#define STORE R"((st\.global\.\S+\s+\[%\w+)([^\]]*)\])"

INSTANTIATE_TEST_SUITE_P(
    One, PlantedInFlash,
    testing::Values(
        Mutation{"NoBarriers", FindingKind::kSharedRace, R"(bar\.sync\s+0;)", ""},
        Mutation{"WaitsForOneGroupTooFew", FindingKind::kPendingCopy, R"(cp\.async\.wait_group\s+0;)", "cp.async.wait_group 1;"},
        Mutation{"OneBufferWhereTwoAreNeeded", FindingKind::kPendingCopy, R"((mad\.lo\.s32\s+%r\d+, %r\d+, )9216,)", "$1 0,"},
        Mutation{"NeverWaits", FindingKind::kPendingCopy, R"(cp\.async\.wait_group\s+\d+;)", ""},
        Mutation{"NeverCommits", FindingKind::kPendingCopy, R"(cp\.async\.commit_group;)", ""},
        Mutation{"ReadsBehindTheEnd", FindingKind::kOutOfBounds, COPY, "$1$2+1048576]", kIllegalAddress, true},
        Mutation{"WritesBehindTheEnd", FindingKind::kOutOfBounds, STORE, "$1+1048576]", kIllegalAddress, true},
        Mutation{"CopiesBeyondSharedMemory", FindingKind::kOutOfBounds, COPY, "$1+1048576], [%rd1]", kIllegalAddress, true},
        Mutation{"LoadsMatricesBeyondSharedMemory", FindingKind::kOutOfBounds, LDMATRIX, "$1+1048576]", kIllegalAddress, true},
        Mutation{"CopySourceMisaligned", FindingKind::kMisaligned, COPY, "$1$2+2]", kMisalignedAddress, true},
        Mutation{"MatrixRowsMisaligned", FindingKind::kMisaligned, LDMATRIX, "$1+8]", kMisalignedAddress, true},
        Mutation{"ShuffleBySomeLanes", FindingKind::kDivergentWarp, R"(\n\s*shfl\.)", "\n@%planted shfl.", kSuccess, true},
        Mutation{"ShuffleLeavesLanesOut", FindingKind::kWrongMembers, R"((shfl\.sync\.[^\n]*, )-1;)", "$1 0x7fffffff;"},
        Mutation{"BarrierBySomeLanes", FindingKind::kDivergentBarrier, R"(bar\.sync\s+0;)", "@!%planted bra PLANTED; bar.sync 0; bra PLANTEDEND; PLANTED: bar.sync 0; PLANTEDEND:", kSuccess, true},
        Mutation{"BarrierForTooMany", FindingKind::kDeadlock, R"(bar\.sync\s+0;)", "bar.sync 0, 1024;", kLaunchTimeout},
        Mutation{"ACopyForgotten", FindingKind::kUninitialisedMemory, R"(\n\s*(@%\S+\s+)?cp\.async\.c[ag]\.[^\n]*)", "\n", kSuccess, true},
        Mutation{"ARegisterForgotten", FindingKind::kUninitialisedRegister, R"(\n\s*mov\.u32\s+%r\d+, %tid\.x;)", "\n", kSuccess, true},
        Mutation{"RowsOfAnotherWarpWritten", FindingKind::kGlobalRace, STORE, "$1$2+4160]", kSuccess, true},
        Mutation{"NeverEnds", FindingKind::kDeadlock, R"(\n\s*ret;)", "\nPLANTED: bra PLANTED;", kLaunchTimeout}),
    [](const auto &row) { return std::string(row.param.name); });

constexpr int kRowBytes = kWidth * 2, kPaddedRow = kRowBytes + 16;

/// Bytes between two places of shared memory, once rows are adjacent.
int packed_distance(int bytes) {
  const int rows = static_cast<int>(std::floor(static_cast<double>(bytes) / kPaddedRow));
  return rows * kRowBytes + (bytes - rows * kPaddedRow);
}

/// The text with rows of shared memory adjacent, not a bank conflict's worth apart: in the factors of addresses and in
/// the offsets of accesses, whose 32-bit addresses are those of shared memory.
std::string without_padding(const std::string &text) {
  static const std::regex pattern(R"((\[%r\d+\+|m(?:ul|ad)\.lo\.s32\s+%r\d+, %r\d+, )(-?\d+))");
  std::string result;
  size_t end = 0;
  for (std::sregex_iterator match(text.begin(), text.end(), pattern), none; match != none; ++match) {
    result.append(text, end, static_cast<size_t>(match->position()) - end);
    result += (*match)[1].str() + std::to_string(packed_distance(std::stoi((*match)[2])));
    end = static_cast<size_t>(match->position() + match->length());
  }
  return result.append(text, end);
}

nlohmann::json shared_traffic() {
  std::string text(tenonEmulatorCounters(nullptr, 0), '\0');
  tenonEmulatorCounters(text.data(), text.size());
  text.pop_back();
  return nlohmann::json::parse(text)["kernels"][image().launch.phases.front().entry]["shared"];
}

/// Right, and eight times as slow in shared memory: what only the count of wavefronts shows.
TEST(PlantedInFlash, RowsWithoutPaddingAreCountedAsBankConflicts) {
  const Ran right = run(ptx());
  const nlohmann::json padded = shared_traffic();
  EXPECT_EQ(padded["wavefronts"], padded["ideal"]);
  const std::string text = without_padding(ptx());
  ASSERT_NE(text, ptx());
  const Ran ran = run(text);
  const nlohmann::json packed = shared_traffic();
  EXPECT_EQ(ran.report, "nothing found\n");
  EXPECT_EQ(ran.output, right.output);
  EXPECT_EQ(packed["ideal"], padded["ideal"]);
  EXPECT_GT(packed["wavefronts"].get<double>(), 4 * packed["ideal"].get<double>());
}

TEST(PlantedInFlash, TheWrongGeometryIsNamed) {
  const Ran ran = run(ptx(), 32);
  EXPECT_NE(ran.status, kSuccess);
  ASSERT_FALSE(ran.findings.empty());
  EXPECT_EQ(ran.findings[0].kind, FindingKind::kGeometry);
}

} // namespace
} // namespace tenon::emulator
