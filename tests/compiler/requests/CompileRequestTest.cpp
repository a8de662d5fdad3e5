// Requests of CompilerInterface.h and their answers.

#include "compiler/driver/Compile.h"

#include "tenon/KernelImage.h"
#include "tenon/Signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <thread>

using namespace tenon;
using testing::HasSubstr;

namespace {

constexpr const char *kHead = "func.func @attention(%query: tensor<*xf32>, %key: tensor<*xf32>, "
                              "%value: tensor<*xf32>, %scale: f32) -> tensor<*xf32> {\\n";
constexpr const char *kCausal = "%0 = attention.transpose %key : tensor<*xf32>\\n"
                                "%1 = attention.matmul %query, %0 : tensor<*xf32>\\n"
                                "%2 = attention.multiply %1, %scale : (tensor<*xf32>, f32) -> tensor<*xf32>\\n"
                                "%3 = attention.query_index : tensor<*xi32>\\n"
                                "%4 = attention.key_index : tensor<*xi32>\\n"
                                "%5 = attention.greater_equal %3, %4 : (tensor<*xi32>, tensor<*xi32>) -> tensor<*xi1>\\n"
                                "%6 = attention.constant 0xFF800000 : f32\\n"
                                "%7 = attention.where %5, %2, %6 : (tensor<*xi1>, tensor<*xf32>, f32) -> tensor<*xf32>\\n"
                                "%8 = attention.softmax %7 : tensor<*xf32>\\n"
                                "%9 = attention.matmul %8, %value : tensor<*xf32>\\n"
                                "return %9 : tensor<*xf32>\\n}";
constexpr const char *kWithoutSoftmax = "%0 = attention.transpose %key : tensor<*xf32>\\n"
                                        "%1 = attention.matmul %query, %0 : tensor<*xf32>\\n"
                                        "return %1 : tensor<*xf32>\\n}";

std::string request(const std::string &target, const std::string &emit, const std::string &dtype = "f16",
                    const char *body = kCausal, const std::string &options = "{}") {
  std::string inputs;
  for (const char *name : {"query", "key", "value"})
    inputs += std::string("{\"name\":\"") + name + "\",\"dtype\":\"" + dtype + "\",\"width\":64,\"layout\":\"aligned\"},";
  inputs += R"({"name":"scale","dtype":"f32","width":0,"layout":"aligned"})";
  return std::string("{\"graph\":\"") + kHead + body + "\",\"signature\":{\"inputs\":[" + inputs +
         "],\"output\":\"" + dtype + "\",\"group\":2},\"target\":\"" + target + "\",\"emit\":\"" + emit +
         "\",\"options\":" + options + "}";
}

KernelImage imageOf(const std::string &target, const std::string &dtype, const std::string &width,
                    const std::string &options = "{}") {
  std::string text = request(target, "image", dtype, kCausal, options);
  for (size_t at; width != "64" && (at = text.find("\"width\":64")) != text.npos;)
    text.replace(at, 10, "\"width\":" + width);
  CompileAnswer answer = compileRequest(text);
  EXPECT_EQ(answer.status, TENON_COMPILED) << answer.payload();
  auto bytes = std::as_bytes(std::span(answer.bytes));
  return KernelImage::parse({bytes.begin(), bytes.end()}).value();
}

TEST(CompileRequest, FusesAndTiles) {
  CompileAnswer fused = compileRequest(request("sm_80", "attention"));
  ASSERT_EQ(fused.status, TENON_COMPILED) << fused.payload();
  EXPECT_THAT(fused.bytes, HasSubstr("attention.fused"));
  CompileAnswer tiled = compileRequest(request("host:x86-64-v3", "tile"));
  ASSERT_EQ(tiled.status, TENON_COMPILED) << tiled.payload();
  EXPECT_THAT(tiled.bytes, HasSubstr("tile.dot"));
}

// Each effect changes the code of a target that has it; what it makes stays right: tests/conformance.
TEST(CompileRequest, LeavesOutWhatMakesCodeFast) {
  const auto image = [](const std::string &target, const std::string &without, bool wide = false) {
    return imageOf(target, "bf16", wide ? "128" : "64", "{\"without\": \"" + without + "\"}");
  };
  const std::string pairs = "host:x86-64-v4+bf16", tiles = "host:x86-64-v4+amx";
  for (const auto &[target, without] : std::vector<std::pair<std::string, std::string>>{
           {pairs, "cut-loops"}, {pairs, "few-queries"}, {pairs, "packed-heads"}, {pairs, "folded-maxima"},
           {pairs, "bounded-columns"}, {pairs, "rare-rescaling"}, {pairs, "fixed-point"}, {pairs, "kept-values"},
           {pairs, "along-rows"}, {pairs, "requests"}, {pairs, "existing-rows"}, {pairs, "fixed-point,rounded-exponentials"},
           {tiles, "held-tiles"}, {tiles, "streaming-loads"}, {tiles, "fixed-point"}, {tiles, "standing-reference"},
           {tiles, "joined-reference"}, {pairs, "key-chunks"}})
    EXPECT_NE(image(target, without).sections[0].bytes, image(target, "").sections[0].bytes) << without;
  EXPECT_NE(image(tiles, "kept-keys", /*wide=*/true).sections[0].bytes, image(tiles, "", /*wide=*/true).sections[0].bytes);
  EXPECT_NE(image(pairs, "fixed-point,rounded-exponentials").sections[0].bytes, image(pairs, "fixed-point").sections[0].bytes);
}

// Like a schedule that does not fit, what is not known is refused, with "options" as what it is about.
TEST(CompileRequest, RefusesOptionsThatItDoesNotKnow) {
  for (const auto &[option, why] : std::vector<std::pair<const char *, const char *>>{
           {R"({"without": "luck"})", "kept-values: values are rewritten once"},
           {R"({"without": 5})", "must be a text"},
           {R"({"tiles": 1})", "unknown"},
           {R"({"tile_keys": -1})", "must be a number"},
           {R"({"tile_keys": 3})", "must be a multiple of 32"},
           {R"([])", "must be an object"}}) {
    CompileAnswer answer = compileRequest(request("host:x86-64-v3", "tile", "f32", kCausal, option));
    EXPECT_EQ(answer.status, TENON_REFUSED) << option;
    ASSERT_EQ(answer.reasons.size(), 1u) << option;
    EXPECT_EQ(answer.reasons[0].what, "options");
    EXPECT_THAT(answer.reasons[0].why, HasSubstr(why));
  }
}

TEST(CompileRequest, RefusesOnTheHostWhatIsOfAGpu) {
  for (const auto &[option, why] : std::vector<std::pair<const char *, const char *>>{
           {R"({"warps": 4})", "warps is 4, must be left out"},
           {R"({"stages": 3})", "stages is 3, must be left out"},
           {R"({"rescaling": "by-row-sum"})", "rescaling is by-row-sum, must be left out"},
           {R"({"shared": "padded"})", "shared is padded, must be left out"}}) {
    CompileAnswer answer = compileRequest(request("host:x86-64-v4", "tile", "f32", kCausal, option));
    EXPECT_EQ(answer.status, TENON_REFUSED) << option;
    EXPECT_THAT(answer.payload(), HasSubstr(why)) << option;
  }
  CompileAnswer onGpu = compileRequest(request("sm_80", "tile", "f16", kCausal, R"({"without": "fixed-point"})"));
  EXPECT_EQ(onGpu.status, TENON_REFUSED);
  EXPECT_THAT(onGpu.payload(), HasSubstr("of the host"));
}

TEST(CompileRequest, TakesTilesFromOptions) {
  CompileAnswer answer =
      compileRequest(request("sm_80", "tile", "f16", kCausal, R"({"tile_queries": 32, "tile_keys": 48})"));
  ASSERT_EQ(answer.status, TENON_COMPILED) << answer.payload();
  EXPECT_THAT(answer.bytes, HasSubstr("tile_keys = 48 : i32, tile_queries = 32 : i32"));
}

TEST(CompileRequest, RefusesWithReasons) {
  CompileAnswer answer = compileRequest(request("sm_80", "image", "f16", kWithoutSoftmax));
  EXPECT_EQ(answer.status, TENON_REFUSED);
  ASSERT_FALSE(answer.reasons.empty());
  EXPECT_EQ(answer.reasons[0].what, "fuse");
  EXPECT_THAT(answer.payload(), HasSubstr("\"reasons\":[{"));
}

/// softmax of a score that takes so many operations: a chain of tanh; or so many of them, all held until
/// they are summed.
std::string chained(int operations) {
  std::string body = "%t = attention.transpose %key : tensor<*xf32>\\n%x0 = attention.matmul %query, %t : tensor<*xf32>\\n";
  for (int i = 0; i < operations; ++i)
    body += "%x" + std::to_string(i + 1) + " = attention.tanh %x" + std::to_string(i) + " : tensor<*xf32>\\n";
  return body + "%p = attention.softmax %x" + std::to_string(operations) +
         " : tensor<*xf32>\\n%o = attention.matmul %p, %value : tensor<*xf32>\\nreturn %o : tensor<*xf32>\\n}";
}
std::string summedLast(int terms) {
  std::string body = "%t = attention.transpose %key : tensor<*xf32>\\n%x = attention.matmul %query, %t : tensor<*xf32>\\n"
                     "%y0 = attention.tanh %x : tensor<*xf32>\\n", sums;
  auto name = [](const char *prefix, int i) { return prefix + std::to_string(i); };
  for (int i = 1; i < terms; ++i) {
    body += name("%y", i) + " = attention.tanh " + name("%y", i - 1) + " : tensor<*xf32>\\n";
    sums += name("%s", i) + " = attention.add " + (i == 1 ? "%y0" : name("%s", i - 1)) + ", " + name("%y", terms - i) +
            " : (tensor<*xf32>, tensor<*xf32>) -> tensor<*xf32>\\n";
  }
  return body + sums + "%p = attention.softmax " + name("%s", terms - 1) +
         " : tensor<*xf32>\\n%o = attention.matmul %p, %value : tensor<*xf32>\\nreturn %o : tensor<*xf32>\\n}";
}

TEST(CompileRequest, ALongExpressionNeedsTheRegistersOfWhatItHoldsAtOnce) {
  for (int operations : {75, 200, 499}) {
    CompileAnswer answer = compileRequest(request("sm_80", "tile", "f16", chained(operations).c_str()));
    EXPECT_EQ(answer.status, TENON_COMPILED) << operations << ": " << answer.payload();
  }
  CompileAnswer held = compileRequest(request("sm_80", "tile", "f16", summedLast(100).c_str()));
  EXPECT_EQ(held.status, TENON_REFUSED);
  EXPECT_THAT(held.payload(), HasSubstr("registers a thread"));
  EXPECT_EQ(compileRequest(request("host:x86-64-v3", "tile", "f16", summedLast(100).c_str())).status, TENON_COMPILED);
}

TEST(CompileRequest, ExpressionsFuseUpTo500Operations) {
  // The first product counts too.
  EXPECT_EQ(compileRequest(request("sm_80", "attention", "f16", chained(499).c_str())).status, TENON_COMPILED);
  CompileAnswer answer = compileRequest(request("sm_80", "attention", "f16", chained(500).c_str()));
  EXPECT_EQ(answer.status, TENON_REFUSED);
  EXPECT_THAT(answer.payload(), HasSubstr("the scores take 501 operations, constants included; up to 500 fuse"));
}

TEST(CompileRequest, SaysWhatIsWrongWithARequest) {
  const std::pair<std::string, const char *> wrong[] = {
      {"{", "Expected"},
      {"[]", "JSON object"},
      {"{}", "a request has"},
      {request("sm_70", "image"), "sm_70"},
      {request("sm_80", "asm"), "which a GPU target does not have"},
      {request("host:x86-64-v3", "ptx"), "which a host target does not have"},
      {request("sm_80", "everything"), "must be image"},
      {request("sm_80", "image", "f16", "}"), "graph"},
  };
  for (const auto &[text, message] : wrong) {
    CompileAnswer answer = compileRequest(text);
    EXPECT_EQ(answer.status, TENON_FAILED) << text;
    EXPECT_THAT(answer.payload(), HasSubstr(message));
  }
}

// Many queries; on the host up to 128 of them, in chunks and in a second phase of the same entry; few, whose keys are cut
// in chunks too; and what combines these.
void expectBothClasses(const std::vector<LaunchPhase> &phases, bool isHost) {
  std::vector<LengthRange> queries = {{kFewQueries + 1, INT32_MAX}};
  if (isHost)
    queries = {{129, INT32_MAX}, {kFewQueries + 1, 128}, {kFewQueries + 1, 128}};
  queries.insert(queries.end(), 2, {0, kFewQueries});
  ASSERT_EQ(phases.size(), queries.size());
  for (size_t i = 0; i < phases.size(); ++i)
    EXPECT_EQ(phases[i].when.queries, queries[i]) << i;
  if (!isHost)
    return;
  EXPECT_EQ(phases[1].entry, phases[0].entry);
  EXPECT_EQ(phases[2].entry, phases[0].entry);
  EXPECT_EQ(phases[1].grid[0].times, Dimension::kKeyLength);
  EXPECT_EQ(phases[2].grid[0].times, Dimension::kOne);
  EXPECT_EQ(phases[2].when.keys.least, static_cast<int32_t>(phases[1].grid[0].times_divisor) + 1);
}

void expectImage(const std::string &target, SectionKind kind) {
  for (const char *dtype : {"f32", "f16", "bf16"}) {
    CompileAnswer answer = compileRequest(request(target, "image", dtype));
    ASSERT_EQ(answer.status, TENON_COMPILED) << target << " " << answer.payload();
    auto image = KernelImage::parse(std::as_bytes(std::span(answer.bytes)));
    ASSERT_TRUE(image.ok()) << image.error().message();
    EXPECT_NE(image->find(kind), nullptr);
    // Query, key, value, output, and what chunks of keys leave.
    ASSERT_EQ(image->launch.tensors.size(), 7u);
    for (size_t i : {4, 5, 6})
      EXPECT_EQ(image->launch.tensors[i].role, TensorRole::kWorkspace);
    expectBothClasses(image->launch.phases, kind == SectionKind::kHostCode);
    EXPECT_EQ(image->launch.scalars, std::vector<int32_t>{3});
    EXPECT_THAT(image->kernel, testing::StartsWith(std::string("attention_") + dtype + "_d64_"));
  }
}

#ifdef TENON_WITH_GPU
TEST(CompileRequest, MakesPtx) {
  for (const char *target : {"sm_80", "sm_90a", "sm_120"})
    expectImage(target, SectionKind::kPtx);
}
#endif

#ifdef TENON_WITH_HOST
TEST(CompileRequest, MakesHostCode) {
  for (const char *target : {"host:x86-64-v3", "host:x86-64-v4", "host:x86-64-v4+amx"})
    expectImage(target, SectionKind::kHostCode);
}

// Of a thread: below 2 MB at any length, where nothing is kept of keys and values 0.4. Pairs of bfloat16 keep 1 MiB of values
// in that, tile units as much of keys and of values besides.
TEST(CompileRequest, BoundsTheWorkspaceOfAThread) {
  for (const auto &[target, dtype, most] : std::vector<std::tuple<const char *, const char *, uint64_t>>{
           {"host:x86-64-v3", "f32", 400'000},       {"host:x86-64-v3", "bf16", 400'000},
           {"host:x86-64-v4", "f32", 400'000},       {"host:x86-64-v4", "f16", 400'000},
           {"host:x86-64-v4", "bf16", 400'000},      {"host:x86-64-v4+bf16", "bf16", 1'400'000},
           {"host:x86-64-v4+amx", "f32", 400'000},   {"host:x86-64-v4+amx", "bf16", 2'700'000}})
    for (const char *width : {"64", "128", "256"})
      for (const LaunchPhase &phase : imageOf(target, dtype, width).launch.phases) {
        EXPECT_EQ(phase.workspace.bytes_per_block, 0u);
        EXPECT_LT(phase.workspace.fixed_bytes, most) << target << " " << dtype << " " << width;
      }
}
#endif

#ifdef TENON_WITH_HOST
// Of bfloat16, for many queries; with float32, and where tile units are emulated, there is no such instruction.
TEST(CompileRequest, MultipliesByTileUnitsWhereTheTargetHasThem) {
  auto assembly = [](const char *target, const char *dtype) {
    CompileAnswer answer = compileRequest(request(target, "asm", dtype));
    EXPECT_EQ(answer.status, TENON_COMPILED) << answer.payload();
    return std::string(answer.payload());
  };
  const std::string tiles = assembly("host:x86-64-v4+amx", "bf16");
  for (const char *instruction : {"ldtilecfg", "tileloaddt1", "tdpbf16ps", "tilestored", "tilerelease"})
    EXPECT_THAT(tiles, testing::HasSubstr(instruction));
  EXPECT_THAT(tiles, testing::Not(testing::HasSubstr("vdpbf16ps")));
  EXPECT_THAT(assembly("host:x86-64-v4+amx", "f32"), testing::Not(testing::HasSubstr("tdpbf16ps")));
  EXPECT_THAT(assembly("host:x86-64-v4+amx-emulated", "bf16"), testing::Not(testing::ContainsRegex("tdpbf16ps|tmm0")));
}
#endif

TEST(CompileRequest, GivesEqualBytesFromSeveralThreads) {
  std::string texts[4];
  std::vector<std::thread> threads;
  for (std::string &text : texts)
    threads.emplace_back([&text] { text = compileRequest(request("sm_90", "tile")).payload(); });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::string &text : texts)
    EXPECT_EQ(text, texts[0]);
}

} // namespace
