/// The `tenon` program in a folder of its own, with a query, a key and a value to work on.
#pragma once

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

class Command : public ::testing::Test {
protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("tenon-command-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    const char *names[] = {"q", "k", "v"};
    for (uint64_t i = 0; i < 3; ++i)
      ASSERT_TRUE(save_tensor(file(std::string(names[i]) + ".npy"),
                              Tensor::random({1, 2, 16, 8}, DataType::kFloat32, i + 1).value())
                      .ok());
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string file(const std::string &name) const { return (folder_ / name).string(); }

  Ran run(const std::string &arguments) const {
    const std::string line = "cd '" + folder_.string() +
                             "' && TENON_CACHE=off '" TENON_BINARY_DIR "/bin/tenon' " + arguments +
                             " >out 2>err";
    const int status = std::system(line.c_str());
    return {WEXITSTATUS(status), read("out"), read("err")};
  }
  std::string read(const std::string &name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }

  static constexpr const char *kInputs =
      "sdpa --query q.npy --key k.npy --value v.npy --output o.npy ";
  fs::path folder_;
};

} // namespace tenon::test
