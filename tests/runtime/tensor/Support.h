/// What the tests of tensors share.
#pragma once

#include "tenon/Tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace tenon::test {

inline constexpr DataType kEveryType[] = {
    DataType::kFloat32, DataType::kFloat16, DataType::kBFloat16, DataType::kBool,
    DataType::kInt32,   DataType::kInt64,   DataType::kFloat64};

/// All elements in row-major order.
inline std::vector<double> values(const Tensor &tensor) {
  std::vector<double> result;
  Shape index(tensor.shape().size(), 0);
  for (int64_t i = 0; i < tensor.element_count(); ++i) {
    int64_t rest = i;
    for (size_t d = index.size(); d-- > 0; rest /= tensor.shape()[d])
      index[d] = rest % tensor.shape()[d];
    result.push_back(tensor.element_as_double(index));
  }
  return result;
}

/// 0, 1, 2, … in the given shape.
inline Tensor counting(Shape shape, DataType dtype = DataType::kFloat32) {
  Tensor tensor = Tensor::empty(std::move(shape), dtype).value();
  for (int64_t i = 0; i < tensor.element_count(); ++i)
    store_from_double(tensor.data_as<char>() + static_cast<size_t>(i) * size_in_bytes(dtype), dtype,
                      static_cast<double>(i));
  return tensor;
}

template <class T>
void expect_error(const Result<T> &result, ErrorCode code, const std::string &part) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), code) << result.error().message();
  EXPECT_THAT(result.error().message(), testing::HasSubstr(part));
}

/// A folder of the test's own, removed with all that is in it.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "tenon-tensor-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  std::string operator/(const std::string &name) const { return (path_ / name).string(); }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (auto &entry : std::filesystem::directory_iterator(path_))
      result.push_back(entry.path().filename());
    return result;
  }
  const std::filesystem::path &path() const { return path_; }

private:
  std::filesystem::path path_;
};

inline void write_bytes(const std::string &path, const std::string &bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
inline std::string read_bytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
inline std::span<const std::byte> as_bytes(const std::string &text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

} // namespace tenon::test
