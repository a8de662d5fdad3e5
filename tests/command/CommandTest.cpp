#include "CommandFixture.h"

#include <cmath>
#include <set>

namespace tenon {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using namespace test;

// What the help lists under "Subcommands:", the first word of each line.
std::vector<std::string> subcommands_of(const std::string &help) {
  std::vector<std::string> names;
  std::istringstream lines(help);
  bool listed = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Subcommands:", 0) == 0 || line.rfind("SUBCOMMANDS:", 0) == 0)
      listed = true;
    else if (listed && line.rfind("  ", 0) == 0 && line[2] != ' ')
      names.push_back(line.substr(2, line.find(' ', 2) - 2));
    else if (line.empty())
      listed = false;
  }
  return names;
}

TEST_F(Command, HelpAndVersionAtEveryLevel) {
  EXPECT_THAT(run("--version").out, StartsWith("tenon 0."));
  std::vector<std::string> levels = {""};
  for (size_t i = 0; i < levels.size(); ++i) {
    const std::string level = levels[i];
    const Ran help = run(level + " --help");
    EXPECT_EQ(help.status, 0) << level;
    // An example of this level that does something.
    EXPECT_THAT(help.out, ContainsRegex("\n  (TENON_[A-Z_]+=[a-z]+ )?tenon" + level + " [^\n]*")) << level;
    EXPECT_THAT(help.out, Not(HasSubstr("\n  tenon" + level + " --help"))) << level;
    for (const std::string &name : subcommands_of(help.out))
      levels.push_back(level + " " + name);
  }
  EXPECT_GE(levels.size(), 19u) << "eight commands, ten of them below cache";
}

TEST_F(Command, LlvmIsTheIrOfEitherTarget) {
  const Ran gpu = run("compile --head-dim 32 --dtype f16 --target sm_80 --emit llvm");
  if (gpu.status != 0)
    GTEST_SKIP() << gpu.err;
  EXPECT_NE(gpu.out.find("target triple = \"nvptx64-nvidia-cuda\""), std::string::npos);
  EXPECT_NE(gpu.out.find("define ptx_kernel void @"), std::string::npos);
  const Ran host = run("compile --head-dim 32 --target host:x86-64-v3 --emit llvm");
  EXPECT_NE(host.out.find("target triple = \"x86_64-unknown-linux-gnu\""), std::string::npos);
  EXPECT_NE(host.out.find("define dso_local void @"), std::string::npos);
}

TEST_F(Command, TheHelpsKernelRunsAsItSays) {
  // Tenon's own kernel in `tenon emulate --help`: the command line there must fit what is compiled now.
  const std::string help = run("emulate --help").out;
  const Ran compiled = run("compile --head-dim 64 --dtype f16 --target sm_80 --emit ptx -o attention.ptx --json");
  if (compiled.status != 0)
    GTEST_SKIP() << compiled.err;
  EXPECT_THAT(help, HasSubstr("--shared " + compiled.parsed()["shared_bytes"].dump() + " "));
  EXPECT_THAT(help, HasSubstr("--block " + compiled.parsed()["threads"].dump() + " "));
}

TEST_F(Command, SdpaWritesAndReports) {
  const Ran ran = run(std::string(kInputs) + "--device eager --causal --logsumexp l.npy --json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json report = ran.parsed();
  EXPECT_EQ(report["executed_by"], "eager");
  EXPECT_EQ(report["cache"], "none");
  EXPECT_TRUE(report.contains("kernel") && report.contains("reasons") &&
              report.contains("milliseconds"));
  EXPECT_EQ(load_tensor(file("o.npy")).value().shape(), (Shape{1, 2, 16, 8}));
  EXPECT_EQ(load_tensor(file("l.npy")).value().shape(), (Shape{1, 2, 16}));
}

TEST_F(Command, SafetensorsCarryBFloat16) {
  ASSERT_TRUE(save_tensor(file("q.safetensors"),
                          Tensor::random({1, 2, 16, 8}, DataType::kBFloat16, 1).value())
                  .ok());
  const Ran ran = run("sdpa --query q.safetensors --key q.safetensors --value q.safetensors "
                      "--device eager --output o.safetensors");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(load_tensor(file("o.safetensors")).value().dtype(), DataType::kBFloat16);
}

TEST_F(Command, RunTakesNamesAndPrefixes) {
  const Ran graph = run("compile --head-dim 8 --causal --emit graph -o graph.mlir --target host");
  ASSERT_EQ(graph.status, 0) << graph.err;
  const Ran ran = run("run graph.mlir --input q=q.npy --input k=k.npy --input value=v.npy --scalar "
                      "s=0.35355339 --device eager --output r.npy --json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.parsed()["executed_by"], "eager");
  ASSERT_EQ(run(std::string(kInputs) + "--device eager --causal").status, 0);
  const Tensor one = load_tensor(file("o.npy")).value(), other = load_tensor(file("r.npy")).value();
  for (int64_t i = 0; i < one.element_count(); ++i)
    EXPECT_NEAR(one.data_as<float>()[i], other.data_as<float>()[i], 1e-6);
  const Ran wrong = run("run graph.mlir --input x=q.npy --output r.npy");
  EXPECT_EQ(wrong.status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("one of query, key, value"));
}

TEST_F(Command, DevicesListsEveryWay) {
  const json devices = run("devices --json").parsed();
  ASSERT_TRUE(devices.is_array());
  std::set<std::string> ways;
  for (const json &device : devices) {
    ways.insert(device["way"]);
    EXPECT_TRUE(device["available"] == true || device["reason"] != "") << device;
  }
  EXPECT_THAT(ways, ::testing::IsSupersetOf({"host", "cuda", "emulator", "eager"}));
}

TEST_F(Command, DevicesListsTheEntriesOfTheEmulatedDriver) {
  const json entries = run("devices --entries --json").parsed();
  ASSERT_TRUE(entries.is_array());
  std::set<std::string> covered, uncovered;
  for (const json &entry : entries)
    (entry["covered"] == true ? covered : uncovered).insert(entry["name"]);
  EXPECT_THAT(covered, ::testing::IsSupersetOf({"cuInit", "cuLaunchKernelEx", "cuGraphLaunch"}));
  EXPECT_THAT(uncovered, ::testing::IsSupersetOf({"cuTexObjectCreate"}));
  EXPECT_THAT(run("devices --entries").out, HasSubstr("stream capture\n  cuStreamBeginCapture_v2\n"));
}

TEST_F(Command, ExplainSaysWhyNot) {
  const json wide = run("explain --head-dim 300 --json").parsed();
  EXPECT_EQ(wide["executed_by"], "eager");
  EXPECT_THAT(wide["reasons"].dump(), HasSubstr("256"));
  const json tiles = run("explain --head-dim 64 --dtype bf16 --target host:x86-64-v4+amx --json").parsed();
  EXPECT_EQ(tiles["executed_by"] == "host", tiles["reasons"].dump().find("it lacks") == std::string::npos) << tiles;
}

// Where the best that the processor has is left alone, AMX most often, both say so.
TEST_F(Command, ExplainAndDevicesSayWhatIsLeftAlone) {
  std::string why;
  for (const json &device : run("devices --json").parsed())
    if (device["way"] == "host")
      why = device["reason"];
  if (why.empty())
    GTEST_SKIP() << "nothing is left alone of this processor";
  EXPECT_THAT(run("explain --head-dim 64 --dtype bf16 --device host --json").parsed()["reasons"].dump(), HasSubstr(why));
}

TEST_F(Command, ExplainAndBenchTakeATarget) {
  EXPECT_EQ(run("explain --head-dim 64 --device host --target host:x86-64-v3 --json").parsed()["target"], "host:x86-64-v3");
  const std::string bench = "bench --queries 32 --keys 32 --head-dim 16 --device host --rounds 1 --milliseconds 1 ";
  EXPECT_EQ(run(bench + "--target host:x86-64-v3 --json").parsed()[0]["schedule"]["tile_queries"], 16);
  EXPECT_THAT(run(bench + "--target sm_80").err, HasSubstr("was sm_80 with device host"));
  EXPECT_THAT(run("bench --suite host --target host:x86-64-v3").err, HasSubstr("has targets of its own"));
}

// Where the way is free, the interpreter runs what no kernel can; not what no kernel can because a schedule is wrong.
TEST_F(Command, AScheduleThatNoKernelHasIsNotRunByTheInterpreter) {
  for (const char *wrong : {"--without bogus", "--tile-keys 3", "--schedule '{\"bogus\": 1}'"}) {
    const Ran ran = run("bench --queries 32 --keys 32 --head-dim 16 --rounds 1 --milliseconds 1 " + std::string(wrong));
    EXPECT_EQ(ran.status, 1) << wrong;
    EXPECT_THAT(ran.err, HasSubstr("no kernel can run this with the schedule {")) << wrong;
    EXPECT_THAT(ran.err, AnyOf(HasSubstr("there are\n"), HasSubstr("must be a multiple of"), HasSubstr("is unknown")))
        << wrong;
  }
  const Ran wide = run("bench --queries 32 --keys 32 --head-dim 300 --tile-keys 64 --rounds 1 --milliseconds 1 --json");
  EXPECT_EQ(wide.parsed()[0]["executed_by"], "eager") << "no schedule would help there";
}

TEST_F(Command, BenchReportsEachShape) {
  const Ran ran = run("bench --queries 32 --keys 32 --head-dim 16 --device eager --rounds 1 "
                      "--milliseconds 1 --json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json rows = ran.parsed();
  ASSERT_EQ(rows.size(), 1u);
  for (const char *field : {"batch", "heads", "kv_heads", "queries", "keys", "head_dim", "dtype",
                            "causal", "kernel", "milliseconds", "gflops", "bound", "bound_share",
                            "compile_milliseconds", "call_overhead_ns"})
    EXPECT_TRUE(rows[0].contains(field)) << field;
}

// What was not measured is left out, not 0.
TEST_F(Command, BenchOfTheHostHasNoZeroInPlaceOfAFigure) {
  const std::string shape = "bench --queries 64 --keys 64 --head-dim 16 --rounds 3 --milliseconds 1 ";
  const json row = run(shape + "--device host --json").parsed().at(0);
  for (const json &of : {row, row.at("peaks")})
    for (const auto &[name, figure] : of.items())
      EXPECT_FALSE(figure.is_number() && figure == 0.0 && name != "spread") << name;
}

TEST_F(Command, BenchSuiteOfTheHostPrintsEachFigureBesideWhatItMustBe) {
  write("beside.json", R"([{"by": "PyTorch", "batch": 1, "heads": 12, "kv_heads": 12, "queries": 8, "keys": 8,
                           "head_dim": 64, "dtype": "f32", "causal": false, "milliseconds": 3},
                          {"by": "Tenon", "batch": 1, "heads": 12, "kv_heads": 12, "queries": 8, "keys": 8,
                           "head_dim": 64, "dtype": "f32", "causal": false, "milliseconds": 2},
                          {"by": "another", "batch": 1, "heads": 12, "kv_heads": 12, "queries": 8, "keys": 8,
                           "head_dim": 64, "dtype": "f32", "causal": false, "milliseconds": 1}])");
  const std::string suite = "bench --suite host --shorter 16 --rounds 1 --milliseconds 0.001 ";
  const Ran table = run(suite);
  ASSERT_EQ(table.status, 0) << table.err;
  EXPECT_THAT(table.err, HasSubstr("round 1 of 1"));
  for (const char *part : {"required", "measured", "reached", "of the FMA peak", ">= 0.750 x", "<= 300 ns", "with --beside",
                           "batch 1, heads 32/8, 1 x 512, width 128, bf16", "peaks: float32 FMA"})
    EXPECT_THAT(table.out, HasSubstr(part));
  const Ran beside = run(suite + "--beside beside.json --json");
  EXPECT_THAT(beside.err, HasSubstr("another in beside.json: nothing is asked against it"));
  EXPECT_THAT(beside.err, Not(HasSubstr("PyTorch in")));
  const json object = beside.parsed();
  std::set<std::string> reached;
  for (const json &row : object["requirements"]) {
    reached.insert(row["reached"].dump());
    EXPECT_EQ(row["measured"].is_null(), row["samples"].empty()) << row;
    EXPECT_EQ(row["samples"].size() < row["cases"] || row["measured"].is_null(), row["missing"] != "") << row;
    if (row["what"] == "short, (1, 12, 1 to 128, 64), f32: of PyTorch")
      EXPECT_THAT(std::vector<json>({row["measured"], row["reached"], row["cases"]}), // and seven of eight are missing
                  testing::ElementsAre(1.5, json(), 8))
          << row;
  }
  EXPECT_TRUE(reached.contains("true") || reached.contains("false"));
  EXPECT_EQ(object["shapes"].size(), 32u); // 20 forward, 4 decoding, 8 short
  EXPECT_NE(object["processor"], "");
}

TEST_F(Command, BenchDrawsLengthsBesideOtherPrograms) {
  write("beside.json", R"([{"by": "A<B", "batch": 32, "heads": 8, "kv_heads": 8, "queries": 8, "keys": 8,
                           "head_dim": 64, "dtype": "f32", "causal": false, "milliseconds": 0.01}])");
  const Ran ran = run("bench --suite lengths --shorter 16 --rounds 1 --milliseconds 0.001 --beside beside.json "
                      "--svg l.svg --json");
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.parsed().size(), 24u); // 128 to 4,096 over 16, two types, full and causal
  const std::string svg = read("l.svg");
  for (const char *part : {"<svg ", "</svg>", ">float32, full<", ">bfloat16, causal<", ">Tenon<", ">A&lt;B<", ">256<",
                           "A&lt;B, 8 keys: 419 GFLOP/s"}) // 4 · 32 · 8 · 8² · 64 / 10 µs
    EXPECT_THAT(svg, HasSubstr(part));
}

TEST_F(Command, ADeviceThatIsNotThereIsAnError) {
  if (!run("devices").out.empty() &&
      run("devices --json").out.find("\"way\":\"cuda\",\"ordinal\":0,\"available\":true") !=
          std::string::npos)
    GTEST_SKIP() << "there is a GPU";
  const Ran ran = run(std::string(kInputs) + "--device cuda");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.err, HasSubstr("libcuda"));
}

TEST_F(Command, CompilesToTheScreenAndLogsIt) {
  const Ran ran = run("compile --head-dim 8 --emit llvm -o -", "TENON_LOG=cache");
  if (ran.status != 0)
    GTEST_SKIP() << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("define dso_local void @"));
  EXPECT_FALSE(fs::exists(folder_ / "-"));
  EXPECT_THAT(ran.err, ContainsRegex("^tenon: cache: compiled [0-9a-f]+ llvm for host:.* in [0-9.]+ ms, [0-9]+ bytes\n$"));
}

TEST_F(Command, AWordOfTheLogThatIsNoEventIsToldOnce) {
  const Ran ran = run(std::string(kInputs) + "--device eager", "TENON_CACHE=off TENON_LOG=cahce,launch");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "tenon: warning: TENON_LOG holds 'cahce', which is no event; there are cache, pass, launch "
                     "and all\n");
}

#ifdef OTHER_RUNTIME
TEST_F(Command, RefusesLibrariesOfAnotherBuild) {
  const std::pair<const char *, const char *> cases[] = {{OTHER_RUNTIME, "libtenon-runtime.so"},
                                                         {OTHER_FRONTEND, "libtenon.so"}};
  for (const auto &[library, name] : cases) {
    const Ran ran = run("--version", std::string("LD_PRELOAD=") + library);
    EXPECT_EQ(ran.status, kFailureStatus);
    EXPECT_EQ(ran.err, "tenon: error: this program was built with other headers than " + std::string(name) +
                           ", which it runs with: build or install both together\n");
  }
}
#endif

} // namespace
} // namespace tenon
