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

std::string safetensors(const std::string &header, const std::string &data) {
  uint64_t length = header.size();
  return std::string(reinterpret_cast<const char *>(&length), 8) + header + data;
}
const std::string kEight(8, '\0');

TEST(Safetensors, EveryTypeSurvivesTheRoundTrip) {
  TemporaryFolder folder;
  NamedTensors tensors;
  for (DataType dtype : {DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16,
                         DataType::kBool, DataType::kInt32, DataType::kInt64, DataType::kFloat64})
    tensors[std::string(name(dtype))] = counting({2, 3}, dtype);
  tensors["empty"] = counting({0, 4});
  tensors["scalar"] = counting({});
  tensors["strided"] = counting({2, 3}).transpose(0, 1).value();
  tensors["name with \"quotes\" and ünïcode"] = counting({1});
  ASSERT_TRUE(write_safetensors(folder / "t.safetensors", tensors).ok());
  NamedTensors back = read_safetensors(folder / "t.safetensors").value();
  ASSERT_EQ(back.size(), tensors.size());
  for (const auto &[name, tensor] : tensors) {
    EXPECT_EQ(back.at(name).dtype(), tensor.dtype()) << name;
    EXPECT_EQ(back.at(name).shape(), tensor.shape()) << name;
    EXPECT_EQ(values(back.at(name)), values(tensor)) << name;
  }
}

TEST(Safetensors, WideElementsComeFirst) {
  TemporaryFolder folder;
  ASSERT_TRUE(
      write_safetensors(folder / "t.safetensors", {{"a", counting({1}, DataType::kBool)},
                                                   {"b", counting({1}, DataType::kFloat64)}})
          .ok());
  std::string bytes = test::read_bytes(folder / "t.safetensors");
  EXPECT_THAT(bytes, testing::HasSubstr("\"b\":{\"data_offsets\":[0,8]"));
  EXPECT_THAT(bytes, testing::HasSubstr("\"a\":{\"data_offsets\":[8,9]"));
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
}

TEST(Safetensors, NoTensorsAtAll) {
  TemporaryFolder folder;
  ASSERT_TRUE(write_safetensors(folder / "t.safetensors", {}).ok());
  EXPECT_TRUE(read_safetensors(folder / "t.safetensors")->empty());
}

TEST(Safetensors, MetadataIsPassedOver) {
  auto tensors = parse_safetensors(as_bytes(safetensors(
      R"({"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )",
      kEight)));
  EXPECT_THAT(values(tensors.value().at("x")), ElementsAre(0, 0));
}

TEST(Safetensors, NamesThatCannotBeWrittenAreRefused) {
  TemporaryFolder folder;
  expect_error(write_safetensors(folder / "t.safetensors", {{"__metadata__", counting({1})}}),
               ErrorCode::kInvalidArgument, "__metadata__");
  expect_error(write_safetensors(folder / "t.safetensors", {{"\xff\xfe", counting({1})}}),
               ErrorCode::kInvalidArgument, "UTF-8");
  expect_error(write_safetensors(folder / "t.safetensors", {{"x", Tensor()}}),
               ErrorCode::kInvalidArgument, "undefined");
  EXPECT_TRUE(folder.names().empty());
}

TEST(Safetensors, EveryTruncationIsRefused) {
  std::string whole =
      safetensors(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", kEight);
  ASSERT_TRUE(parse_safetensors(as_bytes(whole)).ok());
  for (size_t length = 0; length < whole.size(); ++length)
    expect_error(parse_safetensors(as_bytes(whole.substr(0, length))), ErrorCode::kCorruptFile,
                 "not a valid .safetensors");
  expect_error(parse_safetensors(as_bytes(whole + "yz")), ErrorCode::kCorruptFile,
               "2 bytes at its end belong to no tensor");
}

struct BadSafetensors {
  const char *header, *part;
};
TEST(Safetensors, DamagedHeadersAreRefused) {
  constexpr BadSafetensors kCases[] = {
      {"", "no JSON object"},
      {"[]", "no JSON object"},
      {"{", "no JSON object"},
      {"{} {}", "no JSON object"},
      {"nonsense", "no JSON object"},
      {"{\"x\xff\":1}", "no JSON object"},
      {R"({"x":1})", "must have dtype, shape and data_offsets"},
      {R"({"x":{"dtype":"F32","shape":[2]}})", "must have dtype, shape and data_offsets"},
      {R"({"x":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", "dtype must be a string"},
      {R"({"x":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})", "shape must be a list"},
      {R"({"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", "shape must be a list"},
      {R"({"x":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", "shape must be a list"},
      {R"({"x":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}})", "shape must be a list"},
      {R"({"x":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})",
       "shape must be a list"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", "data_offsets must be"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}})", "data_offsets must be"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[-1,7]}})", "data_offsets must be"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", "do not lie within"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       "do not lie within the file's 8"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,99999999999999]}})",
       "do not lie within"},
      {R"({"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})",
       "takes 12 bytes, its offsets hold 8"},
      {R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}})",
       "below 2^63 bytes"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "4 bytes at its end"},
      {R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "leaves a gap"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor 'y' overlaps"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "overlaps"},
      {R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "names 'x' twice"},
      {R"({"x":{"dtype":"F16","dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
       "names 'dtype' twice"},
      {R"({"x":{"dtype":"F32","shape":[[[[2]]]],"data_offsets":[0,8]}})", "nests too deeply"},
  };
  for (const BadSafetensors &test : kCases) {
    SCOPED_TRACE(test.header);
    expect_error(parse_safetensors(as_bytes(safetensors(test.header, kEight))),
                 ErrorCode::kCorruptFile, test.part);
  }
}

TEST(Safetensors, DeepNestingEndsInAnError) {
  std::string deep(1'000'000, '[');
  expect_error(parse_safetensors(as_bytes(safetensors(deep, ""))), ErrorCode::kCorruptFile,
               "nests too deeply");
  std::string objects;
  for (int i = 0; i < 100'000; ++i)
    objects += "{\"a\":";
  expect_error(parse_safetensors(as_bytes(safetensors(objects, ""))), ErrorCode::kCorruptFile,
               "nests too deeply");
}

TEST(Safetensors, ManyNamesTakeNoQuadraticTime) {
  std::string header = "{";
  for (int i = 0; i < 200'000; ++i)
    header += (i ? ",\"" : "\"") + std::to_string(i) + "\":0";
  expect_error(parse_safetensors(as_bytes(safetensors(header + "}", ""))), ErrorCode::kCorruptFile,
               "must have dtype");
}

TEST(Safetensors, OtherTypesAreRefused) {
  for (const char *type : {"F8_E4M3", "I8", "U64", "", "f32"})
    expect_error(
        parse_safetensors(as_bytes(safetensors(std::string(R"({"x":{"dtype":")") + type +
                                                   R"(","shape":[2],"data_offsets":[0,8]}})",
                                               kEight))),
        ErrorCode::kUnsupportedType,
        "tensor 'x': element type \"" + std::string(type) + "\" is not read");
}

TEST(Safetensors, HeadersLargerThanTheFileOrTheFormatAreRefused) {
  for (uint64_t length : {uint64_t{9}, uint64_t{100'000'001}, uint64_t{1} << 63, UINT64_MAX}) {
    std::string bytes(16, ' ');
    std::memcpy(bytes.data(), &length, 8);
    expect_error(parse_safetensors(as_bytes(bytes)), ErrorCode::kCorruptFile,
                 "claims " + std::to_string(length) + " bytes");
  }
}

} // namespace
} // namespace tenon
