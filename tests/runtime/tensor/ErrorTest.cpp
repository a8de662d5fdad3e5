#include "Support.h"

#include "tenon/Version.h"

#include <set>

namespace tenon {
namespace {

Result<int> half_of(int number) {
  if (number % 2)
    return Error::invalid_argument("number", std::to_string(number), "even");
  return number / 2;
}
Status all_even(int a, int b) {
  TENON_TRY(half_of(a));
  TENON_TRY(half_of(b));
  return {};
}
Result<int> quarter_of(int number) {
  TENON_ASSIGN_OR_RETURN(int half, half_of(number));
  TENON_ASSIGN_OR_RETURN(auto quarter, half_of(half));
  return quarter;
}

TEST(Error, NamesTheArgumentWhatItWasAndWhatItMustBe) {
  Error error = Error::invalid_argument("dropout", "1.5", "a number in [0, 1]");
  EXPECT_EQ(error.message(), "dropout: was 1.5, must be a number in [0, 1]");
  EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(error.argument(), "dropout");
  EXPECT_EQ(error.actual(), "1.5");
  EXPECT_EQ(error.expected(), "a number in [0, 1]");
}

TEST(Error, HoldsFreeText) {
  Error error(ErrorCode::kIo, "disk on fire");
  EXPECT_EQ(error.message(), "disk on fire");
  EXPECT_EQ(error.argument(), "");
}

TEST(Error, EachCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::kCacheMiss); ++code)
    names.insert(name(static_cast<ErrorCode>(code)));
  EXPECT_EQ(names.size(), 12u);
  EXPECT_EQ(name(ErrorCode::kShapeMismatch), "shape mismatch");
  EXPECT_EQ(name(ErrorCode::kInternal), "internal");
}

TEST(Error, KeepsItsReasons) {
  Error error = Error(ErrorCode::kCompilation, "no back end")
                    .with_reasons({{"host", "width 24"}, {"cuda", "no driver"}});
  ASSERT_EQ(error.reasons().size(), 2u);
  EXPECT_EQ(error.reasons()[1], (Reason{"cuda", "no driver"}));
}

TEST(Result, HoldsAValueOrAnError) {
  EXPECT_EQ(half_of(4).value(), 2);
  EXPECT_TRUE(half_of(4));
  EXPECT_FALSE(half_of(3));
  EXPECT_EQ(half_of(3).error().argument(), "number");
}

TEST(Result, MovesItsValueOut) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  EXPECT_EQ(**result, 7);
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(Result, MacrosReturnTheFirstError) {
  EXPECT_TRUE(all_even(2, 4).ok());
  EXPECT_EQ(all_even(2, 5).error().actual(), "5");
  EXPECT_EQ(quarter_of(12).value(), 3);
  EXPECT_EQ(quarter_of(6).error().actual(), "3");
}

TEST(Result, StatusIsSuccessByDefault) {
  EXPECT_TRUE(Status().ok());
  EXPECT_TRUE(Status::success());
  EXPECT_FALSE(Status(Error(ErrorCode::kIo, "x")).ok());
}

TEST(ResultDeathTest, ValueOfAnErrorEndsTheProgramWithItsMessage) {
  EXPECT_DEATH((void)half_of(3).value(), "number: was 3, must be even");
  EXPECT_DEATH(all_even(1, 2).value(), "number: was 1");
}

TEST(Version, AgreesWithTheBuild) {
  EXPECT_EQ(version(), TENON_PROJECT_VERSION);
  EXPECT_EQ(std::string(TENON_VERSION), std::to_string(TENON_VERSION_MAJOR) + "." +
                                            std::to_string(TENON_VERSION_MINOR) + "." +
                                            std::to_string(TENON_VERSION_PATCH));
}

} // namespace
} // namespace tenon
