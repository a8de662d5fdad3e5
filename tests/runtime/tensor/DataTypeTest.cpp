#include "Support.h"

#include <cmath>
#include <limits>

namespace tenon {
namespace {

using test::kEveryType;

double stored(DataType dtype, double value) {
  alignas(8) char element[8] = {};
  store_from_double(element, dtype, value);
  return load_as_double(element, dtype);
}

TEST(DataType, NamesParseBack) {
  for (DataType dtype : kEveryType)
    EXPECT_EQ(parse_data_type(name(dtype)).value(), dtype);
}

TEST(DataType, UnknownNamesAreRefusedWithTheList) {
  for (std::string_view text : {"", "float32", "F32", "f32 ", "u8"})
    test::expect_error(parse_data_type(text), ErrorCode::kInvalidArgument,
                       "f32, f16, bf16, bool, i32, i64, f64");
}

TEST(DataType, Sizes) {
  size_t expected[] = {4, 2, 2, 1, 4, 8, 8};
  for (size_t i = 0; i < std::size(kEveryType); ++i)
    EXPECT_EQ(size_in_bytes(kEveryType[i]), expected[i]);
  EXPECT_TRUE(is_floating_point(DataType::kBFloat16));
  EXPECT_FALSE(is_floating_point(DataType::kBool));
}

TEST(DataType, IntegersTruncateAndSaturate) {
  EXPECT_EQ(stored(DataType::kInt32, 2.9), 2);
  EXPECT_EQ(stored(DataType::kInt32, -2.9), -2);
  EXPECT_EQ(stored(DataType::kInt32, 1e10), std::numeric_limits<int32_t>::max());
  EXPECT_EQ(stored(DataType::kInt32, -1e10), std::numeric_limits<int32_t>::min());
  EXPECT_EQ(stored(DataType::kInt32, std::nan("")), 0);
  EXPECT_EQ(stored(DataType::kInt64, std::numeric_limits<double>::infinity()), 0x1p63);
  EXPECT_EQ(stored(DataType::kInt64, -0x1p63), -0x1p63);
  EXPECT_EQ(stored(DataType::kInt64, 0x1p62), 0x1p62);
}

TEST(DataType, BooleansAreZeroOrOne) {
  EXPECT_EQ(stored(DataType::kBool, 0.0), 0);
  EXPECT_EQ(stored(DataType::kBool, -0.0), 0);
  EXPECT_EQ(stored(DataType::kBool, 0.25), 1);
  EXPECT_EQ(stored(DataType::kBool, -3), 1);
}

TEST(DataType, DoublesAreRoundedToSixteenBitsOnce) {
  // A little above the middle of 1 and its successor: by way of float32 the little would be lost.
  EXPECT_EQ(stored(DataType::kFloat16, 1 + 0x1p-11 + 0x1p-40), 1 + 0x1p-10);
  EXPECT_EQ(stored(DataType::kFloat16, 1 + 0x1p-11), 1);
  EXPECT_EQ(stored(DataType::kBFloat16, 1 + 0x1p-8 + 0x1p-40), 1 + 0x1p-7);
  EXPECT_EQ(stored(DataType::kBFloat16, 1 + 3 * 0x1p-8 - 0x1p-40), 1 + 0x1p-7);
  EXPECT_EQ(stored(DataType::kFloat16, -(1 + 0x1p-11 + 0x1p-40)), -(1 + 0x1p-10));
}

TEST(DataType, DoublesBeyondTheRangeBecomeInfinite) {
  for (DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16}) {
    EXPECT_EQ(stored(dtype, 1e300), HUGE_VAL);
    EXPECT_EQ(stored(dtype, -1e300), -HUGE_VAL);
    EXPECT_EQ(stored(dtype, HUGE_VAL), HUGE_VAL);
    EXPECT_TRUE(std::isnan(stored(dtype, std::nan(""))));
    EXPECT_EQ(stored(dtype, 1e-300), 0);
    EXPECT_TRUE(std::signbit(stored(dtype, -1e-300)));
  }
  EXPECT_EQ(stored(DataType::kFloat16, 65519.999), 65504);
  EXPECT_EQ(stored(DataType::kFloat16, 65520), HUGE_VAL);
}

} // namespace
} // namespace tenon
