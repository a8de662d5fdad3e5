// `tenon cache`: what a release engineer does, from a manifest to a program that may not compile.
#include "CommandFixture.h"

#include <map>

namespace tenon::test {
namespace {

using ::testing::HasSubstr;

class CacheCommand : public TemporaryFolder {
protected:
  CacheCommand() : TemporaryFolder("TENON_CACHE_DIR=own") {}
  void SetUp() override {
    TemporaryFolder::SetUp();
    write("manifest.json", kManifest);
    write_attention_inputs({1, 2, 16, 64});
  }
  // Entries by name: what is deterministic.
  std::map<std::string, std::string> entries(const std::string &directory) const {
    std::map<std::string, std::string> found;
    for (const auto &file : fs::directory_iterator(folder_ / directory))
      if (file.path().extension().string().starts_with(".tenon-"))
        found[file.path().filename()] = read(directory + "/" + file.path().filename().string());
    return found;
  }

  static constexpr const char *kManifest = R"({"tenon_manifest": 1, "kernels": [
    {"sdpa": {"head_dim": 64, "dtype": "f32", "causal": [false, true]}}]})";
  static constexpr const char *kBuild = "cache build manifest.json --target host:x86-64-v3 "
                                        "--target sm_80 --cubin never --json -o ";
  static constexpr const char *kCall =
      "sdpa --query q.npy --key k.npy --value v.npy --device host --json --output o.npy ";
};

TEST_F(CacheCommand, BuildsAheadDeterministicallyAndOnce) {
  const Ran first = run(std::string(kBuild) + "kernels");
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.parsed()["built"], 4);
  EXPECT_THAT(first.err, HasSubstr("4/4 built"));
  EXPECT_EQ(run(std::string(kBuild) + "kernels").parsed()["there"], 4);
  ASSERT_EQ(run(std::string(kBuild) + "again").status, 0);
  EXPECT_EQ(entries("kernels").size(), 4u);
  EXPECT_EQ(entries("kernels"), entries("again"));
}

TEST_F(CacheCommand, ShardsMergeByCopying) {
  ASSERT_EQ(run(std::string(kBuild) + "whole").status, 0);
  for (const char *shard : {"1/3", "2/3", "3/3"})
    ASSERT_EQ(run(std::string(kBuild) + "part" + shard[0] + " --shard " + shard).status, 0);
  for (const char *part : {"part1", "part2", "part3"})
    fs::copy(folder_ / part, folder_ / "merged",
             fs::copy_options::recursive | fs::copy_options::skip_existing);
  EXPECT_EQ(entries("merged"), entries("whole"));
  EXPECT_EQ(run(std::string(kBuild) + "x --shard 4/3").status, 1);
}

TEST_F(CacheCommand, ALowerLayerServesAndMustHitForbidsCompiling) {
  ASSERT_EQ(run(std::string(kBuild) + "kernels").status, 0);
  const std::string settings =
      "TENON_CACHE_DIR=own TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit";
  const Ran hit = run(std::string(kCall) + "--causal", settings);
  ASSERT_EQ(hit.status, 0) << hit.err;
  EXPECT_EQ(hit.parsed()["cache"], "disk");
  EXPECT_THAT(hit.parsed()["cache_choice"].get<std::string>(),
              HasSubstr("host:x86-64-v3 from kernels"));
  const Ran miss = run(std::string(kCall) + "--causal --logsumexp l.npy", settings);
  EXPECT_EQ(miss.status, 1);
  EXPECT_THAT(miss.err, HasSubstr("must_hit forbids"));
  EXPECT_THAT(miss.err, HasSubstr("Near: "));
  EXPECT_EQ(
      run("sdpa --query q.npy --key k.npy --value v.npy --logsumexp l.npy --output o.npy", settings)
          .status,
      1)
      << "auto fell back to the interpreter in silence";
}

// What was built serves prefill and decoding, on the host and on a GPU.
TEST_F(CacheCommand, AnyNumberOfQueriesNeedsNoCompiler) {
  ASSERT_EQ(run(std::string(kBuild) + "kernels").status, 0);
  const std::string settings =
      "TENON_CACHE_DIR=own TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit";
  for (int64_t queries : {1, 16, 17, 40}) {
    write_attention_inputs({1, 2, queries, 64});
    for (const char *device : {"host", "emulator"}) {
      const Ran ran = run(std::string("sdpa --query q.npy --key k.npy --value v.npy --json --output o.npy --device ") + device,
                          settings);
      ASSERT_EQ(ran.status, 0) << device << ", " << queries << " queries: " << ran.err;
      EXPECT_EQ(ran.parsed()["cache"], "disk");
    }
  }
}

TEST_F(CacheCommand, ARefusalIsReportedAndEndsWithOne) {
  write("manifest.json",
        R"({"tenon_manifest": 1, "kernels": [{"sdpa": {"head_dim": [64, 300]}}]})");
  const Ran ran = run(std::string(kBuild) + "kernels");
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.parsed()["failed"], 2);
  EXPECT_EQ(ran.parsed()["built"], 2);
  EXPECT_THAT(ran.out, HasSubstr("256"));
}

TEST_F(CacheCommand, RecordsWhatAProgramAsksFor) {
  const Ran ran = run("cache record -o recorded.json -- '" TENON_BINARY_DIR "/bin/tenon' " +
                      std::string(kCall) + "--causal");
  ASSERT_EQ(ran.status, 0) << ran.err;
  const json manifest = json::parse(read("recorded.json"));
  ASSERT_EQ(manifest["kernels"].size(), 1u);
  const Ran built = run("cache build recorded.json -o kernels --json");
  EXPECT_EQ(built.parsed()["built"], 1) << built.err;
  const Ran hit = run(std::string(kCall) + "--causal",
                      "TENON_CACHE_DIR=fresh TENON_CACHE_PATH=kernels TENON_CACHE_POLICY=must_hit");
  EXPECT_EQ(hit.parsed()["cache"], "disk") << hit.err;
}

TEST_F(CacheCommand, SignedDirectoriesAreTakenByThoseWhoHoldTheKey) {
  if (const Ran made = run("cache keygen --key secret"); made.status != 0)
    GTEST_SKIP() << made.err;
  ASSERT_EQ(run("cache keygen --key other").status, 0);
  ASSERT_EQ(run(std::string(kBuild) + "kernels --sign secret").status, 0);
  EXPECT_EQ(run("cache verify --dir kernels --public-key secret.public").status, 0);
  EXPECT_EQ(run("cache verify --dir kernels --public-key other.public").status, 1);
  const std::string settings =
      "TENON_CACHE_DIR=own TENON_CACHE_PATH=kernels TENON_CACHE_PUBLIC_KEY=";
  EXPECT_EQ(run(kCall, settings + "secret.public").parsed()["cache"], "disk");
  const Ran refused = run(kCall, settings + "other.public");
  EXPECT_EQ(refused.parsed()["cache"], "compiled");
  EXPECT_THAT(refused.err, HasSubstr("not trusted"));
}

TEST_F(CacheCommand, ListShowPruneClearInfo) {
  ASSERT_EQ(run(std::string(kBuild) + "own").status, 0);
  const json lines = run("cache list --json").parsed();
  ASSERT_EQ(lines.size(), 4u);
  const std::string hash = lines[0]["hash"];
  const Ran shown = run("cache show " + hash.substr(0, 12) + " --code");
  EXPECT_THAT(shown.out, HasSubstr("func.func"));
  EXPECT_THAT(shown.out, HasSubstr("compile_milliseconds"));
  bool ptx = false;
  for (const json &line : lines)
    ptx |= run("cache show " + line["hash"].get<std::string>() + " --code").out.find(".entry") !=
           std::string::npos;
  EXPECT_TRUE(ptx);
  EXPECT_EQ(run("cache info --json").parsed()["directory"]["decided_by"], "TENON_CACHE_DIR");
  EXPECT_EQ(run("cache verify").status, 0);
  ASSERT_EQ(run("cache prune --max-bytes 1").status, 0);
  EXPECT_EQ(run("cache list --json").parsed().size(), 0u);
  EXPECT_EQ(run("cache clear").status, 0);
}

// Each member of a manifest, wrong in each way: the error names it.
TEST_F(CacheCommand, AManifestThatIsWrongInAnyFieldIsRefusedByItsName) {
  const json good = json::parse(R"({"tenon_manifest": 1, "targets": ["sm_80"], "kernels": [
    {"sdpa": {"heads": 4, "kv_heads": 2, "head_dim": 64, "value_dim": 64, "dtype": "f16", "causal": true,
              "mask": "none", "dropout": false, "logsumexp": false}, "options": {}},
    {"graph": "not a graph", "signature": {}}]})");
  int tried = 0;
  auto refuse = [&](const json &manifest, const std::string &named) {
    write("wrong.json", manifest.dump());
    const Ran ran = run("cache build wrong.json -o kernels");
    EXPECT_EQ(ran.status, 1) << manifest;
    EXPECT_THAT(ran.err, HasSubstr(named)) << manifest;
    EXPECT_FALSE(fs::exists(folder_ / "kernels")) << manifest;
    ++tried;
  };
  refuse(good, "kernels[1].graph");
  json base = good;
  base["kernels"].erase(1);
  const json wrong[] = {nullptr, -1, "nonsense", 1e300, json::array(), json::parse(R"({"x": 1})")};
  for (const auto &[member, value] : base["kernels"][0]["sdpa"].items())
    for (const json &bad : wrong) {
      json manifest = base;
      manifest["kernels"][0]["sdpa"][member] = bad;
      refuse(manifest, "kernels[0].sdpa." + member);
    }
  for (const json &bad : wrong) {
    for (const char *member : {"tenon_manifest", "targets", "kernels"}) {
      json manifest = base;
      manifest[member] = bad;
      if (manifest["targets"] != json::array()) // none there: the command line may name them
        refuse(manifest, member);
    }
    if (bad != json::parse(R"({"x": 1})")) {
      json manifest = base;
      manifest["kernels"][0]["options"] = bad;
      refuse(manifest, "kernels[0].options");
    }
  }
  json misspelt = base;
  misspelt["kernels"][0]["sdpa"]["head_dims"] = 64;
  refuse(misspelt, "head_dims");
  std::printf("tried %d manifests that are wrong in one field\n", tried);
}

// Where a maker is not installed, the build must say so.
TEST_F(CacheCommand, CubinsByEachMaker) {
  constexpr const char *kCubins = "cache build manifest.json --target sm_80 --target sm_90 --json -o ";
  for (const std::string maker : {"ptxas", "nvjitlink"}) {
    const Ran ran = run(kCubins + maker + " --cubin " + maker);
    const json report = ran.parsed();
    if (ran.status != 0) {
      EXPECT_EQ(report["failed"], 4);
      EXPECT_THAT(report["lines"][0]["reason"].get<std::string>(), HasSubstr("nothing else needs them"));
      continue;
    }
    EXPECT_THAT(report["cubins_by"].get<std::string>(), HasSubstr(maker == "ptxas" ? "ptxas at /" : "libnvJitLink"));
    for (const json &line : report["lines"]) {
      EXPECT_GT(line["registers"], 32) << maker << line;
      EXPECT_EQ(line["spill_bytes"], 0) << maker << line;
      const json shown = run("cache show --json --dir " + maker + " " + line["hash"].get<std::string>()).parsed();
      EXPECT_EQ(shown["sections"][0]["kind"], "ptx");
      EXPECT_EQ(shown["sections"][1]["kind"], "cubin");
      EXPECT_EQ(shown["sections"][1]["target"], line["target"]);
      EXPECT_GT(shown["sections"][1]["bytes"], 1000);
      EXPECT_EQ(shown["made"]["registers"], line["registers"]);
    }
    const json again = run(kCubins + maker + " --cubin " + maker).parsed();
    EXPECT_EQ(again["there"], 4);
    for (size_t i = 0; i < again["lines"].size(); ++i)
      EXPECT_EQ(again["lines"][i]["registers"], report["lines"][i]["registers"]);
  }
  EXPECT_THAT(run(std::string(kCubins) + "x --cubin cuobjdump").err, HasSubstr("ptxas or nvjitlink"));
}

} // namespace
} // namespace tenon::test
