#include "Support.h"

#include "tenon/TensorFile.h"

#include <cstring>

namespace tenon {
namespace {

using test::as_bytes;
using test::counting;
using test::expect_error;
using test::TemporaryFolder;
using test::values;
using testing::ElementsAre;
using testing::HasSubstr;

// A file as NumPy writes it, with this dictionary and these data.
std::string npy(std::string header, const std::string &data, char major = 1) {
  header += '\n';
  std::string text = std::string("\x93NUMPY") + major + '\0';
  for (size_t i = 0; i < (major == 1 ? 2u : 4u); ++i)
    text += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return text + header + data;
}

template <class T> std::string raw(std::initializer_list<T> elements) {
  return {reinterpret_cast<const char *>(elements.begin()), elements.size() * sizeof(T)};
}

std::string dictionary(const std::string &descriptor, const std::string &shape,
                       const char *order = "False") {
  return "{'descr': '" + descriptor + "', 'fortran_order': " + order + ", 'shape': " + shape +
         ", }";
}

const std::string kFour = raw<float>({1, 2, 3, 4});

TEST(Npy, EveryTypeSurvivesTheRoundTrip) {
  TemporaryFolder folder;
  for (DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kFloat64,
                         DataType::kBool, DataType::kInt32, DataType::kInt64}) {
    Tensor tensor = counting({2, 3}, dtype);
    ASSERT_TRUE(write_npy(folder / "t.npy", tensor).ok());
    Tensor back = read_npy(folder / "t.npy").value();
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), tensor.shape());
    EXPECT_EQ(values(back), values(tensor));
  }
}

TEST(Npy, EveryRankSurvivesTheRoundTrip) {
  TemporaryFolder folder;
  for (const Shape &shape : {Shape{}, Shape{5}, Shape{0}, Shape{2, 0, 3}, Shape{1, 2, 3, 4, 5}}) {
    ASSERT_TRUE(write_npy(folder / "t.npy", counting(shape)).ok());
    EXPECT_EQ(read_npy(folder / "t.npy")->shape(), shape);
  }
}

TEST(Npy, StridedTensorsAreWrittenRowMajor) {
  TemporaryFolder folder;
  Tensor view = counting({2, 3}).transpose(0, 1).value();
  ASSERT_TRUE(write_npy(folder / "t.npy", view).ok());
  EXPECT_EQ(values(read_npy(folder / "t.npy").value()), values(view));
}

TEST(Npy, WhatIsWrittenIsWhatNumPyWrites) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_npy(folder / "t.npy", counting({2})).ok());
  std::string bytes = test::read_bytes(folder / "t.npy");
  ASSERT_EQ(bytes.size(), 128u + 8);
  EXPECT_EQ(bytes.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_THAT(bytes, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (2, ), }"));
  EXPECT_EQ(bytes[127], '\n');
}

TEST(Npy, AllVersionsAreRead) {
  for (char version : {1, 2, 3})
    EXPECT_THAT(
        values(parse_npy(as_bytes(npy(dictionary("<f4", "(2, 2)"), kFour, version))).value()),
        ElementsAre(1, 2, 3, 4));
}

TEST(Npy, FortranOrderIsAStridedView) {
  Tensor tensor = parse_npy(as_bytes(npy(dictionary("<f4", "(2, 2)", "True"), kFour))).value();
  EXPECT_THAT(tensor.strides(), ElementsAre(1, 2));
  EXPECT_THAT(values(tensor), ElementsAre(1, 3, 2, 4));
}

TEST(Npy, SpellingsOfTheHeaderThatPythonAllows) {
  for (std::string header : {"{'shape': (4,), 'fortran_order': False, 'descr': '<f4'}",
                             "{\"descr\":\"<f4\",\"fortran_order\":False,\"shape\":(4L,)}",
                             " { 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 4 , ) } "})
    EXPECT_THAT(values(parse_npy(as_bytes(npy(header, kFour))).value()), ElementsAre(1, 2, 3, 4))
        << header;
  EXPECT_EQ(parse_npy(as_bytes(npy(dictionary("<f8", "()"), raw<double>({2.5}))))->item(), 2.5);
}

TEST(Npy, BooleansOtherThanOneAreTrue) {
  Tensor tensor =
      parse_npy(as_bytes(npy(dictionary("|b1", "(3,)"), std::string("\x00\x01\x07", 3)))).value();
  EXPECT_EQ(tensor.data_as<uint8_t>()[2], 1);
}

TEST(Npy, BytesOfZeroAndOneAreAMask) {
  Tensor mask =
      parse_npy(as_bytes(npy(dictionary("|u1", "(3,)"), std::string("\x00\x01\x01", 3)))).value();
  EXPECT_EQ(mask.dtype(), DataType::kBool);
  EXPECT_EQ(mask.data_as<uint8_t>()[0], 0);
  EXPECT_EQ(mask.data_as<uint8_t>()[2], 1);
  expect_error(parse_npy(as_bytes(npy(dictionary("|u1", "(3,)"), std::string("\x00\x01\x07", 3)))),
               ErrorCode::kUnsupportedType, "holds 7; store it as bool");
}

TEST(Npy, EveryTruncationIsRefused) {
  std::string whole = npy(dictionary("<f4", "(2, 2)"), kFour);
  for (size_t length = 0; length < whole.size(); ++length)
    expect_error(parse_npy(as_bytes(whole.substr(0, length))), ErrorCode::kCorruptFile,
                 "not a valid .npy");
  expect_error(parse_npy(as_bytes(whole + "x")), ErrorCode::kCorruptFile,
               "takes 16 bytes, the file holds 17");
}

struct BadNpy {
  const char *header, *part;
};
TEST(Npy, DamagedHeadersAreRefused) {
  constexpr BadNpy kCases[] = {
      {"", "dictionary"},
      {"[]", "dictionary"},
      {"{}", "must hold 'descr'"},
      {"{'descr': '<f4', 'fortran_order': False}", "must hold 'descr'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,)", "does not end"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,)} x", "nothing else"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), 'more': 1}",
       "'more' cannot be read"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (4,)}",
       "'descr' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': 1, 'shape': (4,)}", "'fortran_order' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': 4}", "'shape' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4 4)}", "'shape' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4.0,)}", "'shape' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (,)}", "'shape' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}",
       "'shape' cannot be read"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-4,)}", "sizes of 0 or more"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4)}",
       "below 2^63 bytes"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,)}",
       "takes 20 bytes, the file holds 16"},
      {"{'descr: '<f4', 'fortran_order': False, 'shape': (4,)}", "not a valid .npy"},
      {"{'descr': '<f4, 'fortran_order': False, 'shape': (4,)}", "not a valid .npy"},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4,)}",
       "'descr' cannot be read"},
  };
  for (const BadNpy &test : kCases) {
    SCOPED_TRACE(test.header);
    expect_error(parse_npy(as_bytes(npy(test.header, kFour))), ErrorCode::kCorruptFile, test.part);
  }
}

TEST(Npy, MoreThanThirtyTwoDimensionsAreRefused) {
  std::string shape = "(";
  for (int i = 0; i < 33; ++i)
    shape += "1, ";
  expect_error(parse_npy(as_bytes(npy(dictionary("<f4", shape + ")"), raw<float>({1})))),
               ErrorCode::kCorruptFile, "'shape' cannot be read");
  expect_error(write_npy("t.npy", Tensor::zeros(Shape(33, 1)).value()), ErrorCode::kUnsupported,
               "32 dimensions");
}

TEST(Npy, OtherTypesAreRefused) {
  for (std::string descriptor : {"<c8", "<u4", "|i1", "<U4", "|O", "|V2", "f4", ""})
    expect_error(parse_npy(as_bytes(npy(dictionary(descriptor, "(4,)"), kFour))),
                 ErrorCode::kUnsupportedType, "'" + descriptor + "' is not read");
  expect_error(parse_npy(as_bytes(npy(dictionary(">f4", "(4,)"), kFour))),
               ErrorCode::kUnsupportedType, "big-endian");
}

TEST(Npy, OtherVersionsAndKindsAreRefused) {
  expect_error(parse_npy(as_bytes(npy(dictionary("<f4", "(4,)"), kFour, 4))),
               ErrorCode::kCorruptFile, "version 4 is unknown");
  expect_error(parse_npy(as_bytes("PK\x03\x04 this is an archive")), ErrorCode::kCorruptFile,
               "NUMPY");
  expect_error(parse_npy({}), ErrorCode::kCorruptFile, "NUMPY");
}

TEST(Npy, BFloat16IsSentToSafetensors) {
  TemporaryFolder folder;
  expect_error(write_npy(folder / "t.npy", counting({2}, DataType::kBFloat16)),
               ErrorCode::kUnsupportedType, "use .safetensors");
  EXPECT_TRUE(folder.names().empty());
}

} // namespace
} // namespace tenon
