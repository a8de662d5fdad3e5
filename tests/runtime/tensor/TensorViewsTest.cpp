#include "Support.h"

namespace tenon {
namespace {

using test::counting;
using test::expect_error;
using test::values;
using testing::ElementsAre;

TEST(TensorViews, TransposeSwapsShapeAndStrides) {
  Tensor tensor = counting({2, 3});
  Tensor view = tensor.transpose(0, 1).value();
  EXPECT_EQ(view.shape(), (Shape{3, 2}));
  EXPECT_THAT(view.strides(), ElementsAre(1, 3));
  EXPECT_THAT(values(view), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_EQ(view.storage(), tensor.storage());
  EXPECT_THAT(values(tensor.transpose(-1, -2).value()), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(values(tensor.transpose(1, 1).value()), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(TensorViews, DimensionsThatDoNotExistAreRefused) {
  Tensor tensor = counting({2, 3});
  expect_error(tensor.transpose(0, 2), ErrorCode::kInvalidArgument,
               "second: was 2, must be a dimension of a tensor of shape [2, 3]");
  expect_error(tensor.transpose(-3, 0), ErrorCode::kInvalidArgument, "first: was -3");
  expect_error(tensor.slice(2, 0, 1), ErrorCode::kInvalidArgument, "dimension: was 2");
  expect_error(tensor.squeeze(5), ErrorCode::kInvalidArgument, "dimension: was 5");
  expect_error(tensor.unsqueeze(4), ErrorCode::kInvalidArgument, "dimension: was 4");
}

TEST(TensorViews, PermuteReordersAndWantsEachDimensionOnce) {
  Tensor tensor = counting({2, 3, 4});
  int order[] = {2, 0, 1}, twice[] = {0, 0, 1}, few[] = {0, 1}, beyond[] = {0, 1, 3};
  Tensor view = tensor.permute(order).value();
  EXPECT_EQ(view.shape(), (Shape{4, 2, 3}));
  EXPECT_THAT(view.strides(), ElementsAre(1, 12, 4));
  expect_error(tensor.permute(twice), ErrorCode::kInvalidArgument, "dimension 0 twice");
  expect_error(tensor.permute(few), ErrorCode::kInvalidArgument, "2 dimensions");
  expect_error(tensor.permute(beyond), ErrorCode::kInvalidArgument, "order");
}

TEST(TensorViews, SliceTakesStepsAndEmptyRanges) {
  Tensor tensor = counting({10});
  EXPECT_THAT(values(tensor.slice(0, 2, 5).value()), ElementsAre(2, 3, 4));
  EXPECT_THAT(values(tensor.slice(0, 1, 9, 3).value()), ElementsAre(1, 4, 7));
  EXPECT_THAT(values(tensor.slice(0, 1, 8, 3).value()), ElementsAre(1, 4, 7));
  EXPECT_THAT(values(tensor.slice(-1, 9, 10, 100).value()), ElementsAre(9));
  EXPECT_THAT(values(tensor.slice(0, 0, 10, INT64_MAX).value()), ElementsAre(0));
  EXPECT_THAT(values(tensor.slice(0, 10, 10).value()), ElementsAre());
  Tensor rows = counting({4, 2}).slice(0, 1, 4, 2).value();
  EXPECT_THAT(values(rows), ElementsAre(2, 3, 6, 7));
  EXPECT_THAT(values(rows.slice(1, 1, 2).value()), ElementsAre(3, 7));
}

TEST(TensorViews, SliceOutsideIsRefused) {
  Tensor tensor = counting({10});
  expect_error(tensor.slice(0, -1, 5), ErrorCode::kInvalidArgument,
               "slice: was -1:5, must be within 0:10");
  expect_error(tensor.slice(0, 5, 11), ErrorCode::kInvalidArgument, "slice");
  expect_error(tensor.slice(0, 6, 5), ErrorCode::kInvalidArgument, "slice");
  expect_error(tensor.slice(0, 0, 5, 0), ErrorCode::kInvalidArgument, "step: was 0");
  expect_error(tensor.slice(0, 0, 5, -1), ErrorCode::kInvalidArgument, "step: was -1");
}

TEST(TensorViews, HugeSizesBesideAZeroStayHarmless) {
  int64_t huge = int64_t{1} << 62;
  Tensor tensor = Tensor::empty({0, huge, huge, 3}).value();
  EXPECT_EQ(tensor.slice(1, 0, huge, 3)->element_count(), 0);
  EXPECT_EQ(tensor.unsqueeze(1)->element_count(), 0);
  EXPECT_EQ(tensor.transpose(0, 3)->element_count(), 0);
  EXPECT_EQ(tensor.contiguous()->element_count(), 0);
  EXPECT_EQ(tensor.reshape({0, 5})->shape(), (Shape{0, 5}));
}

TEST(TensorViews, ReshapeOfContiguousIsAView) {
  Tensor tensor = counting({2, 3, 4});
  Tensor view = tensor.reshape({6, 4}).value();
  EXPECT_EQ(view.storage(), tensor.storage());
  EXPECT_THAT(view.strides(), ElementsAre(4, 1));
  EXPECT_EQ(tensor.reshape({24})->shape(), (Shape{24}));
  EXPECT_EQ(tensor.reshape({1, 24, 1})->shape(), (Shape{1, 24, 1}));
  EXPECT_EQ(counting({1}).reshape({})->item(), 0);
}

TEST(TensorViews, ReshapeOfStridedKeepsWhatLiesTogether) {
  // [2, 3, 4] with the first two swapped: only the last may be cut.
  Tensor view = counting({2, 3, 4}).transpose(0, 1).value();
  Tensor cut = view.reshape({3, 2, 2, 2}).value();
  EXPECT_THAT(cut.strides(), ElementsAre(4, 12, 2, 1));
  EXPECT_EQ(values(cut), values(view));
  expect_error(view.reshape({6, 4}), ErrorCode::kInvalidArgument, "use contiguous() first");
  // A slice of the last dimension leaves the first two together.
  Tensor slice = counting({2, 3, 4}).slice(2, 0, 2).value();
  EXPECT_EQ(values(slice.reshape({6, 2}).value()), values(slice));
  EXPECT_EQ(values(slice.reshape({3, 1, 2, 2}).value()), values(slice));
  expect_error(slice.reshape({12}), ErrorCode::kInvalidArgument, "shape: was [12]");
}

TEST(TensorViews, ReshapeOfExpandedAndReversed) {
  Tensor expanded = counting({1, 3}).expand({4, 3}).value();
  EXPECT_THAT(values(expanded.reshape({2, 2, 3}).value()),
              ElementsAre(0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2));
  expect_error(expanded.reshape({12}), ErrorCode::kInvalidArgument, "contiguous");
  float memory[6] = {0, 1, 2, 3, 4, 5};
  Tensor reversed = Tensor::wrap(memory + 5, {2, 3}, {-3, -1}, DataType::kFloat32).value();
  EXPECT_THAT(values(reversed.reshape({6}).value()), ElementsAre(5, 4, 3, 2, 1, 0));
}

TEST(TensorViews, ReshapeToAnotherNumberOfElementsIsRefused) {
  expect_error(counting({2, 3}).reshape({7}), ErrorCode::kShapeMismatch,
               "as many elements as [2, 3]");
  expect_error(counting({2, 3}).reshape({-1, 3}), ErrorCode::kInvalidArgument,
               "sizes of 0 or more");
}

// Every reshape that succeeds must show the same elements in the same order.
TEST(TensorViews, EveryReshapeOfEveryPermutationKeepsTheOrder) {
  int order[] = {0, 1, 2, 3};
  const Shape shapes[] = {{24},       {2, 12},       {3, 8},     {4, 6},          {6, 4},
                          {12, 2},    {2, 2, 6},     {2, 3, 4},  {2, 2, 2, 3},    {3, 2, 2, 2},
                          {1, 24, 1}, {2, 1, 12, 1}, {24, 1, 1}, {6, 1, 2, 1, 2}, {4, 3, 2}};
  int succeeded = 0;
  do {
    Tensor view = counting({2, 3, 1, 4}).permute(order).value();
    for (const Shape &shape : shapes)
      if (auto cut = view.reshape(shape)) {
        ++succeeded;
        ASSERT_EQ(values(*cut), values(view))
            << to_string(view.shape()) << " to " << to_string(shape);
      }
  } while (std::next_permutation(std::begin(order), std::end(order)));
  EXPECT_GT(succeeded, 100);
}

TEST(TensorViews, ExpandBroadcastsWithStrideZero) {
  Tensor tensor = counting({3, 1});
  Tensor view = tensor.expand({2, 3, 2}).value();
  EXPECT_THAT(view.strides(), ElementsAre(0, 1, 0));
  EXPECT_THAT(values(view), ElementsAre(0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2));
  EXPECT_EQ(counting({}).expand({2, 2})->element_count(), 4);
  EXPECT_EQ(counting({1}).expand({0})->element_count(), 0);
}

TEST(TensorViews, ExpandRefusesOtherSizes) {
  expect_error(counting({3}).expand({4}), ErrorCode::kShapeMismatch, "to which [3] broadcasts");
  expect_error(counting({2, 3}).expand({3}), ErrorCode::kShapeMismatch, "shape");
  expect_error(counting({1}).expand({-1}), ErrorCode::kInvalidArgument, "shape");
  expect_error(counting({1, 1}).expand({int64_t{1} << 62, 4}), ErrorCode::kInvalidArgument, "2^63");
}

TEST(TensorViews, UnsqueezeAndSqueeze) {
  Tensor tensor = counting({2, 3});
  EXPECT_EQ(tensor.unsqueeze(0)->shape(), (Shape{1, 2, 3}));
  EXPECT_EQ(tensor.unsqueeze(1)->shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(tensor.unsqueeze(-1)->shape(), (Shape{2, 3, 1}));
  EXPECT_TRUE(tensor.unsqueeze(2)->is_contiguous());
  EXPECT_EQ(tensor.unsqueeze(1)->squeeze(1)->shape(), (Shape{2, 3}));
  expect_error(tensor.squeeze(0), ErrorCode::kInvalidArgument, "of size 2, must be of size 1");
}

} // namespace
} // namespace tenon
