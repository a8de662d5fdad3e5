#include "Checkout.h"
#include "Support.h"

#include "tenon/Files.h"
#include "tenon/TensorFile.h"

#include <cmath>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace tenon {
namespace {

using test::counting;
using test::expect_error;
using test::TemporaryFolder;
using test::values;
using testing::ElementsAre;

TEST(TensorFile, TheExtensionSaysTheFormat) {
  TemporaryFolder folder;
  for (const char *name : {"t.npy", "t.safetensors"}) {
    ASSERT_TRUE(save_tensor(folder / name, counting({3})).ok());
    EXPECT_THAT(values(load_tensor(folder / name).value()), ElementsAre(0, 1, 2));
  }
  expect_error(load_tensor(folder / "t.txt"), ErrorCode::kInvalidArgument, ".npy or .safetensors");
  expect_error(save_tensor(folder / "t", counting({3})), ErrorCode::kInvalidArgument,
               ".npy or .safetensors");
}

TEST(TensorFile, NamesPickATensor) {
  TemporaryFolder folder;
  std::string path = folder / "t.safetensors";
  ASSERT_TRUE(write_safetensors(path, {{"key", counting({1})}, {"query", counting({2})}}).ok());
  EXPECT_EQ(load_tensor(path, "query")->shape(), (Shape{2}));
  expect_error(load_tensor(path), ErrorCode::kInvalidArgument, "holds 2 tensors ('key', 'query')");
  expect_error(load_tensor(path, "value"), ErrorCode::kNotFound,
               "no tensor 'value', only 'key', 'query'");
}

TEST(TensorFile, ErrorsNameTheFile) {
  TemporaryFolder folder;
  for (const char *name : {"missing.npy", "missing.safetensors"})
    expect_error(load_tensor(folder / name), ErrorCode::kNotFound, folder / name);
  for (const char *name : {"bad.npy", "bad.safetensors"}) {
    test::write_bytes(folder / name, "not a tensor at all");
    expect_error(load_tensor(folder / name), ErrorCode::kCorruptFile, folder / name);
    test::write_bytes(folder / name, "");
    expect_error(load_tensor(folder / name), ErrorCode::kCorruptFile, folder / name);
  }
  std::filesystem::create_directory(folder / "folder.npy");
  expect_error(load_tensor(folder / "folder.npy"), ErrorCode::kIo, "is a directory");
}

TEST(TensorFile, WhatCannotBeWrittenIsAnError) {
  TemporaryFolder folder;
  expect_error(save_tensor(folder / "no/such/t.npy", counting({2})), ErrorCode::kIo,
               folder / "no/such/t.npy");
  std::filesystem::create_directory(folder / "folder.npy");
  expect_error(save_tensor(folder / "folder.npy", counting({2})), ErrorCode::kIo, "is a directory");
  test::write_bytes(folder / "file", "");
  expect_error(save_tensor(folder / "file/t.npy", counting({2})), ErrorCode::kIo,
               "Not a directory");
  EXPECT_THAT(folder.names(), testing::UnorderedElementsAre("folder.npy", "file"));
}

// Root may write everywhere, and is somebody else for the length of a test.
class AsOrdinaryUser {
public:
  AsOrdinaryUser() : root_(::geteuid() == 0), changed_(root_ && ::seteuid(65534) == 0) {}
  ~AsOrdinaryUser() {
    if (changed_) {
      EXPECT_EQ(::seteuid(0), 0);
    }
  }
  bool ok() const { return !root_ || changed_; }

private:
  bool root_, changed_;
};

TEST(TensorFile, AReadOnlyFolderIsAnError) {
  TemporaryFolder folder;
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0555));
  AsOrdinaryUser user;
  if (!user.ok())
    GTEST_SKIP() << "runs as root, which may write everywhere, and cannot become another user";
  expect_error(save_tensor(folder / "t.npy", counting({2})), ErrorCode::kIo, "Permission denied");
}

TEST(TensorFile, AFileThatMayNotBeReadIsAnError) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({2})).ok());
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(folder / "t.npy", std::filesystem::perms(0));
  AsOrdinaryUser user;
  if (!user.ok())
    GTEST_SKIP() << "runs as root, which may read everything, and cannot become another user";
  expect_error(load_tensor(folder / "t.npy"), ErrorCode::kIo, "Permission denied");
}

TEST(TensorFile, DevicesAreWrittenNotReplaced) {
  struct stat status;
  if (::stat("/dev/full", &status) != 0)
    GTEST_SKIP() << "there is no /dev/full";
  TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "full.npy");
  expect_error(save_tensor(folder / "full.npy", counting({2})), ErrorCode::kIo, "No space left");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "full.npy"));
}

TEST(TensorFile, LinksLeadToWhatIsWritten) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  std::filesystem::create_symlink("t.npy", folder / "link.npy");
  ASSERT_TRUE(save_tensor(folder / "link.npy", counting({2})).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.npy"));
  EXPECT_THAT(values(load_tensor(folder / "t.npy").value()), ElementsAre(0, 1));
  std::filesystem::create_symlink("link.npy", folder / "chain.npy");
  std::filesystem::remove(folder / "t.npy");
  ASSERT_TRUE(save_tensor(folder / "chain.npy", counting({1})).ok()) << "the file at its end is not there yet";
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link.npy"));
  EXPECT_THAT(values(load_tensor(folder / "t.npy").value()), ElementsAre(0));
}

TEST(TensorFile, APipeIsReadToItsEnd) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  const std::string pipe = folder / "pipe.npy";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  std::jthread writer([&] { EXPECT_TRUE(save_tensor(pipe, counting({3})).ok()); });
  EXPECT_THAT(values(load_tensor(pipe).value()), ElementsAre(0, 1, 2));
}

TEST(TensorFile, APipeWithoutAnotherEndIsAnError) {
  TemporaryFolder folder;
  const std::string read = folder / "read.npy", written = folder / "written.npy";
  ASSERT_EQ(::mkfifo(read.c_str(), 0600) | ::mkfifo(written.c_str(), 0600), 0);
  std::jthread writer([&] {
    expect_error(save_tensor(written, counting({3})), ErrorCode::kIo, "is a pipe that nobody reads");
  });
  expect_error(load_tensor(read), ErrorCode::kIo, "is a pipe that nobody writes to");
}

TEST(TensorFile, WhatHasNoEndIsRefused) {
  TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/zero", folder / "zero.npy");
  expect_error(load_tensor(folder / "zero.npy"), ErrorCode::kIo, "is a device, must be a file");
  test::write_bytes(folder / "long", std::string(100, 'x'));
  EXPECT_EQ(read_text(folder / "long", 100)->size(), 100u);
  expect_error(read_text(folder / "long", 99), ErrorCode::kCorruptFile, "has more than 99 bytes");
}

// A limit on the size of files is the one full disk that every machine can have.
TEST(TensorFile, AWriteThatFailsLeavesTheOldFile) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  struct rlimit before, small;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = 4096;
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  Status status = save_tensor(folder / "t.npy", counting({10000}));
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  expect_error(status, ErrorCode::kIo, "cannot write");
  EXPECT_THAT(folder.names(), ElementsAre("t.npy"));
  EXPECT_THAT(values(load_tensor(folder / "t.npy").value()), ElementsAre(0, 1, 2));
}

TEST(TensorFile, WritingReplacesAndLeavesNothingBeside) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({300})).ok());
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  EXPECT_THAT(folder.names(), ElementsAre("t.npy"));
  EXPECT_EQ(load_tensor(folder / "t.npy")->shape(), (Shape{3}));
}

TEST(TensorFile, WhatIsReplacedKeepsItsPermissions) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  std::filesystem::permissions(folder / "t.npy", std::filesystem::perms(04640));
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({2})).ok());
  EXPECT_EQ(std::filesystem::status(folder / "t.npy").permissions(), std::filesystem::perms(0640));
}

TEST(TensorFile, AFileThatMayNotBeWrittenIsNotReplaced) {
  TemporaryFolder folder;
  ASSERT_TRUE(save_tensor(folder / "t.npy", counting({3})).ok());
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0777));
  std::filesystem::permissions(folder / "t.npy", std::filesystem::perms(0444));
  AsOrdinaryUser user;
  if (!user.ok())
    GTEST_SKIP() << "runs as root, which may write everywhere, and cannot become another user";
  for (const Status &status : {check_writable(folder / "t.npy", DataType::kFloat32),
                               save_tensor(folder / "t.npy", counting({2}))})
    expect_error(status, ErrorCode::kIo, "Permission denied");
  EXPECT_THAT(values(load_tensor(folder / "t.npy").value()), ElementsAre(0, 1, 2));
}

TEST(TensorFile, AKilledWriterLeavesNothingBehind) {
  TemporaryFolder folder;
  const int probe = ::open(folder.path().c_str(), O_TMPFILE | O_WRONLY, 0600);
  if (probe < 0)
    GTEST_SKIP() << "this file system has no files without a name: " << std::strerror(errno);
  ::close(probe);
  const Tensor large = counting({10000});
  const pid_t child = ::fork();
  if (child == 0) {
    const struct rlimit small = {4096, 4096}, none = {0, 0};
    ::setrlimit(RLIMIT_FSIZE, &small);
    ::setrlimit(RLIMIT_CORE, &none);
    std::signal(SIGXFSZ, SIG_DFL); // kills it in the middle of its writing
    ::_exit(save_tensor(folder / "t.npy", large).ok());
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_THAT(folder.names(), testing::IsEmpty());
}

TEST(TensorFile, CheckWritableForeseesTheErrors) {
  TemporaryFolder folder;
  EXPECT_TRUE(check_writable(folder / "t.npy", DataType::kFloat32).ok());
  EXPECT_TRUE(check_writable(folder / "t.safetensors", DataType::kBFloat16).ok());
  expect_error(check_writable(folder / "t.npy", DataType::kBFloat16), ErrorCode::kUnsupportedType,
               ".safetensors");
  expect_error(check_writable(folder / "t.bin", DataType::kFloat32), ErrorCode::kInvalidArgument,
               ".npy");
  expect_error(check_writable(folder / "no/t.npy", DataType::kFloat32), ErrorCode::kIo,
               "cannot write");
  std::filesystem::create_directory(folder / "folder.npy");
  expect_error(check_writable(folder / "folder.npy", DataType::kFloat32), ErrorCode::kIo,
               "is a directory");
}

class RealActivations : public testing::Test {
protected:
  Tensor load(const std::string &name) {
    return load_tensor(TENON_SOURCE_DIR "/tests/data/minilm-activations/" + name + ".npy").value();
  }
};

TEST_F(RealActivations, AreReadAsTheyWereRecorded) {
  for (const char *name : {"query", "key", "value", "output_causal", "output_padding_mask"}) {
    Tensor tensor = load(name);
    EXPECT_EQ(tensor.shape(), (Shape{2, 12, 256, 32})) << name;
    EXPECT_EQ(tensor.dtype(), DataType::kFloat32);
    const float *elements = tensor.data_as<float>();
    EXPECT_TRUE(std::all_of(elements, elements + tensor.element_count(),
                            [](float x) { return std::isfinite(x); }));
  }
  Tensor mask = load("key_padding_mask");
  EXPECT_EQ(mask.dtype(), DataType::kBool);
  double kept[2] = {};
  for (int64_t batch = 0; batch < 2; ++batch)
    for (int64_t key = 0; key < 256; ++key)
      kept[batch] += mask.element_as_double(std::array<int64_t, 4>{batch, 0, 0, key});
  EXPECT_THAT(kept, ElementsAre(240, 77));
}

// The first row of causal attention sees its own key alone: output row 0 is value row 0.
TEST_F(RealActivations, CausalRowZeroIsValueRowZero) {
  Tensor output = load("output_causal").slice(2, 0, 1).value(),
         value = load("value").slice(2, 0, 1).value();
  EXPECT_EQ(values(output), values(value));
}

TEST_F(RealActivations, SurviveBothFormats) {
  TemporaryFolder folder;
  Tensor query = load("query");
  for (const char *name : {"q.npy", "q.safetensors"}) {
    ASSERT_TRUE(save_tensor(folder / name, query).ok());
    Tensor back = load_tensor(folder / name).value();
    EXPECT_EQ(std::memcmp(back.data(), query.data(), query.storage()->bytes), 0);
  }
}

} // namespace
} // namespace tenon
