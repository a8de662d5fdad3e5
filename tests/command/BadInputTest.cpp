// What the program says of a wrong command line, and of files that are not what they must be: which
// argument, what it was, what it must be. Nothing is left behind.
#include "CommandFixture.h"

#include <set>
#include <vector>

namespace tenon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using namespace test;

struct Bad {
  const char *arguments;
  const char *says; ///< on stderr
};

class BadInput : public Command {
protected:
  void SetUp() override {
    Command::SetUp();
    save("f64", {1, 2, 16, 8}, DataType::kFloat64);
    save("i32", {1, 2, 16, 8}, DataType::kInt32);
    save("half", {1, 2, 16, 8}, DataType::kFloat16);
    save("rank1", {8}, DataType::kFloat32);
    save("rank5", {1, 1, 2, 16, 8}, DataType::kFloat32);
    save("width9", {1, 2, 16, 9}, DataType::kFloat32);
    save("width0", {1, 2, 16, 0}, DataType::kFloat32);
    save("length9", {1, 2, 9, 8}, DataType::kFloat32);
    save("heads3", {1, 3, 16, 8}, DataType::kFloat32);
    save("heads4", {1, 4, 16, 8}, DataType::kFloat32);
    save("batch2", {2, 2, 16, 8}, DataType::kFloat32);
    save("batch3", {3, 2, 16, 8}, DataType::kFloat32);
    save("mask15", {15, 16}, DataType::kBool);
    save("mask_i32", {16, 16}, DataType::kInt32);
    save_tensor(file("b.safetensors"), Tensor::zeros({1, 2, 16, 8}, DataType::kBFloat16).value())
        .value();
    const std::string whole = read("q.npy");
    write("truncated.npy", whole.substr(0, 200));
    write("long.npy", whole + "xx");
    write("empty.npy", "");
    write("words.npy", "not a tensor");
    write("words.txt", "not a tensor");
    write("huge.safetensors", std::string("\0\0\0\0\0\0\0\x40{}", 10));
    fs::create_directories(folder_ / "folder.npy");
    write("undefined.mlir",
          "func.func @a(%q: tensor<*xf32>) -> tensor<*xf32> { return %r : tensor<*xf32> }");
    write("zeros.mlir", std::string(3, '\0'));
    write("deep.mlir", std::string(100'000, '('));
    write("unknown.mlir",
          "func.func @a(%q: tensor<*xf32>) -> tensor<*xf32> {\n"
          "  %0 = attention.nothing %q : tensor<*xf32>\n  return %0 : tensor<*xf32>\n}");
    ASSERT_EQ(run("compile --head-dim 8 --emit graph -o g.mlir").status, 0);
    before_ = files();
  }

  void save(const std::string &name, Shape shape, DataType dtype) const {
    save_tensor(file(name + ".npy"), Tensor::zeros(std::move(shape), dtype).value()).value();
  }
  void write(const std::string &name, const std::string &bytes) const {
    std::ofstream(file(name), std::ios::binary) << bytes;
  }
  std::set<std::string> files() const {
    std::set<std::string> names{"out", "err"};
    for (const auto &entry : fs::directory_iterator(folder_))
      names.insert(entry.path().filename().string());
    return names;
  }

  void expect(int status, const std::string &command, const std::vector<Bad> &list) const {
    for (const Bad &bad : list) {
      const std::string line = command + " " + bad.arguments;
      const Ran ran = run(line);
      EXPECT_EQ(ran.status, status) << line << "\n" << ran.err;
      EXPECT_THAT(ran.err, StartsWith("tenon: error: ")) << line;
      EXPECT_THAT(ran.err, HasSubstr(bad.says)) << line;
      EXPECT_EQ(ran.out, "") << line;
      EXPECT_EQ(files(), before_) << line;
    }
  }

  std::set<std::string> before_;
};

constexpr const char *kNotNatural = "is no number from 0 to 2^64 - 1";

TEST_F(BadInput, CommandLines) {
  expect(kUsageStatus, "",
         {{"", "subcommand is required"},
          {"nonsense", "'nonsense' is no command of tenon"},
          {"sdpa", "--query is required"},
          {"run", "graph is required"},
          {"devices extra", "not expected: extra"},
          {"devices --jsn", "--jsn"},
          {"explain --dtype f8", "f8 not in {f32,f16,bf16}"},
          {"explain --queries -5", "-5 not in range"},
          {"explain --queries 99999999999", "not in range"},
          {"explain --device nowhere", "nowhere not in"},
          {"explain --mask float", "float not in {bool,additive}"},
          {"bench --rounds 0", "0 not in range 1 to 1000"},
          {"bench --milliseconds -1", "-1 not in range"},
          {"bench --suite card", "card not in {host,lengths,gpu}"},
          {"bench --suite gpu --device host", "gpu runs on cuda or on the emulator"},
          {"bench --suite host --heads 2", "has shapes of its own"},
          {"bench --suite host --tile-keys 64", "host has the compiler's own schedules"},
          {"bench --suite host --without cut-loops", "host has the compiler's own schedules"},
          {"bench --suite host --device cuda", "runs on the host"},
          {"bench --suite host --svg x.svg", "draws --suite lengths"},
          {"bench --beside x.json", "--suite"},
          {"compile --emit nothing", "nothing not in"},
          {"compile --target", "--target: 1 required"},
          {"compile --head-dim -1", "-1 not in range"},
          {"compile --kv-heads -2", "-2 not in range"},
          {"compile --dtype f64", "f64 not in"},
          {"compile --target ''", "--target: must not be empty"},
          {"compile -o ''", "--output: must not be empty"},
          {"emulate k.ptx --block 32 --card v100", "v100 not in {a100,b200,h100,rtx4090}"},
          {"compile --causal=x", "x not in {top-left,bottom-right}"}});
  expect(kUsageStatus, kInputs,
         {{"--bogus", "not expected: --bogus"},
          {"--device gpu", "gpu not in"},
          {"--causal=left", "left not in"},
          {"--dropout abc", "--dropout = abc"},
          {"--dropout", "--dropout: 1 required"},
          {"--scale abc", "--scale = abc (must be FLOAT)"},
          {"--scale ''", "--scale: must not be empty"},
          {"--mask ''", "--mask: must not be empty"},
          {"--logsumexp ''", "--logsumexp: must not be empty"},
          {"--seed -1", kNotNatural},
          {"--seed 18446744073709551616", kNotNatural},
          {"--offset 0x1", kNotNatural},
          {"--offset ''", "--offset: must not be empty"}});
}

TEST_F(BadInput, WhatIsSaidTwice) {
  expect(kFailureStatus, "",
         {{"compile g.mlir --head-dim 8 --causal", "--causal: was given beside g.mlir, must be left out"},
          {"compile g.mlir --head-dim 8 --mask bool", "--mask: was given beside g.mlir"},
          {"compile g.mlir --head-dim 8 --dropout", "--dropout: was given beside g.mlir"},
          {"compile g.mlir --head-dim 8 --logsumexp", "--logsumexp: was given beside g.mlir"},
          {"compile --schedule '{\"tile_queries\": 64}' --tile-queries 128",
           "--tile-queries: was 128, must be left out: --schedule says it too"}});
}

TEST_F(BadInput, Tensors) {
  expect(kFailureStatus, "sdpa --key k.npy --value v.npy --output o.npy --query",
         {{"missing.npy", "--query: missing.npy: cannot open"},
          {"folder.npy", "is a directory"},
          {"truncated.npy", "takes 1024 bytes, the file holds"},
          {"long.npy", "the file holds 1026"},
          {"empty.npy", "does not begin with"},
          {"words.npy", "does not begin with"},
          {"words.txt", "ends with .npy or .safetensors"},
          {"huge.safetensors", "its header claims"},
          {"rank1.npy", "query: was 1 dimensions"},
          {"rank5.npy", "query: was 5 dimensions"},
          {"i32.npy", "query: was i32, must be f32, f16, bf16 or f64"},
          {"width0.npy", "query: was width 0, must be at least 1"},
          {"half.npy", "key: was f32, must be f16"},
          {"heads4.npy", "set enable_gqa, so that 2 query heads share one"}});
  expect(kFailureStatus, "sdpa --query q.npy --output o.npy",
         {{"--key width9.npy --value v.npy", "key: was width 9, must be 8, the width of query"},
          {"--key k.npy --value length9.npy", "value: was length 9, must be 16, the length of key"},
          {"--key heads3.npy --value heads3.npy --enable-gqa",
           "key: was heads 3, must be a divisor of 2"}});
  expect(kFailureStatus, "sdpa --output o.npy",
         {{"--query batch2.npy --key batch3.npy --value batch3.npy",
           "batch 1 or 2, the batch of query"},
          {"--query f64.npy --key f64.npy --value f64.npy --device host",
           "query is f64; kernels take"}});
  expect(kFailureStatus, kInputs,
         {{"--mask mask15.npy",
           "mask: was [15, 16], must be a shape that broadcasts to [1, 2, 16, 16]"},
          {"--mask mask_i32.npy", "mask: was i32, must be bool or"},
          {"--mask rank5.npy", "mask: was [1, 1, 2, 16, 8]"},
          {"--mask missing.npy", "--mask: missing.npy"}});
}

TEST_F(BadInput, Numbers) {
  expect(kFailureStatus, kInputs,
         {{"--dropout 2", "dropout: was 2"},
          {"--dropout -0.1", "must be a number in [0, 1]"},
          {"--dropout nan", "dropout: was nan"},
          {"--scale nan", "scale: was nan, must be a finite number"},
          {"--scale inf", "scale: was inf"},
          {"--scale 1e400", "scale: was inf"},
          {"--scale 1e39", "must be a finite number that float32 holds"},
          {"--dropout 0.1 --offset 4294967296", "a number of at most 32 bits"}});
}

TEST_F(BadInput, Outputs) {
  expect(kFailureStatus, "sdpa --query q.npy --key k.npy --value v.npy --output",
         {{"o.txt", "--output: file: was 'o.txt'"},
          {"no/such/o.npy", "--output: no/such/o.npy: cannot write"},
          {"/proc/o.npy", "/proc/o.npy"},
          {"folder.npy", "is a directory"},
          {"o.npy --logsumexp o.npy", "another file than --output"},
          {"o.npy --logsumexp ./o.npy", "another file than --output"},
          {"new.npy --logsumexp folder.npy/../new.npy", "another file than --output"},
          {"o.npy --logsumexp l.txt", "--logsumexp: file: was 'l.txt'"},
          {"o.npy --logsumexp no/l.npy", "no/l.npy: cannot write"}});
  expect(kFailureStatus,
         "sdpa --query b.safetensors --key b.safetensors --value b.safetensors --output o.npy",
         {{"", ".safetensors"}});
  expect(kFailureStatus, "compile --target sm_80 --emit ptx -o",
         {{"no/such/x.ptx", "no/such/x.ptx: cannot write to no/such/"},
          {"folder.npy", "folder.npy: is a directory"},
          {"/dev/full", "/dev/full: cannot write: No space left"}});
}

TEST_F(BadInput, Graphs) {
  expect(kFailureStatus, "run --output o.npy --input q=q.npy",
         {{"missing.mlir", "missing.mlir: cannot open"},
          {"folder.npy", "folder.npy: is a directory"},
          {"/dev/zero", "/dev/zero: is a device, must be a file"},
          {"undefined.mlir", "undefined.mlir:1:59: was \"%r\""},
          {"zeros.mlir", "must be 'func.func'"},
          {"deep.mlir", "deep.mlir:1:1"},
          {"unknown.mlir", "unknown.mlir:2:8: was \"attention.nothing\""}});
  expect(kFailureStatus, "run g.mlir --output o.npy",
         {{"--input q=q.npy", "--input: was no key, must be key=FILE"},
          {"--input q.npy", "'q.npy', must be NAME=VALUE"},
          {"--input =q.npy", "must be NAME=VALUE"},
          {"--input x=q.npy", "one of query, key, value"},
          {"--input q=q.npy --input query=q.npy", "'query' twice, must be each input once"}});
  expect(kFailureStatus,
         "run g.mlir --output o.npy --input q=q.npy --input k=k.npy --input v=v.npy",
         {{"", "no \"scale\""},
          {"--scalar scale", "'scale', must be NAME=VALUE"},
          {"--scalar scale=nan", "scale: was NaN, must be a number"},
          {"--scalar scale=abc", "'scale=abc', must be NAME=NUMBER"},
          {"--scalar scale=1 --scalar bogus=1", "'bogus', must be one of scale"},
          {"--scalar scale=1 --scalar s=2", "'s' twice, must be each scalar once"},
          {"--scalar scale=1 --output p.npy", "2 files, must be at most 1"}});
  expect(kFailureStatus, "run g.mlir --output o.npy --input q=q.npy --scalar scale=1",
         {{"--input k=width9.npy --input v=v.npy", "must be width 8, the width of query"},
          {"--input k=k.npy --input v=i32.npy", "value: was i32"}});
}

TEST_F(BadInput, Kernels) {
  expect(kFailureStatus, "compile",
         {{"--target sm_1", "'sm_1' is unknown"},
          {"--target host:pentium", "host:x86-64-v3"},
          {"--emit ptx --target host", "--emit: was ptx for host, must be graph, attention, tile, llvm, asm or image"},
          {"--emit asm --target sm_80", "--emit: was asm for sm_80, must be graph, attention, tile, nvvm, llvm, ptx"},
          {"--head-dim 0", "--head-dim: was 0, must be at least 1"},
          {"--head-dim 300 --target sm_80", "300 wide; kernels hold at most 256"},
          {"--heads 8 --kv-heads 3", "--kv-heads: was 3, must be a divisor of 8"},
          {"--heads 0 --kv-heads 2", "--kv-heads: was 2"},
          {"--heads 0", "--heads: was 0, must be at least 1"},
          {"--schedule [] --target sm_80", "must be a JSON object"},
          {"--schedule '{\"bogus\":1}' --target sm_80", "\"bogus\""},
          {"--schedule '{\"tile_queries\":7}' --target sm_80", "tile-queries is 7"},
          {"--schedule '{\"tile_queries\":\"x\"}' --target sm_80",
           "\"tile_queries\" must be a number"},
          {"undefined.mlir", "undefined.mlir:1:59"}});
  expect(kFailureStatus, "explain",
         {{"--head-dim 0", "--head-dim: was 0"}, {"--heads 7 --kv-heads 2", "--kv-heads: was 2"}});
  expect(kFailureStatus, "bench",
         {{"--head-dim 0", "--head-dim: was 0"},
          {"--milliseconds nan", "--milliseconds: was nan"},
          {"--suite host --beside none.json", "none.json"},
          {"--suite host --beside g.mlir", "--beside: was g.mlir, must be an array of figures"},
          {"--suite lengths --svg none/x.svg", "none/x.svg"},
          {"--batch 2147483647 --heads 2147483647", "below 2^63 bytes"}});
}

// Links lead to what is written; devices are written, never replaced.
TEST_F(BadInput, OutputsThatAreNoFiles) {
  const std::string compile = "compile --head-dim 8 --emit graph -o ";
  fs::create_symlink("target.mlir", file("link.mlir"));
  write("target.mlir", "before");
  EXPECT_EQ(run(compile + "link.mlir").status, 0);
  EXPECT_TRUE(fs::is_symlink(file("link.mlir")));
  EXPECT_EQ(read("target.mlir"), read("g.mlir"));
  fs::create_symlink("/dev/null", file("null.mlir"));
  EXPECT_EQ(run(compile + "null.mlir").status, 0);
  EXPECT_EQ(fs::status("/dev/null").type(), fs::file_type::character);
}

TEST_F(BadInput, HelpThatCannotBeShown) {
  EXPECT_THAT(run("--help >/dev/full 2>said || cat said").out, HasSubstr("stdout: cannot be written"));
}

} // namespace
} // namespace tenon
