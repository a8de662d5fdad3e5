// What every device must do; each kind runs all of it, or says why it is not there.
#include "TestKernels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

namespace tenon {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::image_of;
using testing::phase;

class DeviceTest : public ::testing::TestWithParam<DeviceKind> {
protected:
  void SetUp() override {
    Result<Device *> opened = Device::open(GetParam());
    if (!opened)
      GTEST_SKIP() << opened.error().message();
    device_ = *opened;
  }

  // Memory of the device that holds `count` zeros, freed at the end of the test.
  void *zeros(size_t count) {
    std::vector<int32_t> values(count, 0);
    size_t bytes = count * sizeof(int32_t);
    void *memory = device_->allocate(bytes).value();
    memory_.push_back(memory);
    device_->copy(memory, values.data(), bytes, CopyDirection::kHostToDevice, 0).value();
    return memory;
  }

  std::vector<int32_t> read(const void *memory, size_t count) {
    std::vector<int32_t> values(count, -1);
    device_->copy(values.data(), memory, count * sizeof(int32_t), CopyDirection::kDeviceToHost, 0)
        .value();
    device_->synchronise(0).value();
    return values;
  }

  void TearDown() override {
    for (void *memory : memory_)
      device_->free(memory).value();
  }

  Device *device_ = nullptr;
  std::vector<void *> memory_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, DeviceTest,
                         ::testing::Values(DeviceKind::kHost, DeviceKind::kCuda,
                                           DeviceKind::kEmulator),
                         [](const auto &info) { return std::string(name(info.param)); });

TEST_P(DeviceTest, IsOpenedOnce) {
  EXPECT_EQ(*Device::open(GetParam()), device_);
  EXPECT_EQ(device_->kind(), GetParam());
  EXPECT_FALSE(device_->name().empty());
}

TEST_P(DeviceTest, ExecutesItsOwnTarget) {
  EXPECT_TRUE(device_->can_execute(device_->target()));
  std::string foreign = GetParam() == DeviceKind::kHost ? "sm_80" : "host:x86-64-v3";
  Result<void> refused = device_->can_execute(Target::parse(foreign).value());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), ErrorCode::kUnsupported);
}

TEST_P(DeviceTest, CopiesThereAndBack) {
  std::vector<int32_t> values(1000);
  std::iota(values.begin(), values.end(), 7);
  void *first = zeros(values.size()), *second = zeros(values.size());
  size_t bytes = values.size() * sizeof(int32_t);
  ASSERT_TRUE(device_->copy(first, values.data(), bytes, CopyDirection::kHostToDevice, 0));
  ASSERT_TRUE(device_->copy(second, first, bytes, CopyDirection::kDeviceToDevice, 0));
  EXPECT_EQ(read(second, values.size()), values);
}

TEST_P(DeviceTest, NothingIsAllocatedForZeroBytes) {
  EXPECT_EQ(device_->allocate(0).value(), nullptr);
  EXPECT_TRUE(device_->free(nullptr));
  EXPECT_TRUE(device_->copy(nullptr, nullptr, 0, CopyDirection::kDeviceToDevice, 0));
}

TEST_P(DeviceTest, TooMuchMemoryIsAnError) {
  Result<void *> memory = device_->allocate(size_t{1} << 60);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code(), ErrorCode::kOutOfMemory);
}

TEST_P(DeviceTest, RunsEachBlockOnce) {
  auto kernel = device_->load(image_of({phase("count_block")})).value();
  KernelArguments arguments = testing::sizes(/*batch=*/3, /*heads=*/5, /*query_length=*/7);
  size_t blocks = 3 * 5 * 7;
  arguments.tensors[0].data = zeros(blocks);
  arguments.tensors[0].strides[0] = 7;
  arguments.tensors[0].strides[1] = 35;
  ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
  EXPECT_THAT(read(arguments.tensors[0].data, blocks), Each(1));
}

TEST_P(DeviceTest, DivisorsRoundUp) {
  LaunchPhase quarter = phase("count_block");
  quarter.grid[0].divisor = 64;
  auto kernel = device_->load(image_of({quarter})).value();
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/129);
  arguments.tensors[0].data = zeros(4);
  ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
  EXPECT_EQ(read(arguments.tensors[0].data, 4), (std::vector<int32_t>{1, 1, 1, 0}));
}

TEST_P(DeviceTest, AnEmptyGridRunsNothing) {
  auto kernel = device_->load(image_of({phase("count_block")})).value();
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/0);
  ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
  EXPECT_TRUE(device_->synchronise(0));
}

TEST_P(DeviceTest, PhasesShareTheWorkspaceAndRunInOrder) {
  LaunchPhase fill = phase("fill_workspace"), twice = phase("double_workspace");
  fill.workspace = {64, sizeof(int32_t)};
  auto kernel = device_->load(image_of({fill, twice})).value();
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/6);
  arguments.tensors[0].data = zeros(6);
  ASSERT_TRUE(device_->prepare(*kernel, arguments, 0));
  ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
  EXPECT_EQ(read(arguments.tensors[0].data, 6), (std::vector<int32_t>{2, 4, 6, 8, 10, 12}));
}

TEST_P(DeviceTest, WorkspacesGrow) {
  LaunchPhase fill = phase("fill_workspace"), twice = phase("double_workspace");
  fill.workspace = {0, 1 << 16}; // more than a small area for the second launch
  auto kernel = device_->load(image_of({fill, twice})).value();
  for (int32_t length : {1, 40}) {
    KernelArguments arguments = testing::sizes(1, 1, length);
    arguments.tensors[0].data = zeros(static_cast<size_t>(length));
    ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
    EXPECT_EQ(read(arguments.tensors[0].data, static_cast<size_t>(length)).back(), 2 * length);
  }
}

// A phase writes x + 1 for each of its blocks; the next one reads it through a tensor of the workspace.
TEST_P(DeviceTest, WorkspaceTensorsFollowTheLengths) {
  LaunchPhase fill = phase("fill_workspace"), twice = phase("double_workspace");
  fill.grid[0] = {Dimension::kQueryLength, 4, /*multiplier=*/3, Dimension::kKeyLength, 100};
  twice.grid[0] = fill.grid[0];
  KernelImage image = image_of({fill, twice});
  GridExtent rows{Dimension::kQueryLength, 1}, one, chunks{Dimension::kKeyLength, 100};
  image.launch.workspace_tensors = {{{one, one, fill.grid[0]}, 1}, {{rows, one, chunks}, 8}};
  image.launch.tensors.push_back({TensorRole::kWorkspace, 1});
  auto kernel = device_->load(image).value();
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/6);
  for (int32_t keys : {99, 250}) {
    arguments.key_length = keys;
    int32_t blocks = 5 * ((keys + 99) / 100); // ceil(3 · 6 / 4) · ceil(keys / 100)
    arguments.tensors[0].data = zeros(static_cast<size_t>(blocks));
    ASSERT_TRUE(device_->prepare(*kernel, arguments, 0));
    ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
    std::vector<int32_t> expected(static_cast<size_t>(blocks));
    for (int32_t i = 0; i < blocks; ++i)
      expected[static_cast<size_t>(i)] = 2 * (i + 1);
    EXPECT_EQ(read(arguments.tensors[0].data, expected.size()), expected);
    const TensorArgument &second = arguments.tensors[1];
    EXPECT_EQ(static_cast<char *>(second.data) - static_cast<char *>(arguments.workspace), 256);
    EXPECT_THAT(second.sizes, ElementsAre(6, 1, (keys + 99) / 100, 8));
    EXPECT_THAT(second.strides, ElementsAre(second.sizes[2] * 8, second.sizes[2] * 8, 8, 1));
    EXPECT_EQ(workspace_of(image.launch, arguments).value(), 256u + 6u * 32u * unsigned(second.sizes[2]));
  }
}

// Up to two rows take one phase, more the other; what is left out needs no workspace.
TEST_P(DeviceTest, LengthsChooseThePhases) {
  LaunchPhase few = phase("fill_workspace"), twice = phase("double_workspace"), many = phase("count_block");
  few.workspace = {64, 0};
  few.when.queries = twice.when.queries = {0, 2};
  many.when.queries.least = 3;
  KernelImage image = image_of({many, few, twice});
  GridExtent rows{Dimension::kQueryLength, 1};
  image.launch.workspace_tensors = {{{rows, rows, rows}, 1 << 20, few.when}};
  auto kernel = device_->load(image).value();
  for (int32_t length : {1, 2, 3, 1 << 16}) {
    KernelArguments arguments = testing::sizes(1, 1, length);
    auto count = static_cast<size_t>(length);
    arguments.tensors[0].data = zeros(count);
    EXPECT_EQ(workspace_of(image.launch, arguments).value() == 0, length > 2);
    ASSERT_TRUE(device_->prepare(*kernel, arguments, 0));
    ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
    std::vector<int32_t> expected(count, 1);
    if (length <= 2)
      for (int32_t i = 0; i < length; ++i)
        expected[static_cast<size_t>(i)] = 2 * (i + 1);
    EXPECT_EQ(read(arguments.tensors[0].data, count), expected) << length;
    EXPECT_EQ(runs(few, arguments), length <= 2);
    EXPECT_EQ(runs(many, arguments), length > 2);
  }
}

// Phases of other lengths find tensors of other sizes in one slot, in the same place.
TEST_P(DeviceTest, WorkspaceTensorsOfOtherLengthsShareASlot) {
  LaunchPhase fill = phase("fill_workspace"), twice = phase("double_workspace");
  KernelImage image = image_of({fill, twice});
  GridExtent rows{Dimension::kQueryLength, 1}, one;
  image.launch.workspace_tensors = {{{one, one, rows}, 1, {.queries = {0, 2}, .keys = {}}},
                                    {{one, rows, rows}, 4, {.queries = {3}, .keys = {}}}};
  image.launch.tensors.push_back({TensorRole::kWorkspace, 0});
  auto kernel = device_->load(image).value();
  for (int32_t length : {2, 3}) {
    KernelArguments arguments = testing::sizes(1, 1, length);
    arguments.tensors[0].data = zeros(static_cast<size_t>(length));
    ASSERT_TRUE(device_->launch(*kernel, arguments, 0));
    EXPECT_EQ(arguments.tensors[1].data, arguments.workspace);
    EXPECT_THAT(arguments.tensors[1].sizes, ElementsAre(1, length == 2 ? 1 : 3, length, length == 2 ? 1 : 4));
    EXPECT_EQ(workspace_of(image.launch, arguments).value(), length == 2 ? 8u : 144u);
  }
}

// Its blocks write that no key was seen: who asks for no keys gets zeros.
TEST_P(DeviceTest, NoKeysAreOneChunk) {
  KernelImage image = image_of({phase("fill_workspace"), phase("double_workspace")});
  GridExtent chunks{Dimension::kQueryLength, 1};
  chunks.times = Dimension::kKeyLength, chunks.times_divisor = 4, chunks.most_times = 2;
  image.launch.workspace_tensors = {{{{}, {}, chunks}, 1, {}}};
  image.launch.tensors.push_back({TensorRole::kWorkspace, 0});
  for (auto [keys, of_queries] : {std::pair{0, 1u}, {1, 1u}, {4, 1u}, {5, 2u}, {40, 2u}}) {
    KernelArguments arguments = testing::sizes(1, 1, 3);
    arguments.key_length = keys;
    EXPECT_EQ(workspace_of(image.launch, arguments).value(), 3 * of_queries * sizeof(float)) << keys;
  }
}

TEST_P(DeviceTest, AWorkspaceBeyondMemoryIsAnError) {
  KernelImage image = image_of({phase("fill_workspace"), phase("double_workspace")});
  GridExtent length{Dimension::kQueryLength, 1};
  image.launch.workspace_tensors = {{{length, length, length}, 1 << 20}};
  auto kernel = device_->load(image).value();
  for (int32_t rows : {1 << 17, INT32_MAX}) { // 2^73 bytes, and more than 128 bits would count
    KernelArguments arguments = testing::sizes(1, 1, rows);
    EXPECT_FALSE(device_->prepare(*kernel, arguments, 0)) << rows;
  }
}

TEST_P(DeviceTest, NegativeSizesAreNamed) {
  auto kernel = device_->load(image_of({phase("count_block")})).value();
  KernelArguments arguments = testing::sizes(1, 1, /*query_length=*/-3);
  Result<void> refused = device_->launch(*kernel, arguments, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "query_length: was -3, must be at least 0");
}

TEST_P(DeviceTest, AnImageWithoutCodeForItIsRefused) {
  KernelImage image = image_of({phase("count_block")});
  bool is_host = GetParam() == DeviceKind::kHost;
  image.sections = {is_host ? testing::ptx_section() : testing::machine_code_section()};
  auto kernel = device_->load(image);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(kernel.error().message(), HasSubstr(is_host ? "sm_80" : "host:x86-64-v3"));
}

TEST_P(DeviceTest, AKernelStaysOnItsDevice) {
  for (DeviceKind other : {DeviceKind::kHost, DeviceKind::kEmulator}) {
    Result<Device *> elsewhere = Device::open(other);
    if (other == GetParam() || !elsewhere)
      continue;
    auto kernel = (*elsewhere)->load(image_of({phase("count_block")})).value();
    KernelArguments arguments = testing::sizes(1, 1, 1);
    Result<void> refused = device_->launch(*kernel, arguments, 0);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("was loaded on"));
  }
}

TEST_P(DeviceTest, TensorsReachItsMemory) {
  Tensor tensor = Tensor::random({3, 5}, DataType::kFloat32, 1).value();
  Result<Tensor> there = tensor.to(DeviceLocation{GetParam(), 0});
  ASSERT_TRUE(there) << there.error().message();
  EXPECT_EQ(there->device().kind, GetParam());
  Tensor back = there->to(DeviceLocation{}).value();
  EXPECT_EQ(0, std::memcmp(back.data(), tensor.data(), 15 * sizeof(float)));
}

TEST(Devices, OrdinalsOutOfRangeAreRefused) {
  EXPECT_EQ(Device::open(DeviceKind::kHost, 1).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(Device::open(DeviceKind::kEmulator, -1));
}

// Both drivers bear the name libcuda.so.1.
TEST(Devices, TheEmulatorDoesNotAnswerForNvidiasDriver) {
  static_cast<void>(Device::open(DeviceKind::kEmulator).ok());
  Result<Device *> device = Device::open(DeviceKind::kCuda);
  if (device)
    GTEST_SKIP() << "a GPU is here: " << (*device)->name();
  EXPECT_THAT(device.error().message(), ::testing::Not(HasSubstr("emulat")));
}

TEST(Devices, EachKindIsListedWithAReasonWhereItIsNotThere) {
  std::vector<DeviceStatus> lines = list_devices();
  for (DeviceKind kind : {DeviceKind::kHost, DeviceKind::kCuda, DeviceKind::kEmulator})
    EXPECT_TRUE(
        std::ranges::any_of(lines, [&](const DeviceStatus &line) { return line.kind == kind; }));
  for (const DeviceStatus &line : lines) {
    EXPECT_EQ(line.available, line.reason.empty());
    EXPECT_EQ(line.available, !line.target.empty());
    EXPECT_EQ(line.available, Device::open(line.kind, line.ordinal).ok());
  }
}

} // namespace
} // namespace tenon
