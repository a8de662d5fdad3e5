// `tenon emulate` on a kernel of its own: what it lists, runs, finds, counts, refuses.
#include "CommandFixture.h"

namespace tenon::test {
namespace {

using ::testing::HasSubstr;

// out[i] = scale * in[i], one element a thread; `shift` bytes further where it is set.
constexpr const char *kKernel = R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry twice(.param .f32 scale, .param .u64 in, .param .u64 out, .param .u32 shift)
{
  .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .f32 %f<4>;
  .loc 1 7 3
  mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mad.lo.u32 %r0, %r1, %r2, %r0;
  ld.param.f32 %f0, [scale]; ld.param.u64 %rd0, [in]; ld.param.u64 %rd1, [out]; ld.param.u32 %r3, [shift];
  mul.wide.u32 %rd2, %r0, 4; add.s64 %rd0, %rd0, %rd2; add.s64 %rd1, %rd1, %rd2; cvt.u64.u32 %rd3, %r3; add.s64 %rd1, %rd1, %rd3;
  .loc 1 8 5
  ld.global.f32 %f1, [%rd0];
  mul.f32 %f1, %f1, %f0;
  st.global.f32 [%rd1], %f1;
  ret;
}
.file 1 "twice.cu"
)";

class Emulate : public TemporaryFolder {
protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    write("twice.ptx", kKernel);
    ASSERT_TRUE(save_tensor(file("in.npy"), Tensor::full({2, 64}, 1.5).value()));
  }
  Ran run(const std::string &arguments) const { return TemporaryFolder::run("emulate " + arguments); }

  static constexpr const char *kRun = "twice.ptx --kernel twice --grid 2 --block 64 --arg 2 --arg in.npy ";
};

TEST_F(Emulate, ListsKernelsAndParameters) {
  const Ran ran = run("twice.ptx --list");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("twice"));
  EXPECT_THAT(ran.out, HasSubstr("0  f32  4 bytes  scale"));
  EXPECT_THAT(ran.out, HasSubstr("2  u64  8 bytes  out"));
  EXPECT_EQ(json::parse(run("twice.ptx --list --json").out)["kernels"][0]["parameters"].size(), 4u);
}

TEST_F(Emulate, RunsAndWritesOutputs) {
  const Ran ran = run(std::string(kRun) + "--arg 'f32[2,64]=>out.npy' --arg 0");
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("nothing found"));
  const Tensor out = load_tensor((folder_ / "out.npy").string()).value();
  EXPECT_EQ(out.shape(), (Shape{2, 64}));
  for (int64_t i = 0; i < 128; ++i)
    ASSERT_EQ(out.data_as<float>()[i], 3.0f);
}

// The same kernel, whose parameters are one structure with a tensor of Tenon's at 16.
TEST_F(Emulate, StructuresHoldNumbersBuffersAndTensors) {
  write("structure.ptx", R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry twice(.param .align 8 .b8 all[80])
{
  .reg .b32 %r<4>; .reg .b64 %rd<8>; .reg .f32 %f<4>;
  ld.param.f32 %f0, [all+4]; ld.param.u64 %rd1, [all+8]; ld.param.u64 %rd0, [all+16];
  ld.param.u64 %rd4, [all+48]; ld.param.u32 %r1, [all+64]; mov.u32 %r0, %tid.x;
  mul.wide.u32 %rd2, %r0, 4; add.s64 %rd1, %rd1, %rd2; mad.lo.u64 %rd0, %rd2, %rd4, %rd0;
  ld.global.f32 %f1, [%rd0]; mul.f32 %f1, %f1, %f0; cvt.rn.f32.u32 %f2, %r1; add.f32 %f1, %f1, %f2;
  st.global.f32 [%rd1], %f1; ret;
}
)");
  const std::string begin = "structure.ptx --block 128 --arg '";
  const Ran ran = run(begin + "{4: f32:2; 8: f32[2,64]=>out.npy; 16: tensor:in.npy; 76: u16:1,2}'");
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
  const Tensor out = load_tensor((folder_ / "out.npy").string()).value();
  // Strides stand 8 bytes behind the address, sizes 40: [1, 1, 2, 64].
  for (int64_t i = 0; i < 128; ++i)
    ASSERT_EQ(out.data_as<float>()[i], 2 * 1.5f + 2);
  for (const auto &[argument, words] :
       {std::pair{"{0: i32:1; 2: i32:2}", "byte 2 is given twice"}, {"{78: i32:1}", "ends beyond the structure"},
        {"{0: 3}", "needs its type"}, {"{x: i32:3}", "begins with its offset"}, {"{0: i32:3", "ends with }"},
        {"{0: i32:3,x}", "not numbers of that type"}, {"{0: f16:1e6}", "not numbers of that type"}, {"{0: tensor:3}", "a file or a buffer"},
        {"{0: tensor:f32[1,1,1,1,1]}", "at most four dimensions"}, {"{0: none.npy}", "none.npy"}}) {
    const Ran wrong = run(begin + argument + "'");
    EXPECT_EQ(wrong.status, 1) << argument;
    EXPECT_THAT(wrong.err, HasSubstr(words)) << argument;
  }
}

// Elements that tensors have none of: as NumPy writes them, by columns too, and as raw bytes.
TEST_F(Emulate, BuffersHoldAnyIntegers) {
  write("add.ptx", R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry add(.param .u64 bytes, .param .u64 words, .param .u64 sums)
{
  .reg .b32 %r<8>; .reg .b64 %rd<8>;
  ld.param.u64 %rd0, [bytes]; ld.param.u64 %rd1, [words]; ld.param.u64 %rd2, [sums]; mov.u32 %r0, %tid.x;
  cvt.u64.u32 %rd3, %r0; add.s64 %rd0, %rd0, %rd3; shl.b64 %rd3, %rd3, 2; add.s64 %rd1, %rd1, %rd3; add.s64 %rd2, %rd2, %rd3;
  ld.global.u8 %r1, [%rd0]; ld.global.u32 %r2, [%rd1]; add.u32 %r1, %r1, %r2; st.global.u32 [%rd2], %r1; ret;
}
)");
  // 2 × 3: 1, 2, 3 over 4, 5, 250.
  std::string columns("\x93NUMPY\x01\x00", 8), header = "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n";
  columns += {static_cast<char>(header.size()), 0};
  write("bytes.npy", columns + header + "\x01\x04\x02\x05\x03\xfa");
  write("bytes.bin", "\x01\x02\x03\x04\x05\xfa");
  const auto array_of = [](const std::vector<uint32_t> &words) {
    NpyArray array{"u32", {2, 3}, std::vector<std::byte>(4 * words.size())};
    std::memcpy(array.bytes.data(), words.data(), array.bytes.size());
    return array;
  };
  ASSERT_TRUE(write_npy_array(file("words.npy"), array_of({10, 20, 30, 40, 50, 4'000'000'000})));
  const NpyArray sums = array_of({11, 22, 33, 44, 55, 4'000'000'250});
  ASSERT_TRUE(write_npy_array(file("expected.npy"), sums));
  write("expected.bin", {reinterpret_cast<const char *>(sums.bytes.data()), sums.bytes.size()});
  for (const char *bytes : {"bytes.npy", "bytes.bin"})
    for (const char *expected : {"expected.npy", "expected.bin"}) {
      const Ran ran = run(std::string("add.ptx --block 6 --arg ") + bytes +
                          " --arg words.npy --arg 'u32[2,3]=>sums.npy' --expect " + expected);
      EXPECT_EQ(ran.status, 0) << ran.out << ran.err;
      const NpyArray made = read_npy_array(file("sums.npy")).value();
      EXPECT_EQ(made.element, "u32");
      EXPECT_EQ(made.shape, sums.shape);
      EXPECT_EQ(made.bytes, sums.bytes);
    }
  const Ran other = run("add.ptx --block 6 --arg bytes.bin --arg words.npy --arg 'u32[2,3]=>sums.npy' --expect words.npy");
  EXPECT_EQ(other.status, 1);
  EXPECT_THAT(other.out, HasSubstr("6 of 6 elements are off by more than 0, the worst is element 0: 11 where 10"));
  EXPECT_THAT(run("add.ptx --block 6 --arg bytes.bin --arg words.npy --arg 'bf16[2,3]=>sums.npy'").err,
              HasSubstr(".npy cannot hold bf16; write to a .safetensors file"));
}

// As float64 both would be 2^53.
TEST_F(Emulate, ExpectedIntegersAreComparedBitByBit) {
  write("put.ptx", R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry put(.param .u64 value, .param .u64 out)
{
  .reg .b64 %rd<4>;
  ld.param.u64 %rd0, [value]; ld.param.u64 %rd1, [out]; st.global.u64 [%rd1], %rd0; ret;
}
)");
  NpyArray wanted{"u64", {1}, std::vector<std::byte>(8)};
  const uint64_t value = (uint64_t{1} << 53) + 1;
  std::memcpy(wanted.bytes.data(), &value, 8);
  ASSERT_TRUE(write_npy_array(file("wanted.npy"), wanted));
  EXPECT_EQ(run("put.ptx --block 1 --arg 9007199254740993 --arg 'u64[1]=>o.npy' --expect wanted.npy").status, 0);
  EXPECT_EQ(run("put.ptx --block 1 --arg 9007199254740992 --arg 'u64[1]=>o.npy' --expect wanted.npy").status, 1);
}

TEST_F(Emulate, MachineCodeIsNamedAsSuch) {
  write("k.cubin", std::string("\x7f" "ELF\x02\x01", 6));
  EXPECT_THAT(run("k.cubin --list").err, HasSubstr("k.cubin: this is machine code; the emulator takes PTX, as nvcc -ptx writes it"));
}

TEST_F(Emulate, CountsAsJson) {
  const Ran ran = run(std::string(kRun) + "--arg 'zeros:f32[2,64]' --arg 0 --json");
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  const json report = json::parse(ran.out);
  EXPECT_EQ(report["status"], "CUDA_SUCCESS");
  EXPECT_TRUE(report["findings"].empty());
  const json kernel = report["counters"]["kernels"]["twice"];
  EXPECT_EQ(kernel["global"]["sectors"], 32);
  EXPECT_EQ(kernel["global"]["ideal"], 32);
  EXPECT_EQ(kernel["opcodes"]["st.global.f32"], 4);
}

TEST_F(Emulate, FindingsEndWithThreeAndShowTheLines) {
  const Ran ran = run(std::string(kRun) + "--arg 'f32[2,64]=>out.npy' --arg 4");
  EXPECT_EQ(ran.status, 3) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("========= out of bounds: global write of 4 bytes"));
  EXPECT_THAT(ran.out, HasSubstr("ptx line 14:  st.global.f32 [%rd1], %f1;"));
  EXPECT_THAT(ran.out, HasSubstr("source twice.cu:8"));
  EXPECT_THAT(ran.out, HasSubstr("block (1, 0, 0), thread (63, 0, 0)"));
  EXPECT_THAT(ran.out, HasSubstr("CUDA_ERROR_ILLEGAL_ADDRESS"));
  EXPECT_FALSE(fs::exists(folder_ / "out.npy"));
}

TEST_F(Emulate, CheckersAreChosen) {
  const std::string unwritten = "twice.ptx --block 64 --arg 2 --arg 'f32[64]' --arg 'f32[64]' --arg 0 --check ";
  EXPECT_EQ(run(unwritten + "all").status, 3);
  EXPECT_EQ(run(unwritten + "races,bounds").status, 0);
  EXPECT_EQ(run(unwritten + "none").status, 0);
  EXPECT_EQ(run(unwritten + "alignment,copies,divergence,progress,trap,geometry").status, 0);
  EXPECT_EQ(run(unwritten + "trap,uninitialised").status, 3);
  for (const char *choice : {"rases", "races,rases", "'races, rases'", "rases,all"}) {
    const Ran wrong = run(unwritten + choice);
    EXPECT_EQ(wrong.status, 2) << choice;
    EXPECT_THAT(wrong.err, HasSubstr("--check: unknown checker '")) << choice;
    EXPECT_THAT(wrong.err, HasSubstr("rases'")) << choice;
  }
}

TEST_F(Emulate, NoneStandsAlone) {
  const Ran ran = run(std::string(kRun) + "--arg 'f32[2,64]' --arg 0 --check all,none");
  EXPECT_EQ(ran.status, 2);
  EXPECT_THAT(ran.err, HasSubstr("'none' stands alone"));
}

/// Half of the output is never written: told where it is read back, and not where that checker is off.
TEST_F(Emulate, OutputsThatNobodyWroteAreFindings) {
  const std::string half = "twice.ptx --block 64 --arg 2 --arg in.npy --arg 'f32[2,64]=>out.npy' --arg 0";
  const Ran ran = run(half);
  EXPECT_EQ(ran.status, 3) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("uninitialised memory: copy of 512 bytes to the host: 256 of them nobody wrote, the first 256 bytes into the allocation of 512 bytes"));
  EXPECT_EQ(run(half + " --check races").status, 0);
}

TEST_F(Emulate, OutputsAreComparedWithWhatIsExpected) {
  ASSERT_TRUE(save_tensor(file("right.npy"), Tensor::full({2, 64}, 3).value()));
  ASSERT_TRUE(save_tensor(file("near.npy"), Tensor::full({2, 64}, 3.003).value()));
  ASSERT_TRUE(save_tensor(file("short.npy"), Tensor::full({64}, 3).value()));
  const std::string begin = std::string(kRun) + "--arg 'f32[2,64]=>out.npy' --arg 0 --expect ";
  EXPECT_EQ(run(begin + "right.npy").status, 0);
  EXPECT_EQ(run(begin + "near.npy --tolerance 0.01").status, 0);
  const Ran off = run(begin + "near.npy --tolerance 1e-4");
  EXPECT_EQ(off.status, 1) << off.err;
  EXPECT_THAT(off.out, HasSubstr("mismatch: out.npy is not near.npy: 128 of 128 elements are off by more than 0.0001, the worst is element 0: 3 where 3.00"));
  EXPECT_EQ(json::parse(run(begin + "near.npy --json").out)["mismatches"].size(), 1u);
  EXPECT_THAT(run(begin + "short.npy").err, HasSubstr("its shape or type"));
  EXPECT_EQ(run(begin + "right.npy --expect right.npy").status, 2);
}

TEST_F(Emulate, CooperativeLaunchesRunAllBlocksAtOnce) {
  EXPECT_EQ(run(std::string(kRun) + "--arg 'f32[2,64]=>out.npy' --arg 0 --cooperative").status, 0);
  const Ran large = run("twice.ptx --grid 4000 --block 1024 --cooperative --arg 2 --arg in.npy --arg in.npy --arg 0");
  EXPECT_EQ(large.status, 3);
  EXPECT_THAT(large.out, HasSubstr("a cooperative grid of 4000 blocks"));
}

TEST_F(Emulate, ReportsGoToAFile) {
  setenv("TENON_EMULATOR_REPORT", (folder_ / "report").c_str(), 1);
  EXPECT_EQ(run(std::string(kRun) + "--arg 'f32[2,64]' --arg 0").status, 0);
  EXPECT_TRUE(fs::exists(folder_ / "report"));
  EXPECT_EQ(read("report"), "");
  EXPECT_EQ(run(std::string(kRun) + "--arg 'f32[2,64]' --arg 2").status, 3);
  const json finding = json::parse(read("report"));
  EXPECT_EQ(finding["kind"], "misaligned");
  EXPECT_EQ(finding["line"], 14);
  EXPECT_THAT(finding["allocation"].get<std::string>(), HasSubstr("allocation of 512 bytes"));
  unsetenv("TENON_EMULATOR_REPORT");
}

TEST_F(Emulate, WrongUseIsToldInOneLine) {
  for (const auto &[arguments, status, words] :
       {std::tuple{"twice.ptx", 2, "--block"}, {"missing.ptx --list", 1, "missing.ptx"},
        {"twice.ptx --block 64 --arg 2", 2, "4 parameters"},
        {"twice.ptx --block 64 --kernel thrice --arg 2", 2, "no kernel 'thrice'"},
        {"twice.ptx --block 64 --arg hex:4000000 --arg in.npy --arg in.npy --arg 0", 1, "a byte has two digits"},
        {"twice.ptx --block 64 --arg 1e300 --arg in.npy --arg in.npy --arg 0", 1, "parameter 'scale'"},
        {"twice.ptx --block 64 --arg two --arg in.npy --arg in.npy --arg 0", 1, "parameter 'scale'"},
        {"twice.ptx --block 64 --arg 2 --arg 3.5 --arg in.npy --arg 0", 1, "parameter 'in'"},
        {"twice.ptx --block 64 --arg 2 --arg 'f32[64' --arg in.npy --arg 0", 1, "f32[1024]"},
        {"twice.ptx --block 64 --arg 2 --arg in.npy --arg 'bf16[64]=>o.npy' --arg 0", 1, ".bin"},
        {"twice.ptx --block 64,x --arg 2 --arg in.npy --arg in.npy --arg 0", 2, "--block: '64,x' is not"},
        {"twice.ptx --block 64 --grid 1,2,3,4 --arg 2 --arg in.npy --arg in.npy --arg 0", 2, "--grid: '1,2,3,4' is not"},
        {"in.npy --list", 1, "error"}}) {
    const Ran ran = run(arguments);
    EXPECT_EQ(ran.status, status) << arguments << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(words)) << arguments;
  }
  const Ran geometry = run("twice.ptx --block 2048 --arg 2 --arg in.npy --arg in.npy --arg 0");
  EXPECT_EQ(geometry.status, 3);
  EXPECT_THAT(geometry.out, HasSubstr("launch geometry: a block of 2048 x 1 x 1 threads is not within 1024 x 1024 x 64"));
  EXPECT_THAT(geometry.out, HasSubstr("ptx line 4:  .visible .entry twice"));
  const Ran shared = run("twice.ptx --block 32 --shared 999999 --arg 2 --arg in.npy --arg in.npy --arg 0");
  EXPECT_EQ(shared.status, 3);
  EXPECT_THAT(shared.out, HasSubstr("999999 bytes of dynamic shared memory with 0 static"));
  EXPECT_THAT(shared.out, HasSubstr("the device's 166912"));
}

} // namespace
} // namespace tenon::test
