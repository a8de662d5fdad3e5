#include "tenon/KernelImage.h"

#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

namespace tenon {
namespace {

using ::testing::HasSubstr;

std::vector<std::byte> bytes_of(std::string_view text) {
  auto first = reinterpret_cast<const std::byte *>(text.data());
  return {first, first + text.size()};
}

KernelImage sample() {
  KernelImage image;
  image.kernel = "attention_f16_d64_causal";
  image.key = "code generation 1\ngraph \"3f2a\"\n";
  image.schedule = R"({"tile_queries": 64})";
  image.graph = "func.func @attention() {\n}\n";
  image.sections = {{SectionKind::kHostCode, "host:x86-64-v4", bytes_of(std::string(200, '\xc3'))},
                    {SectionKind::kPtx, "sm_80", bytes_of(".version 8.0\n")},
                    {SectionKind::kCubin, "sm_90a", {}}};
  LaunchPhase split, combine;
  split.entry = "split";
  split.grid[0] = {Dimension::kQueryLength, 64, 8, Dimension::kKeyLength, 256};
  split.grid[1] = {Dimension::kHeads, 1};
  split.grid[2] = {Dimension::kBatch, 4'000'000'000u};
  split.threads = 128;
  split.shared_bytes = 227 << 10;
  split.workspace = {uint64_t{1} << 40, 4096};
  combine.entry = "combine";
  combine.code_offset = 199;
  combine.when = {{1, 16}, {257, INT32_MAX}};
  image.launch = {{split, combine},
                  {{TensorRole::kInput, 0}, {TensorRole::kInput, 3}, {TensorRole::kOutput, 1},
                   {TensorRole::kWorkspace, 0}},
                  {3, 7},
                  {{{{Dimension::kBatch}, {Dimension::kHeads}, {Dimension::kQueryLength}}, 64, {{0, 16}, {}}}},
                  true};
  return image;
}

TEST(KernelImage, ReadsBackWhatWasWritten) {
  std::vector<std::byte> bytes = sample().serialize();
  Result<KernelImage> read = KernelImage::parse(bytes);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->serialize(), bytes);
  EXPECT_EQ(read->kernel, sample().kernel);
  EXPECT_EQ(read->key, sample().key);
  EXPECT_EQ(read->graph, sample().graph);
  EXPECT_EQ(read->sections[0].bytes, sample().sections[0].bytes);
  EXPECT_EQ(read->sections[2].target, "sm_90a");
  EXPECT_EQ(read->launch.phases[0].grid[2].divisor, 4'000'000'000u);
  EXPECT_EQ(read->launch.phases[0].grid[0], sample().launch.phases[0].grid[0]);
  EXPECT_EQ(read->launch.phases[0].workspace.fixed_bytes, uint64_t{1} << 40);
  EXPECT_EQ(read->launch.phases[1].code_offset, 199u);
  EXPECT_EQ(read->launch.phases[0].when, LaunchCondition());
  EXPECT_EQ(read->launch.phases[1].when, sample().launch.phases[1].when);
  EXPECT_EQ(read->launch.workspace_tensors[0].when.queries.most, 16);
  EXPECT_EQ(read->launch.tensors[2].role, TensorRole::kOutput);
  EXPECT_EQ(read->launch.workspace_tensors[0].sizes[1].dimension, Dimension::kHeads);
  EXPECT_EQ(read->launch.workspace_tensors[0].width, 64u);
  EXPECT_EQ(read->launch.scalars, (std::vector<int32_t>{3, 7}));
  EXPECT_TRUE(read->launch.uses_dropout);
}

TEST(KernelImage, AScheduleIsThatOfTheLength) {
  KernelImage image = sample();
  EXPECT_EQ(image.schedule_for(1), image.schedule);
  image.few_schedule = R"({"tile_queries": 16})";
  EXPECT_EQ(image.schedule_for(16), image.few_schedule);
  EXPECT_EQ(image.schedule_for(17), image.schedule);
  EXPECT_EQ(KernelImage::parse(image.serialize()).value().few_schedule, image.few_schedule);
}

TEST(KernelImage, AnEmptyImageIsAnImage) {
  EXPECT_TRUE(KernelImage::parse(KernelImage{}.serialize()));
}

TEST(KernelImage, FindsASectionByKind) {
  KernelImage image = sample();
  EXPECT_EQ(image.find(SectionKind::kPtx), &image.sections[1]);
  image.sections.pop_back();
  EXPECT_EQ(image.find(SectionKind::kCubin), nullptr);
}

TEST(KernelImage, ASummaryNeedsTheFirstBytesAlone) {
  std::vector<std::byte> bytes = sample().serialize();
  Result<KernelImage::Summary> summary = KernelImage::parse_summary(std::span(bytes).first(120));
  ASSERT_TRUE(summary) << summary.error().message();
  EXPECT_EQ(summary->kernel, sample().kernel);
  EXPECT_EQ(summary->key, sample().key);
  for (size_t size = 0; size < 90; ++size)
    EXPECT_FALSE(KernelImage::parse_summary(std::span(bytes).first(size))) << size;
}

TEST(KernelImage, EveryTruncationIsRefused) {
  std::vector<std::byte> bytes = sample().serialize();
  for (size_t size = 0; size < bytes.size(); ++size) {
    Result<KernelImage> read = KernelImage::parse(std::span(bytes).first(size));
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().code(), ErrorCode::kCorruptFile);
  }
}

TEST(KernelImage, EveryFlippedBitIsRefused) {
  std::vector<std::byte> bytes = sample().serialize();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
    EXPECT_FALSE(KernelImage::parse(bytes)) << bit;
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
  }
}

TEST(KernelImage, BytesAfterTheEndAreRefused) {
  std::vector<std::byte> bytes = sample().serialize();
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(KernelImage::parse(bytes));
}

TEST(KernelImage, RandomBytesAreRefused) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes(random() % 400);
    for (std::byte &byte : bytes)
      byte = std::byte(random());
    if (round % 2 && bytes.size() >= 16)
      std::memcpy(bytes.data(), "TENONIMG\4\0\0\0\10\0\0", 16);
    EXPECT_FALSE(KernelImage::parse(bytes));
  }
}

TEST(KernelImage, AnotherFormatVersionIsNamed) {
  std::vector<std::byte> bytes = sample().serialize();
  bytes[8] = std::byte{77};
  EXPECT_THAT(KernelImage::parse(bytes).error().message(), HasSubstr("format version 77"));
}

// The fields below are well formed and carry a right checksum: the values themselves are wrong.
TEST(KernelImage, FieldsOutOfTheirRangeAreRefused) {
  using Change = void (*)(KernelImage &);
  Change changes[] = {
      [](KernelImage &image) { image.launch.phases[1].code_offset = 200; },
      [](KernelImage &image) { image.launch.phases[0].grid[0].divisor = 0; },
      [](KernelImage &image) { image.launch.phases[0].threads = 0; },
      [](KernelImage &image) { image.launch.phases[0].workspace.fixed_bytes = ~uint64_t{0}; },
      [](KernelImage &image) { image.launch.tensors.resize(kMaxTensorArguments + 1); },
      [](KernelImage &image) { image.launch.phases[0].grid[0].times_divisor = 0; },
      [](KernelImage &image) { image.launch.tensors[0].index = -1; },
      [](KernelImage &image) { image.launch.phases[0].when.queries = {5, 4}; },
      [](KernelImage &image) { image.launch.workspace_tensors[0].when.keys.least = -1; },
      [](KernelImage &image) { image.launch.tensors[3].index = 1; },
      [](KernelImage &image) { image.launch.workspace_tensors[0].width = 0; },
      [](KernelImage &image) { image.launch.scalars.resize(kMaxScalarArguments + 1); },
  };
  for (size_t i = 0; i < std::size(changes); ++i) {
    KernelImage image = sample();
    changes[i](image);
    Result<KernelImage> read = KernelImage::parse(image.serialize());
    ASSERT_FALSE(read) << i;
    EXPECT_EQ(read.error().code(), ErrorCode::kCorruptFile);
  }
}

} // namespace
} // namespace tenon
