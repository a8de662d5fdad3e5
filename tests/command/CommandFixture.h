/// The `tenon` program in a folder of its own.
#pragma once

#include "Checkout.h"

#include "tenon/TensorFile.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace tenon::test {

using nlohmann::json;
namespace fs = std::filesystem;

/// Exit codes, as `tenon --help` has them.
enum : int { kFailureStatus = 1, kUsageStatus = 2 };

struct Ran {
  int status;
  std::string out, err;
  json parsed() const { return json::parse(out, nullptr, false); }
};

/// Without a cache and without anybody's settings, unless the test or the call says otherwise.
class TemporaryFolder : public ::testing::Test {
protected:
  explicit TemporaryFolder(std::string environment = "TENON_CACHE=off") : environment_(std::move(environment)) {}

  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string &name) const { return (folder_ / name).string(); }

  Ran run(const std::string &arguments) const { return run(arguments, environment_); }
  /// `environment` as env(1) takes it: "TENON_CACHE_DIR=own TENON_LOG=cache".
  Ran run(const std::string &arguments, const std::string &environment) const {
    const std::string line = "cd '" + folder_.string() + "' && env" + kUnset + " " + environment +
                             " '" TENON_BINARY_DIR "/bin/tenon' " + arguments + " >out 2>err";
    const int status = std::system(line.c_str());
    return {WEXITSTATUS(status), read("out"), read("err")};
  }
  std::string read(const std::string &name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }
  void write(const std::string &name, const std::string &text) const { std::ofstream(folder_ / name) << text; }
  /// q.npy, k.npy and v.npy.
  void write_attention_inputs(const Shape &shape) const {
    const char *names[] = {"q.npy", "k.npy", "v.npy"};
    for (uint64_t i = 0; i < std::size(names); ++i)
      ASSERT_TRUE(save_tensor(file(names[i]), Tensor::random(shape, DataType::kFloat32, i + 1).value()));
  }

  static constexpr const char *kUnset = " -u TENON_CACHE -u TENON_CACHE_DIR -u TENON_CACHE_PATH -u TENON_CACHE_POLICY"
                                        " -u TENON_CACHE_PUBLIC_KEY -u TENON_LOG";
  const fs::path folder_ = fs::temp_directory_path() / ("tenon-command-" + std::to_string(getpid()));

private:
  std::string environment_;
};

/// With a query, a key and a value to work on.
class Command : public TemporaryFolder {
protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    write_attention_inputs({1, 2, 16, 8});
  }
  static constexpr const char *kInputs =
      "sdpa --query q.npy --key k.npy --value v.npy --output o.npy ";
};

} // namespace tenon::test
