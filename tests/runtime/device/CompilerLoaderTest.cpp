#include "tenon/Compiler.h"
#include "tenon/CompilerInterface.h"
#include "tenon/Fingerprint.h"
#include "tenon/Version.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A compiler once opened stays, so what cannot be opened is tried first.
TEST(CompilerLoader, SaysWhyThereIsNoCompiler) {
  setenv("TENON_COMPILER_LIBRARY", "/nowhere/libtenon-compiler.so", 1);
  Result<void> available = compiler_available();
  ASSERT_FALSE(available);
  EXPECT_EQ(available.error().code(), ErrorCode::kUnsupported);
  EXPECT_THAT(available.error().message(),
              HasSubstr("/nowhere/libtenon-compiler.so cannot be opened: "));
  setenv("TENON_COMPILER_LIBRARY", "libm.so.6", 1);
  EXPECT_THAT(compiler_available().error().message(),
              HasSubstr("libm.so.6 exports no tenon_compiler_interface"));
}

TEST(CompilerLoader, RefusesACompilerOfAnotherBuild) {
  const struct {
    const char *library;
    std::string says;
  } cases[] = {
      {COMPILER_NEWER_IN_INTERFACE,
       "speaks version " + std::to_string(TENON_COMPILER_INTERFACE_VERSION + 1)},
      {COMPILER_NEWER_IN_HEADERS, "was built with the headers of another runtime"},
      {COMPILER_NEWER_IN_CODE, "makes code of generation " + std::to_string(kCodeGenerationVersion + 1)},
  };
  for (const auto &[library, says] : cases) {
    setenv("TENON_COMPILER_LIBRARY", library, 1);
    const Result<CompileOutcome> outcome = compile_kernel({"graph", "{}", "sm_80"});
    ASSERT_FALSE(outcome) << library;
    EXPECT_EQ(outcome.error().code(), ErrorCode::kUnsupported);
    EXPECT_THAT(outcome.error().message(), HasSubstr(std::string(library) + " " + says));
  }
}

TEST(CompilerLoader, LooksBesideTheRuntime) {
  unsetenv("TENON_COMPILER_LIBRARY");
  EXPECT_THAT(compiler_library(),
              ::testing::EndsWith("/libtenon-compiler.so." + std::to_string(TENON_VERSION_MAJOR) +
                                  "." + std::to_string(TENON_VERSION_MINOR)));
}

class EchoTest : public ::testing::Test {
protected:
  void SetUp() override { setenv("TENON_COMPILER_LIBRARY", COMPILER_NEWER_IN_NOTHING, 1); }
};

TEST_F(EchoTest, RequestsAreJson) {
  Result<CompileOutcome> outcome = compile_kernel(
      {"a \"graph\"\n", R"({"inputs": []})", "sm_80", "ptx", R"({"tile_queries": 64})"});
  ASSERT_TRUE(outcome) << outcome.error().message();
  EXPECT_EQ(
      std::string(reinterpret_cast<const char *>(outcome->bytes.data()), outcome->bytes.size()),
      R"({"graph":"a \"graph\"\n","signature":{"inputs":[]},"target":"sm_80","emit":"ptx",)"
      R"("options":{"tile_queries":64}})");
  EXPECT_EQ(outcome->milliseconds, 1.5);
}

TEST_F(EchoTest, RefusalsKeepTheirReasons) {
  Result<CompileOutcome> outcome = compile_kernel({"refuse", "{}", "sm_80"});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::kCompilation);
  EXPECT_EQ(outcome.error().message(), "no schedule fits\n  tile 64: too wide");
  EXPECT_THAT(outcome.error().reasons(), ElementsAre(Reason{"tile 64", "too wide"}));
}

TEST_F(EchoTest, DefectsOfTheCompilerAreToldFromRefusals) {
  Result<CompileOutcome> outcome = compile_kernel({"fail", "{}", "sm_80"});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code(), ErrorCode::kInternal);
  EXPECT_THAT(outcome.error().message(), HasSubstr("out of cheese"));
}

TEST_F(EchoTest, ASignatureThatIsNoJsonIsNamed) {
  Result<CompileOutcome> outcome = compile_kernel({"graph", "{", "sm_80"});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().argument(), "signature");
}

} // namespace
} // namespace tenon
