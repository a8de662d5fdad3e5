// Loads and stores of every width, atomics, asynchronous copies, ldmatrix, local memory, constants.
#include "Emulator.h"
#include <cmath>
#include <numeric>

namespace tenon::emulator {
namespace {

std::string kernel_text(const std::string &body, const std::string &before = "", const std::string &parameters = ".param .u64 out, .param .u64 in") {
  return ptx_header() + before + ".visible .entry kernel(" + parameters +
         ") {\n.reg .b32 %r<32>; .reg .b64 %rd<16>; .reg .b16 %h<8>; .reg .pred %p<4>;\n"
         "mov.u32 %r0, %tid.x; ld.param.u64 %rd0, [out]; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd2, %rd0, %rd1;\n" +
         body + "\nret;\n}\n";
}
std::vector<uint32_t> counting(size_t count) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 1);
  return values;
}

TEST(Memory, NarrowLoadsExtend) {
  Card card;
  std::vector<uint8_t> bytes(64);
  std::iota(bytes.begin(), bytes.end(), 0x70);
  auto *kernel = card.load(kernel_text("ld.param.u64 %rd3, [in]; cvt.u64.u32 %rd4, %r0; add.s64 %rd3, %rd3, %rd4;\n"
                                       "ld.global.s8 %r1, [%rd3]; ld.global.u8 %h0, [%rd3+1]; cvt.u32.u16 %r2, %h0;\n"
                                       "shl.b32 %r2, %r2, 16; and.b32 %r1, %r1, 0xffff; or.b32 %r1, %r1, %r2; st.global.b32 [%rd2], %r1;"));
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(bytes)), kSuccess);
  auto d = card.download<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], (static_cast<uint32_t>(static_cast<int8_t>(bytes[i])) & 0xffff) | uint32_t{bytes[i + 1]} << 16);
}

TEST(Memory, VectorsAndHints) {
  Card card;
  auto *kernel = card.load(kernel_text(
      "ld.param.u64 %rd3, [in]; mul.wide.u32 %rd4, %r0, 16; add.s64 %rd3, %rd3, %rd4; add.s64 %rd5, %rd0, %rd4;\n"
      "ld.global.nc.L1::no_allocate.L2::128B.v4.f32 {%r1, _, %r3, %r4}, [%rd3];\nld.volatile.global.v2.b64 {%rd6, %rd7}, [%rd3];\n"
      "cvt.u32.u64 %r2, %rd7; st.global.cs.v4.b32 [%rd5], {%r4, %r3, %r2, %r1};"));
  auto in = counting(128);
  auto out = card.allocate(512);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(in)), kSuccess);
  auto d = card.download<uint32_t>(out, 128);
  for (uint32_t i = 0; i < 32; i++) {
    EXPECT_EQ(d[4 * i], in[4 * i + 3]);
    EXPECT_EQ(d[4 * i + 2], in[4 * i + 2]);
    EXPECT_EQ(d[4 * i + 3], in[4 * i]);
  }
}

/// As nvcc, libcu++ and Triton write them.
TEST(Memory, ModifiersInOtherOrders) {
  Card card;
  auto *kernel = card.load(kernel_text(
      "ld.param.u64 %rd3, [in]; mov.u32 %r9, 0;\n"
      "atom.global.cta.add.u32 %r1, [%rd3], 1; atom.add.relaxed.gpu.s32 %r1, [%rd3+4], 2; red.global.gpu.relaxed.add.u32 [%rd3+8], 3;\n"
      "atom.global.sys.cas.b32 %r1, [%rd3+12], %r0, 100; atom.global.gpu.acq_rel.exch.b32 %r1, [%rd3+16], 9;\n"
      "mov.b16 %h1, 0x3c00; atom.add.noftz.global.gpu.relaxed.f16 %h0, [%rd3+20], %h1; bar.warp.sync -1;\n"
      "ld.global.acquire.gpu.u32 %r2, [%rd3+4]; mov.b32 %r3, %r2; ld.v2.global.u32 {%r4, %r5}, [%rd3+8];\n"
      "add.u32.cc %r6, %r2, 0xffffffff; addc.u32 %r7, 0, 0; shl.b64 %rd4, %rd1, 1; add.s64 %rd5, %rd0, %rd4;\n"
      "st.v2.global.u32 [%rd5], {%r4, %r3}; add.s64 %rd5, %rd5, 256; st.u32.release.global.gpu [%rd5], %r7; st.global.u32 [%rd5+4], %r5;"));
  ASSERT_TRUE(kernel);
  std::vector<uint32_t> in = {10, 20, 30, 0, 50, 0};
  auto out = card.allocate(512), words = card.upload(in);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, words), kSuccess) << Card::report();
  auto now = card.download<uint32_t>(words, 6), d = card.download<uint32_t>(out, 128);
  EXPECT_EQ(now, (std::vector<uint32_t>{10 + 32, 20 + 64, 30 + 96, 100, 9, 0x5000})); // 32 as a float16
  for (uint32_t i = 0; i < 32; i++) {
    EXPECT_EQ(d[2 * i], now[2]);
    EXPECT_EQ(d[2 * i + 1], now[1]);
    EXPECT_EQ(d[64 + 2 * i], 1u) << "the carry";
    EXPECT_EQ(d[65 + 2 * i], now[3]);
  }
}

/// One parameter: a structure by value, as Tenon's kernels take it.
TEST(Memory, StructureByValue) {
  Card card;
  auto *kernel = card.load(ptx_header() + R"(.visible .entry kernel(.param .align 8 .b8 arguments[2048]) {
  .reg .b32 %r<8>; .reg .b64 %rd<8>; .reg .b16 %h;
  mov.b64 %rd5, arguments; cvta.param.u64 %rd6, %rd5;
  ld.param.b64 %rd0, [arguments]; ld.param.v2.b32 {%r1, %r2}, [arguments+2040]; ld.param.u16 %h, [arguments+8];
  cvt.u32.u16 %r3, %h; add.s32 %r1, %r1, %r2; add.s32 %r1, %r1, %r3;
  mov.u32 %r0, %tid.x; mul.wide.u32 %rd1, %r0, 4; add.s64 %rd7, %rd6, %rd1; ld.b32 %r4, [%rd7+1024]; add.s32 %r1, %r1, %r4;
  add.s64 %rd2, %rd5, %rd1; ld.param.b32 %r5, [%rd2+1024]; add.s32 %r1, %r1, %r5;
  add.s64 %rd0, %rd0, %rd1; st.global.b32 [%rd0], %r1; ret; })");
  ASSERT_TRUE(kernel);
  struct Arguments {
    DevicePointer out;
    uint16_t a, pad[3];
    uint32_t words[506], b, c;
  } arguments = {card.allocate(128), 7, {}, {}, 100, 1000};
  static_assert(sizeof(Arguments) == 2048);
  for (uint32_t i = 0; i < 32; i++)
    arguments.words[(1024 - 16) / 4 + i] = i * 10000;
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, arguments), kSuccess);
  auto d = card.download<uint32_t>(arguments.out, 32);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], 1107 + i * 20000);
}

TEST(Memory, ModuleVariablesAndInitialisers) {
  Card card;
  auto *kernel = card.load(kernel_text("mov.u64 %rd3, table; add.s64 %rd3, %rd3, %rd1; ld.global.u32 %r1, [%rd3];\n"
                                       "ld.const.f32 %r2, [factor+4]; cvt.rn.f32.u32 %r1, %r1; mul.f32 %r1, %r1, %r2; st.global.f32 [%rd2], %r1;",
                                       ".global .align 4 .u32 table[32] = {5, 6, 7, 0x10};\n.const .align 4 .f32 factor[2] = {0f3F800000, 2.5};\n"));
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, out), kSuccess);
  auto d = card.download<float>(out, 32);
  const float kExpected[] = {12.5f, 15, 17.5f, 40, 0};
  for (int i = 0; i < 5; i++)
    EXPECT_EQ(d[i], kExpected[i]);
}

TEST(Memory, LocalMemoryBelongsToTheThread) {
  Card card;
  auto *kernel = card.load(kernel_text(".local .align 16 .b8 depot[64]; mov.u64 %rd3, depot; cvta.local.u64 %rd4, %rd3;\n"
                                       "mul.lo.s32 %r1, %r0, 3; st.local.u32 [%rd3+60], %r1; ld.u32 %r2, [%rd4+60]; st.global.u32 [%rd2], %r2;"));
  auto out = card.allocate(256);
  ASSERT_EQ(card.launch(kernel, 1, 64, 0, out, out), kSuccess);
  auto d = card.download<uint32_t>(out, 64);
  for (uint32_t i = 0; i < 64; i++)
    EXPECT_EQ(d[i], i * 3);
}

TEST(Memory, GenericAddressesReachEverySpace) {
  Card card;
  auto *kernel = card.load(kernel_text(".shared .b32 box[32]; mov.u64 %rd3, box; cvta.shared.u64 %rd4, %rd3; add.s64 %rd4, %rd4, %rd1;\n"
                                       "add.s32 %r1, %r0, 9; st.u32 [%rd4], %r1; bar.sync 0; isspacep.shared %p0, %rd4; isspacep.global %p1, %rd2;\n"
                                       "and.pred %p0, %p0, %p1; ld.u32 %r2, [%rd4]; @%p0 st.u32 [%rd2], %r2;"));
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, out), kSuccess);
  auto d = card.download<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], i + 9);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(Memory, Atomics) {
  Card card;
  auto *kernel = card.load(kernel_text("and.b32 %r1, %r0, 3; mul.wide.u32 %rd3, %r1, 4; add.s64 %rd3, %rd3, %rd0;\n"
                                       "atom.global.add.u32 %r2, [%rd3], %r0; red.global.add.f32 [%rd0+16], 0f3F000000;\n"
                                       "red.global.max.u32 [%rd0+20], %r0; atom.global.cas.b32 %r3, [%rd0+24], 0, 77; red.relaxed.gpu.global.inc.u32 [%rd0+28], 5;"));
  std::vector<uint32_t> zeros(8);
  auto out = card.upload(zeros);
  ASSERT_EQ(card.launch(kernel, 4, 64, 0, out, out), kSuccess);
  auto d = card.download<uint32_t>(out, 8);
  for (uint32_t i = 0; i < 4; i++)
    EXPECT_EQ(d[i], 4 * (16 * i + 4 * 120));
  EXPECT_EQ(card.download<float>(out, 8)[4], 128);
  EXPECT_EQ(d[5], 63u);
  EXPECT_EQ(d[6], 77u);
  EXPECT_EQ(d[7], 256u % 6);
}

TEST(Memory, AsynchronousCopies) {
  Card card;
  // Two groups in flight; sizes 16 and 4; the last quarter of each thread's 16 bytes is filled with zeros by the source size.
  auto *kernel = card.load(kernel_text(
      ".shared .align 16 .b8 stage[1024]; mov.u32 %r1, stage; shl.b32 %r2, %r0, 4; add.s32 %r3, %r1, %r2;\n"
      "ld.param.u64 %rd3, [in]; mul.wide.u32 %rd4, %r0, 16; add.s64 %rd3, %rd3, %rd4;\n"
      "cp.async.cg.shared.global [%r3], [%rd3], 16, 12; cp.async.commit_group;\n"
      "shl.b32 %r4, %r0, 2; add.s32 %r4, %r4, %r1; cp.async.ca.shared.global [%r4+512], [%rd3], 4; cp.async.commit_group;\n"
      "cp.async.wait_group 1; bar.sync 0; ld.shared.v4.b32 {%r5, %r6, %r7, %r8}, [%r3]; add.s32 %r5, %r5, %r7; add.s32 %r5, %r5, %r8;\n"
      "cp.async.wait_all; bar.sync 0; ld.shared.b32 %r9, [%r4+512]; mad.lo.s32 %r5, %r9, 10000, %r5; st.global.b32 [%rd2], %r5;"));
  auto in = counting(128);
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(in)), kSuccess);
  auto d = card.download<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; i++)
    EXPECT_EQ(d[i], in[4 * i] + in[4 * i + 2] + in[4 * i] * 10000);
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(Memory, MatrixLoads) {
  for (bool transposed : {false, true}) {
    Card card;
    auto *kernel = card.load(kernel_text(
        ".shared .align 16 .b8 tile[512]; mov.u32 %r1, tile; shl.b32 %r2, %r0, 4; add.s32 %r2, %r2, %r1;\n"
        "ld.param.u64 %rd3, [in]; mul.wide.u32 %rd4, %r0, 16; add.s64 %rd3, %rd3, %rd4; ld.global.v4.b32 {%r4, %r5, %r6, %r7}, [%rd3];\n"
        "st.shared.v4.b32 [%r2], {%r4, %r5, %r6, %r7}; bar.warp.sync -1;\nldmatrix.sync.aligned.m8n8.x4" +
        std::string(transposed ? ".trans" : "") +
        ".shared.b16 {%r8, %r9, %r10, %r11}, [%r2];\nadd.s64 %rd5, %rd0, %rd4; st.global.v4.b32 [%rd5], {%r8, %r9, %r10, %r11};"));
    std::vector<uint16_t> in(256);
    std::iota(in.begin(), in.end(), 0);
    auto out = card.allocate(512);
    ASSERT_EQ(card.launch(kernel, 1, 32, 0, out, card.upload(in)), kSuccess);
    auto d = card.download<uint16_t>(out, 256);
    for (int lane = 0; lane < 32; lane++)
      for (int m = 0; m < 4; m++)
        for (int e = 0; e < 2; e++) {
          int row = lane / 4, column = lane % 4 * 2 + e;
          EXPECT_EQ(d[(lane * 4 + m) * 2 + e], transposed ? m * 64 + column * 8 + row : m * 64 + row * 8 + column);
        }
    EXPECT_EQ(Card::report(), "nothing found\n");
  }
}

TEST(Memory, DynamicSharedMemoryFollowsStatic) {
  Card card;
  auto *kernel = card.load(kernel_text("mov.u32 %r1, dynamic; mov.u32 %r2, %dynamic_smem_size; add.s32 %r1, %r1, %r2; sub.s32 %r1, %r1, 4;\n"
                                       "mov.u32 %r3, fixed; st.shared.u32 [%r3+60], 5; st.shared.u32 [%r1], 9; ld.shared.u32 %r4, [%r3+60]; ld.shared.u32 %r5, [%r1];\n"
                                       "mad.lo.s32 %r4, %r4, 10, %r5; st.global.u32 [%rd2], %r4;",
                                       ".extern .shared .align 128 .b8 dynamic[];\n.shared .align 4 .b8 fixed[64];\n"));
  int most = 0;
  EXPECT_EQ(cuDeviceGetAttribute(&most, kMaxSharedPerBlockOptin, 0), kSuccess);
  EXPECT_EQ(most, 163 * 1024);
  int dynamic = most - 128;
  ASSERT_EQ(cuFuncSetAttribute(kernel, kFunctionMaxDynamicShared, dynamic), kSuccess);
  auto out = card.allocate(128);
  ASSERT_EQ(card.launch(kernel, 1, 32, static_cast<unsigned>(dynamic), out, out), kSuccess) << Card::report();
  EXPECT_EQ(card.download<uint32_t>(out, 1)[0], 59u);
}

/// What the system keeps of shared memory is no kernel's: cooperative groups of several warps count their arrivals there.
TEST(Memory, ReservedSharedMemoryIsApart) {
  Card card;
  const std::string names[] = {"begin", "end", "cap", "0", "1"};
  std::string body = "st.shared.b32 [mine], %r1; ld.param.u64 %d, [out];\n";
  for (size_t i = 0; i < std::size(names); i++)
    body += "mov.u32 %r1, %reserved_smem_offset_" + names[i] + "; st.global.b32 [%d+" + std::to_string(4 * i) + "], %r1;\n";
  body += "red.shared.and.b32 [%r1], -2; red.shared.or.b32 [%r1], 1; mov.u32 %r2, mine; st.global.b32 [%d+20], %r2; mov.u32 %r2, %total_smem_size;\n"
          "st.global.b32 [%d+24], %r2; ld.shared.b32 %r2, [mine]; st.global.b32 [%d+28], %r2; mov.u32 %r2, more; st.global.b32 [%d+32], %r2;\n";
  auto text = [&](const char *target) {
    return ptx_header(target) + ".extern .shared .align 16 .b8 more[];\n.visible .entry kernel(.param .u64 out) {\n.shared .b32 mine;\n"
           ".reg .b32 %r<3>; .reg .b64 %d; mov.u32 %r1, 7;\n" + body + "ret;\n}\n";
  };
  auto *kernel = card.load(text("sm_80"));
  ASSERT_TRUE(kernel);
  auto out = card.allocate(36);
  ASSERT_EQ(card.launch(kernel, 1, 1, 64, out), kSuccess);
  EXPECT_EQ(Card::report(), "nothing found\n");
  auto d = card.download<uint32_t>(out, 9);
  EXPECT_LE(d[0], d[3]);
  EXPECT_LT(d[3], d[4]);
  EXPECT_LT(d[4], d[1]);
  EXPECT_EQ(d[1] - d[0], d[2]);
  EXPECT_GE(d[5], d[1]);
  EXPECT_EQ(d[6], 16u + 64u);
  EXPECT_EQ(d[7], 7u);
  EXPECT_EQ(d[8], d[5] + 16);
  int bytes = 0;
  EXPECT_EQ(cuFuncGetAttribute(&bytes, kFunctionSharedBytes, kernel), kSuccess);
  EXPECT_EQ(bytes, 16);
  EXPECT_NE(card.refusal(text("sm_75")), "");
}

/// Of a constant variable only its own bytes can be read by ld.const.
TEST(ConstantMemory, EndsWhereItsVariableDoes) {
  const std::string text = ptx_header() + ".const .align 4 .u32 table[4] = {1, 2, 3, 4};\n.global .align 4 .u32 others[1024];\n"
                           ".visible .entry kernel(.param .u64 out, .param .u64 offset) {\n.reg .b64 %rd<4>; .reg .b32 %r<4>;\n"
                           "ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [offset]; mov.u64 %rd2, table; add.s64 %rd2, %rd2, %rd1;\n"
                           "ld.const.u32 %r0, [%rd2];\nst.global.u32 [%rd0], %r0; ret; }\n";
  uint64_t distance = 0;
  {
    Card right;
    auto *kernel = right.load(text);
    const DevicePointer out = right.allocate(4);
    EXPECT_EQ(right.launch(kernel, 1, 1, 0, out, uint64_t{12}), kSuccess);
    EXPECT_EQ(right.download<uint32_t>(out, 1)[0], 4u);
    EXPECT_EQ(Card::report(), "nothing found\n");
    DevicePointer table = 0, others = 0;
    ASSERT_EQ(cuModuleGetGlobal_v2(&table, nullptr, kernel->module, "table"), kSuccess);
    ASSERT_EQ(cuModuleGetGlobal_v2(&others, nullptr, kernel->module, "others"), kSuccess);
    distance = others - table;
  }
  for (const auto &[offset, told] : {std::pair{uint64_t{16}, "0 bytes behind the end of the constant variable of 16 bytes"}, {~uint64_t{127}, "128 bytes before the constant variable"},
                                     {distance + 8, "8 bytes into the allocation of 4096 bytes"}}) {
    Card card;
    auto *broken = card.load(text);
    EXPECT_EQ(card.launch(broken, 1, 1, 0, card.allocate(4), offset), kIllegalAddress);
    EXPECT_NE(Card::report().find("constant read of 4 bytes"), std::string::npos) << Card::report();
    EXPECT_NE(Card::report().find("variable table"), std::string::npos) << Card::report();
    EXPECT_NE(Card::report().find(told), std::string::npos) << Card::report();
  }
}

TEST(ConstantMemory, IsToldFromTheRest) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".const .align 4 .u32 table[4] = {1, 2, 3, 4};\n.visible .entry kernel(.param .u64 out) {\n"
                           ".shared .b32 box; .reg .b64 %d<6>; .reg .b32 %r<6>; .reg .pred %p<6>; ld.param.u64 %d0, [out];\n"
                           "mov.u64 %d1, table; cvta.const.u64 %d1, %d1; add.u64 %d2, %d1, 15; mov.u64 %d3, box; cvta.shared.u64 %d3, %d3;\n"
                           "isspacep.const %p0, %d1; isspacep.const %p1, %d2; isspacep.const %p2, %d3; isspacep.const %p3, %d0;\n"
                           "selp.b32 %r0, 1, 0, %p0; selp.b32 %r1, 1, 0, %p1; selp.b32 %r2, 1, 0, %p2; selp.b32 %r3, 1, 0, %p3;\n"
                           "st.global.v4.b32 [%d0], {%r0, %r1, %r2, %r3}; ret; }\n");
  ASSERT_TRUE(kernel);
  const DevicePointer out = card.allocate(16);
  ASSERT_EQ(card.launch(kernel, 1, 1, 0, out), kSuccess);
  EXPECT_EQ(card.download<uint32_t>(out, 4), (std::vector<uint32_t>{1, 1, 0, 0}));
}

/// What no one wrote must not go to the host unnoticed; what anyone wrote may.
TEST(CopiesToTheHost, TellOfBytesThatNobodyWrote) {
  Card card;
  std::vector<uint8_t> host(256);
  const DevicePointer part = card.allocate(256), copy = card.allocate(256);
  ASSERT_EQ(cuMemsetD8_v2(part, 1, 100), kSuccess);
  ASSERT_EQ(cuMemcpyHtoD_v2(part + 110, host.data(), 146), kSuccess);
  ASSERT_EQ(cuMemcpyDtoH_v2(host.data(), part, 100), kSuccess);
  ASSERT_EQ(cuMemcpyDtoD_v2(copy, part, 256), kSuccess);
  EXPECT_EQ(Card::report(), "nothing found\n");
  ContextObject *context = nullptr;
  ASSERT_EQ(cuCtxGetCurrent(&context), kSuccess);
  EXPECT_EQ(cuMemcpyPeer(copy, context, part, context, 256), kSuccess);
  EXPECT_EQ(cuMemcpyPeer(copy, nullptr, part, context, 256), kInvalidContext);
  ASSERT_EQ(cuMemcpyDtoHAsync_v2(host.data(), copy, 256, nullptr), kSuccess);
  ASSERT_EQ(Card::findings().size(), 1u) << Card::report();
  EXPECT_EQ(Card::findings()[0].kind, FindingKind::kUninitialisedMemory);
  EXPECT_NE(Card::report().find("copy of 256 bytes to the host: 10 of them nobody wrote, the first 100 bytes into the allocation of 256 bytes"), std::string::npos) << Card::report();
  tenonEmulatorClearReport();
  Copy2D rows{}; // of 16 bytes each, eight of which are copied
  rows.source_type = kMemoryTypeDevice;
  rows.source_device = part + 90;
  rows.source_pitch = 16;
  rows.target_type = kMemoryTypeHost;
  rows.target_host = host.data();
  rows.target_pitch = 8;
  rows.width = 8;
  rows.height = 4;
  ASSERT_EQ(cuMemcpy2D_v2(&rows), kSuccess);
  EXPECT_NE(Card::report().find("copy of 32 bytes to the host: 4 of them nobody wrote, the first 106 bytes into"), std::string::npos) << Card::report();
  tenonEmulatorClearReport();
  setenv("TENON_EMULATOR_CHECK", "races", 1);
  ASSERT_EQ(cuMemcpyDtoH_v2(host.data(), part, 256), kSuccess);
  unsetenv("TENON_EMULATOR_CHECK");
  EXPECT_EQ(Card::report(), "nothing found\n");
}

TEST(ManagedVariables, AreOfHostAndDevice) {
  Card card;
  auto *kernel = card.load(ptx_header() + ".visible .global .attribute(.managed) .align 4 .u32 both = 11;\n.visible .global .align 4 .u32 own = 5;\n"
                           ".visible .entry kernel() {\n.reg .b32 %r<2>;\nld.global.u32 %r0, [both]; add.u32 %r0, %r0, 31; st.global.u32 [both], %r0; ret; }\n");
  DevicePointer both = 0, own = 0;
  size_t bytes = 0;
  ASSERT_EQ(cuModuleGetGlobal_v2(&both, &bytes, kernel->module, "both"), kSuccess);
  EXPECT_EQ(bytes, 4u);
  auto *value = reinterpret_cast<volatile uint32_t *>(both);
  EXPECT_EQ(*value, 11u);
  EXPECT_EQ(card.launch(kernel, 1, 1, 0), kSuccess);
  EXPECT_EQ(*value, 42u);
  unsigned managed = 0;
  ASSERT_EQ(cuPointerGetAttribute(&managed, kPointerIsManaged, both), kSuccess);
  EXPECT_EQ(managed, 1u);
  int mostly_read = 7;
  EXPECT_EQ(cuMemRangeGetAttribute(&mostly_read, sizeof(int), 1, both, 4), kSuccess);
  EXPECT_EQ(mostly_read, 0);
  EXPECT_EQ(cuMemRangeGetAttribute(&mostly_read, 3, 1, both, 4), kInvalidValue);
  ASSERT_EQ(cuModuleGetGlobal_v2(&own, nullptr, kernel->module, "own"), kSuccess);
  ASSERT_EQ(cuPointerGetAttribute(&managed, kPointerIsManaged, own), kSuccess);
  EXPECT_EQ(managed, 0u);
}

} // namespace
} // namespace tenon::emulator
