#include "Support.h"

namespace tenon {
namespace {

using test::expect_error;
using test::values;
using testing::ElementsAre;

constexpr int64_t kHuge = int64_t{1} << 62;

TEST(Tensor, EmptyIsContiguousAndAligned) {
  Tensor tensor = Tensor::empty({2, 3, 4}, DataType::kFloat16).value();
  EXPECT_EQ(tensor.shape(), (Shape{2, 3, 4}));
  EXPECT_THAT(tensor.strides(), ElementsAre(12, 4, 1));
  EXPECT_EQ(tensor.rank(), 3);
  EXPECT_EQ(tensor.size(-1), 4);
  EXPECT_EQ(tensor.size(0), 2);
  EXPECT_EQ(tensor.dtype(), DataType::kFloat16);
  EXPECT_EQ(tensor.element_count(), 24);
  EXPECT_EQ(tensor.storage()->bytes, 48u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_TRUE(tensor.on_host());
  EXPECT_FALSE(tensor.is_read_only());
}

TEST(Tensor, ScalarsHaveNoDimensions) {
  Tensor scalar = Tensor::full({}, 2.5).value();
  EXPECT_EQ(scalar.rank(), 0);
  EXPECT_EQ(scalar.element_count(), 1);
  EXPECT_EQ(scalar.item(), 2.5);
  EXPECT_EQ(scalar.item<int>(), 2);
}

TEST(Tensor, ZerosAndFull) {
  EXPECT_THAT(values(Tensor::zeros({3}, DataType::kInt64).value()), ElementsAre(0, 0, 0));
  EXPECT_THAT(values(Tensor::full({2}, 1.5, DataType::kBFloat16).value()), ElementsAre(1.5, 1.5));
  EXPECT_THAT(values(Tensor::full({2}, 7, DataType::kBool).value()), ElementsAre(1, 1));
}

TEST(Tensor, FromValuesKeepsTheType) {
  EXPECT_EQ(Tensor::from_values<float>({1}, {1.f})->dtype(), DataType::kFloat32);
  EXPECT_EQ(Tensor::from_values<double>({1}, {1.})->dtype(), DataType::kFloat64);
  EXPECT_EQ(Tensor::from_values<bool>({1}, {true})->dtype(), DataType::kBool);
  EXPECT_THAT(values(Tensor::from_values<int64_t>({2, 2}, {1, 2, 3, -4}).value()),
              ElementsAre(1, 2, 3, -4));
  EXPECT_THAT(values(Tensor::from_values<int32_t>({0}, {}).value()), ElementsAre());
}

TEST(Tensor, FromValuesOfAnotherNumberIsRefused) {
  expect_error(Tensor::from_values<float>({2, 2}, {1.f, 2.f, 3.f}), ErrorCode::kShapeMismatch,
               "values: was 3 values, must be 4 for shape [2, 2]");
}

TEST(Tensor, SizesOfZeroAreLegal) {
  Tensor tensor = Tensor::empty({2, 0, 3}).value();
  EXPECT_EQ(tensor.element_count(), 0);
  EXPECT_TRUE(tensor.is_contiguous());
  EXPECT_TRUE(tensor.defined());
  EXPECT_EQ(Tensor::empty({0, kHuge, kHuge})->element_count(), 0);
  EXPECT_EQ(Tensor::empty({kHuge, kHuge, 0})->element_count(), 0);
}

TEST(Tensor, NegativeAndOverflowingSizesAreRefused) {
  expect_error(Tensor::empty({2, -1}), ErrorCode::kInvalidArgument, "shape: was [2, -1]");
  expect_error(Tensor::empty({kHuge, 2}), ErrorCode::kInvalidArgument, "below 2^63 bytes");
  expect_error(Tensor::empty({kHuge, kHuge, kHuge}), ErrorCode::kInvalidArgument,
               "below 2^63 bytes");
  expect_error(Tensor::empty({kHuge}, DataType::kFloat64), ErrorCode::kInvalidArgument,
               "below 2^63 bytes");
  expect_error(Tensor::zeros({-5}), ErrorCode::kInvalidArgument, "shape");
  expect_error(Tensor::full({INT64_MIN}, 1), ErrorCode::kInvalidArgument, "shape");
  expect_error(Tensor::random({-1}, DataType::kFloat32, 0), ErrorCode::kInvalidArgument, "shape");
}

TEST(Tensor, MemoryThatIsNotThereIsAnError) {
  expect_error(Tensor::empty({kHuge}, DataType::kBool), ErrorCode::kOutOfMemory,
               "4611686018427387904 bytes");
}

TEST(Tensor, CopiesShareMemory) {
  Tensor first = Tensor::zeros({2}).value(), second = first;
  first.data_as<float>()[1] = 5;
  EXPECT_THAT(values(second), ElementsAre(0, 5));
  EXPECT_EQ(first.storage(), second.storage());
}

TEST(Tensor, UndefinedIsNoTensor) {
  Tensor none;
  EXPECT_FALSE(none.defined());
  EXPECT_EQ(none.element_count(), 0);
  EXPECT_EQ(none.data(), nullptr);
  expect_error(none.clone(), ErrorCode::kInvalidArgument, "undefined");
  expect_error(none.to(DataType::kFloat16), ErrorCode::kInvalidArgument, "undefined");
  expect_error(none.to(DeviceLocation{DeviceKind::kCuda, 0}), ErrorCode::kInvalidArgument,
               "undefined");
  expect_error(none.expand({2, 2}), ErrorCode::kInvalidArgument, "undefined");
  expect_error(none.reshape({0}), ErrorCode::kInvalidArgument, "undefined");
  expect_error(none.transpose(0, 1), ErrorCode::kInvalidArgument, "first");
  Tensor some = Tensor::zeros({}).value();
  expect_error(some.copy_from(none), ErrorCode::kInvalidArgument, "source: was undefined");
  expect_error(none.copy_from(some), ErrorCode::kInvalidArgument, "undefined");
}

TEST(Tensor, WrapBorrowsAndReleasesOnce) {
  float memory[6] = {0, 1, 2, 3, 4, 5};
  int released = 0;
  {
    Tensor tensor = Tensor::wrap(memory, {2, 3}, {}, DataType::kFloat32, {}, [&](void *data) {
                      EXPECT_EQ(data, memory);
                      ++released;
                    }).value();
    EXPECT_THAT(values(tensor), ElementsAre(0, 1, 2, 3, 4, 5));
    Tensor view = tensor.slice(1, 1, 3).value();
    tensor = {};
    EXPECT_EQ(released, 0);
    EXPECT_THAT(values(view), ElementsAre(1, 2, 4, 5));
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, WrapTakesNegativeStrides) {
  int32_t memory[4] = {0, 1, 2, 3};
  Tensor reversed = Tensor::wrap(memory + 3, {4}, {-1}, DataType::kInt32).value();
  EXPECT_THAT(values(reversed), ElementsAre(3, 2, 1, 0));
  EXPECT_FALSE(reversed.is_contiguous());
  EXPECT_THAT(values(reversed.contiguous().value()), ElementsAre(3, 2, 1, 0));
}

TEST(Tensor, WrapRefusesWhatCannotBe) {
  alignas(8) char memory[64] = {};
  int released = 0;
  auto deleter = [&](void *) { ++released; };
  auto wrap = [&](void *data, Shape shape, std::vector<int64_t> strides) {
    return Tensor::wrap(data, std::move(shape), std::move(strides), DataType::kFloat32, {},
                        deleter);
  };
  expect_error(wrap(nullptr, {2}, {}), ErrorCode::kInvalidArgument, "data: was null");
  expect_error(wrap(memory + 1, {2}, {}), ErrorCode::kInvalidArgument, "not aligned");
  expect_error(wrap(memory, {2, 2}, {1}), ErrorCode::kInvalidArgument, "strides: was [1]");
  expect_error(wrap(memory, {2}, {INT64_MIN}), ErrorCode::kInvalidArgument, "address space");
  expect_error(wrap(memory, {3, 3}, {kHuge, kHuge}), ErrorCode::kInvalidArgument, "address space");
  expect_error(wrap(memory, {2}, {kHuge}), ErrorCode::kInvalidArgument, "address space");
  expect_error(wrap(memory, {-2}, {1}), ErrorCode::kInvalidArgument, "shape");
  EXPECT_EQ(released, 0);
  EXPECT_TRUE(wrap(nullptr, {0, 4}, {}).ok());
  EXPECT_EQ(released, 1);
}

TEST(Tensor, ContiguityIgnoresDimensionsOfSizeOne) {
  float memory[4] = {};
  EXPECT_TRUE(Tensor::wrap(memory, {1, 4}, {99, 1}, DataType::kFloat32)->is_contiguous());
  EXPECT_FALSE(Tensor::wrap(memory, {2, 2}, {1, 2}, DataType::kFloat32)->is_contiguous());
}

TEST(TensorDeathTest, ReadingOutsideEndsTheProgramWithAMessage) {
  Tensor tensor = Tensor::zeros({2, 3}).value();
  int64_t outside[] = {2, 0}, few[] = {1};
  EXPECT_DEATH((void)tensor.element_as_double(outside),
               "index \\[2, 0\\] in host tensor of shape \\[2, 3\\]");
  EXPECT_DEATH((void)tensor.element_as_double(few), "element_as_double");
  EXPECT_DEATH((void)tensor.item(), "item\\(\\) of host tensor of shape \\[2, 3\\]");
  EXPECT_DEATH((void)tensor.size(2), "dimension 2");
  EXPECT_DEATH((void)Tensor().item(), "item");
}

TEST(Tensor, ElementTypesThatDoNotExistAreRefused) {
  const auto strange = static_cast<DataType>(99);
  EXPECT_EQ(Tensor::empty({4}, strange).error().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(Tensor::zeros({4}).value().to(strange).error().code(), ErrorCode::kInvalidArgument);
}

TEST(Tensor, Names) {
  EXPECT_EQ(to_string(Shape{2, 12, 256, 32}), "[2, 12, 256, 32]");
  EXPECT_EQ(to_string(Shape{}), "[]");
  EXPECT_EQ(name(DeviceKind::kEmulator), "emulator");
}

} // namespace

} // namespace tenon
