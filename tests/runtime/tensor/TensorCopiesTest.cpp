#include "Support.h"

#include <cmath>

namespace tenon {
namespace {

using test::counting;
using test::expect_error;
using test::kEveryType;
using test::values;
using testing::ElementsAre;

TEST(TensorCopies, ContiguousIsItselfWhereItIsSoAlready) {
  Tensor tensor = counting({2, 3});
  EXPECT_EQ(tensor.contiguous()->storage(), tensor.storage());
  Tensor dense = tensor.transpose(0, 1)->contiguous().value();
  EXPECT_NE(dense.storage(), tensor.storage());
  EXPECT_TRUE(dense.is_contiguous());
  EXPECT_THAT(values(dense), ElementsAre(0, 3, 1, 4, 2, 5));
}

TEST(TensorCopies, CloneHasMemoryOfItsOwn) {
  Tensor tensor = counting({2});
  Tensor copy = tensor.clone().value();
  tensor.data_as<float>()[0] = 9;
  EXPECT_THAT(values(copy), ElementsAre(0, 1));
}

TEST(TensorCopies, EveryTypeConvertsToEveryOther) {
  for (DataType from : kEveryType)
    for (DataType to : kEveryType) {
      Tensor source = counting({2, 3}, from);
      Tensor converted = source.to(to).value();
      EXPECT_EQ(converted.dtype(), to);
      bool boolean = from == DataType::kBool || to == DataType::kBool;
      EXPECT_THAT(values(converted),
                  boolean ? ElementsAre(0, 1, 1, 1, 1, 1) : ElementsAre(0, 1, 2, 3, 4, 5))
          << name(from) << " to " << name(to);
      if (from == to) {
        EXPECT_EQ(converted.storage(), source.storage());
      }
    }
}

TEST(TensorCopies, StridedViewsConvert) {
  for (DataType to : kEveryType) {
    Tensor view = counting({2, 3}).transpose(0, 1)->slice(0, 0, 3, 2).value();
    if (to != DataType::kBool) {
      EXPECT_THAT(values(view.to(to).value()), ElementsAre(0, 3, 2, 5)) << name(to);
    }
  }
}

TEST(TensorCopies, WideIntegersDoNotPassThroughDoubles) {
  int64_t odd = (int64_t{1} << 53) + 1;
  Tensor tensor = Tensor::from_values<int64_t>({1}, {odd}).value();
  EXPECT_EQ(tensor.clone()->data_as<int64_t>()[0], odd);
  Tensor target = Tensor::zeros({1}, DataType::kInt64).value();
  ASSERT_TRUE(target.copy_from(tensor).ok());
  EXPECT_EQ(target.data_as<int64_t>()[0], odd);
}

TEST(TensorCopies, NansAndInfinitiesConvert) {
  Tensor tensor = Tensor::from_values<float>({3}, {NAN, INFINITY, -INFINITY}).value();
  for (DataType to : {DataType::kFloat16, DataType::kBFloat16, DataType::kFloat64}) {
    auto converted = values(tensor.to(to).value());
    EXPECT_TRUE(std::isnan(converted[0]));
    EXPECT_EQ(converted[1], HUGE_VAL);
    EXPECT_EQ(converted[2], -HUGE_VAL);
  }
  EXPECT_THAT(values(tensor.to(DataType::kInt32).value()), ElementsAre(0, INT32_MAX, INT32_MIN));
}

TEST(TensorCopies, CopyFromWritesIntoViews) {
  Tensor target = Tensor::zeros({2, 4}).value();
  Tensor columns = target.slice(1, 1, 4, 2).value();
  ASSERT_TRUE(columns.copy_from(counting({2, 2}, DataType::kInt32)).ok());
  EXPECT_THAT(values(target), ElementsAre(0, 0, 0, 1, 0, 2, 0, 3));
}

TEST(TensorCopies, CopyFromBroadcastSource) {
  Tensor target = Tensor::zeros({2, 2}).value();
  ASSERT_TRUE(target.copy_from(counting({2, 1}).expand({2, 2}).value()).ok());
  EXPECT_THAT(values(target), ElementsAre(0, 0, 1, 1));
}

TEST(TensorCopies, CopyFromItsOwnMemoryReadsBeforeItWrites) {
  Tensor tensor = counting({3, 3});
  ASSERT_TRUE(tensor.copy_from(tensor.transpose(0, 1).value()).ok());
  EXPECT_THAT(values(tensor), ElementsAre(0, 3, 6, 1, 4, 7, 2, 5, 8));
  Tensor line = counting({5});
  ASSERT_TRUE(line.slice(0, 1, 5)->copy_from(line.slice(0, 0, 4).value()).ok());
  EXPECT_THAT(values(line), ElementsAre(0, 0, 1, 2, 3));
}

TEST(TensorCopies, CopyFromRefusals) {
  Tensor target = Tensor::zeros({2, 2}).value();
  expect_error(target.copy_from(counting({4})), ErrorCode::kShapeMismatch,
               "source: was [4], must be [2, 2]");
  Tensor expanded = Tensor::zeros({1, 2})->expand({2, 2}).value();
  expect_error(expanded.copy_from(target), ErrorCode::kInvalidArgument, "expanded view");
  target.storage()->read_only = true;
  expect_error(target.copy_from(counting({2, 2})), ErrorCode::kInvalidArgument, "read-only");
  EXPECT_TRUE(target.transpose(0, 1)->is_read_only());
  EXPECT_FALSE(target.clone()->is_read_only());
}

TEST(TensorCopies, TheStrideOfASingleElementIsNeverUsed) {
  float memory[2] = {7, 8};
  int64_t largest = INT64_MAX / 4, least = INT64_MIN / 2;
  for (int64_t stride : {largest, least, int64_t{0}}) {
    Tensor single = Tensor::wrap(memory, {2, 1}, {1, stride}, DataType::kFloat32).value();
    EXPECT_THAT(values(single.clone().value()), ElementsAre(7, 8));
    EXPECT_THAT(values(single.to(DataType::kInt64).value()), ElementsAre(7, 8));
    EXPECT_THAT(values(single.transpose(0, 1)->reshape({2}).value()), ElementsAre(7, 8));
    EXPECT_EQ(single.unsqueeze(1)->shape(), (Shape{2, 1, 1}));
  }
}

TEST(TensorCopies, NothingToCopyIsCopied) {
  Tensor tensor = Tensor::empty({3, 0}).value();
  EXPECT_EQ(tensor.clone()->shape(), (Shape{3, 0}));
  EXPECT_EQ(tensor.transpose(0, 1)->contiguous()->shape(), (Shape{0, 3}));
  EXPECT_EQ(tensor.to(DataType::kInt64)->element_count(), 0);
}

} // namespace
} // namespace tenon
