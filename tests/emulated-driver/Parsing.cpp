// What the assembler of PTX text takes, and how it refuses the rest: with line and column, never with a crash.
#include "Emulator.h"
#include "ptx/Parser.h"
#include <random>

namespace tenon::emulator {
namespace {

std::string with_body(const std::string &body) {
  return ptx_header() + ".visible .entry kernel(.param .u64 out) {\n.reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .pred %p<2>; .reg .b16 %h;\n" + body + "\nret; }\n";
}

struct Refusal {
  const char *name;
  std::string text;
  const char *says;
};
void PrintTo(const Refusal &refusal, std::ostream *os) { *os << refusal.name; }
class Refusals : public testing::TestWithParam<Refusal> {};
TEST_P(Refusals, NamesTheirPlace) {
  Card card;
  std::string log = card.refusal(GetParam().text);
  EXPECT_EQ(card.status, kInvalidPtx) << log;
  EXPECT_NE(log.find(GetParam().says), std::string::npos) << log;
}
INSTANTIATE_TEST_SUITE_P(
    All, Refusals,
    testing::Values(
        Refusal{"Empty", "", "line 1, column 1: error: a PTX module starts with .version"},
        Refusal{"UnknownOpcode", with_body("  frobnicate.b32 %r0, %r1;"), "line 6, column 3: error: unknown opcode 'frobnicate.b32'"},
        Refusal{"NotYetHopper", with_body("wgmma.fence.sync.aligned;"), "line 6, column 1: error: unknown opcode 'wgmma.fence.sync.aligned'"},
        Refusal{"UnknownOpcodeWithUnknownOperands", with_body(" frob.b32 [%r1, {%r2}], %r0;"), "line 6, column 2: error: unknown opcode 'frob.b32'"},
        Refusal{"UnknownFormWithUnknownOperands", with_body("cp.async.bulk.tensor.2d.shared::cluster.global [%r1], [%rd0, {%r2, %r3}], [%r0];"),
                "line 6, column 1: error: unsupported form of opcode 'cp.async.bulk"},
        Refusal{"UnknownModifier", with_body("add.s128 %r0, %r1, %r2;"), "line 6, column 1: error: unsupported form of opcode 'add.s128'"},
        Refusal{"UnknownRegister", with_body("add.s32 %r0, %r1, %q;"), "line 6, column 19: error: unknown register '%q'"},
        Refusal{"UndeclaredNumber", with_body("add.s32 %r0, %r1, %r4;"), "unknown register '%r4'"},
        Refusal{"WrongWidth", with_body("add.s32 %r0, %rd1, %r2;"), "line 6, column 14: error: '%rd1' is 64 bits, 'add.s32' takes 32 bits here"},
        Refusal{"PredicateAsNumber", with_body("add.s32 %r0, %p0, %r2;"), "'%p0' is a predicate"},
        Refusal{"TooFewOperands", with_body("add.s32 %r0, %r1;"), "'add.s32' takes 3 operands, not 2"},
        Refusal{"ConstantAsDestination", with_body("mov.u32 5, %r1;"), "line 6, column 9: error: expected a register to write"},
        Refusal{"UnknownLabel", with_body("bra NOWHERE;"), "line 6, column 5: error: unknown label 'NOWHERE'"},
        Refusal{"UnknownSymbol", with_body("ld.global.b32 %r0, [nothing];"), "unknown symbol 'nothing'"},
        Refusal{"BeyondParameters", with_body("ld.param.b64 %rd0, [out+8];"), "reads beyond the parameters, which take 8 bytes"},
        Refusal{"CountOfArrivals", with_body(".shared .b64 b; mbarrier.arrive.shared.b64 %rd0, [b], 2;"), "'mbarrier.arrive.shared.b64' with a count needs a target from sm_90 on"},
        Refusal{"Cluster", with_body("mov.u32 %r0, %cluster_ctaid.x;"), "line 6, column 14: error: '%cluster_ctaid.x' needs a target from sm_90 on"},
        Refusal{"WideEnvironment", with_body("mov.u64 %rd0, %envreg2;"), "'%envreg2' is 32 bits"},
        Refusal{"EnvironmentBeyond", with_body("mov.u32 %r0, %envreg32;"), "unknown register '%envreg32'"},
        Refusal{"VolatileLocal", with_body("ld.volatile.local.u32 %r0, [%rd0];"), "unsupported form of opcode"},
        Refusal{"ReleaseOfLocal", with_body("st.release.gpu.local.u32 [%rd0], %r0;"), "unsupported form of opcode"},
        Refusal{"MappedShared", with_body("ld.mmio.relaxed.sys.shared.u32 %r0, [%rd0];"), "unsupported form of opcode"},
        Refusal{"RealAsAddress", with_body(".reg .f64 %f; ld.global.u32 %r0, [%f+4];"), "line 6, column 35: error: '%f' is a floating-point number, not an address"},
        Refusal{"IntegerAmongSums", with_body(".reg .f32 %f<4>; mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%f0,%f1,%f2,%f3}, {%r0,%r1}, {%r2}, {%f0,%f1,%f2,0};"),
                "takes a floating-point number here"},
        Refusal{"SignedAtomicSum", with_body("atom.global.add.s64 %rd0, [%rd0], %rd0;"), "unsupported form of opcode 'atom.global.add.s64'"},
        Refusal{"SignedReduction", with_body("red.shared.add.s64 [%rd0], %rd0;"), "unsupported form of opcode 'red.shared.add.s64'"},
        Refusal{"EventBeyond", with_body("pmevent 16;"), "line 6, column 9: error: 'pmevent' takes a number from 0 to 15"},
        Refusal{"EventMaskBeyond", with_body("pmevent.mask 65536;"), "takes a number from 0 to 65535"},
        Refusal{"NoReservedSharedMemory", with_body("mov.u32 %r0, %reserved_smem_offset_2;"), "unknown register '%reserved_smem_offset_2'"},
        Refusal{"WideReservedSharedMemory", with_body("mov.u64 %rd0, %reserved_smem_offset_1;"), "'%reserved_smem_offset_1' is 32 bits"},
        Refusal{"Allocation", ptx_header() + ".extern .func (.param .b64 at) malloc(.param .b64 size);\n.visible .entry kernel() { .reg .b64 %d;\n"
                "{ .param .b64 size; .param .b64 at; st.param.b64 [size], 8; call.uni (at), malloc, (size); ld.param.b64 %d, [at]; } ret; }",
                "'malloc' in a kernel: allocation there is not supported by the emulator"},
        Refusal{"Call", with_body("call.uni (%r0), helper, (%r1);"), "unknown function 'helper'"},
        Refusal{"MissingSemicolon", with_body("add.s32 %r0, %r1, %r2"), "line 7, column 1: error: expected ';', found 'ret'"},
        Refusal{"UnclosedBody", ptx_header() + ".entry kernel() { ret;", "the body of 'kernel' is not closed"},
        Refusal{"UnclosedComment", ptx_header() + "/* no end", "line 4, column 1: error: comment is not closed"},
        Refusal{"BadFloat", with_body("mov.f32 %r0, 0f12;"), "0f takes 8 hexadecimal digits"},
        Refusal{"StrangeCharacter", with_body("add.s32 %r0, `;"), "line 6, column 14: error: unexpected character"},
        Refusal{"Binary", ptx_header() + "\x81\x02", "line 4, column 1: error: unexpected byte 0x81; PTX is plain text"},
        Refusal{"LabelTwice", with_body("A: A: bra A;"), "label 'A' is defined twice"},
        Refusal{"KernelTwice", ptx_header() + ".entry k() { ret; }\n.entry k() { ret; }", "line 5, column 8: error: kernel 'k' is defined twice"},
        Refusal{"TooMuchStaticShared", ptx_header() + ".entry kernel() { .shared .b8 big[50000]; ret; }", "49152 are allowed"},
        Refusal{"HugeVariable", ptx_header() + ".global .b8 big[99999999999];", "is too large"},
        Refusal{"VectorOfThree", with_body("ld.global.v4.b32 {%r0, %r1, %r2}, [%rd0];"), "expected 4 elements, found 3"},
        Refusal{"NewerTarget", ptx_header("sm_90") + ".entry kernel() { ret; }", "target sm_90 does not run on a device of compute capability 8.0"},
        Refusal{"TiedTarget", ptx_header("sm_75a") + ".entry kernel() { ret; }", "target sm_75a does not run"}),
    [](const auto &refusal) { return std::string(refusal.param.name); });

TEST(Parsing, NewVersionsAndMachineCodeHaveTheirOwnCodes) {
  Card card;
  card.refusal(".version 99.0\n.target sm_80\n.address_size 64\n");
  EXPECT_EQ(card.status, kUnsupportedPtxVersion);
  card.refusal("\177ELF and more");
  EXPECT_EQ(card.status, kNoBinaryForGpu);
}

TEST(Parsing, TakesWhatCompilersWrite) {
  Card card;
  EXPECT_EQ(card.refusal(R"(//
// Generated by a compiler
.version 8.7
.target sm_80, debug
.address_size 64
	.file	1 "kernel.cu"
.extern .func helper(.param .b32 a);
.visible .func (.param .b32 result) device_function(.param .b32 a) { .reg .b32 %r<2>; ld.param.b32 %r0, [a]; st.param.b32 [result], %r0; ret; }
.global .align 1 .b8 $str[4] = {97, 98, 99, 0};
.visible .entry kernel(
	.param .u64 .ptr .global .align 16 kernel_param_0,
	.param .align 4 .b8 kernel_param_1[12]
)
.maxntid 128, 1, 1
.minnctapersm 2
.pragma "nounroll";
{
	.local .align 8 .b8 	__local_depot0[16];
	.reg .b64 	%SP;
	.reg .pred 	%p<2>;
	.loc	1 5 3
	{ .reg .pred p; .reg .b32 %tmp; mov.u32 %tmp, %laneid; setp.ne.u32 p, %tmp, 0; @p bra DONE; DONE: }
	{ .reg .pred p; setp.eq.u32 p, 0, 1; @p bra DONE; DONE: }
	.loc 1 7 9, function_name $L__info, inlined_at 1 2 3
	mov.b64 %SP, __local_depot0;
$L__BB0_1:
	bra.uni $L__BB0_2;
$L__BB0_2:
	ret;
}
.section .debug_str { .b8 1, 2 }
)"),
            "");
}

/// A text that loading refuses for an opcode is refused by its description too, with the same words.
TEST(Parsing, DescriptionRefusesWhatLoadingRefuses) {
  auto describe = [](const std::string &text) {
    std::string json(tenonEmulatorDescribe(text.c_str(), nullptr, 0), '\0');
    tenonEmulatorDescribe(text.c_str(), json.data(), json.size());
    return json;
  };
  Card card;
  std::string wrong = with_body("abs.u32 %r0, %r1;"), log = card.refusal(wrong);
  EXPECT_NE(log.find("'abs.u32'"), std::string::npos) << log;
  EXPECT_NE(describe(wrong).find(log), std::string::npos) << describe(wrong);
  std::string right = describe(ptx_header() + ".global .b32 g; .extern .shared .b8 s[];\n.entry kernel() { .reg .b64 %rd; mov.u64 %rd, g; mov.u64 %rd, s; ret; }");
  EXPECT_EQ(right.find("error"), std::string::npos) << right;
}

/// Text cut anywhere, and text with a byte changed, gives a log or a module.
TEST(Parsing, DamagedTextNeverCrashes) {
  std::string text = with_body("LOOP: ld.global.v2.b32 {%r0, %r1}, [%rd0+-16];\nsetp.lt.and.u32 %p0|%p1, %r0, 0x10, !%p1;\n@!%p0 bra LOOP;\n"
                               "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f16 {%r0,%r1}, {%r0,%r1}, {%r2}, {%r0,%r1};\n"
                               "mov.b32 %r3, {%h, %h}; mov.f32 %r1, 0f3F800000; st.global.b32 [%rd0], 1.5e3;");
  for (size_t i = 0; i <= text.size(); i++)
    parse_ptx(text.substr(0, i));
  Card card;
  std::mt19937 random(7);
  const std::string_view symbols = "%{}[];,.0123456789abcdef@!|+-<>() \n\"\x01\xff";
  for (int i = 0; i < 3000; i++) {
    std::string damaged = text;
    for (unsigned n = 0; n < 1 + random() % 3; n++)
      damaged[random() % damaged.size()] = symbols[random() % symbols.size()];
    ModuleObject *module = nullptr;
    std::string log = card.refusal(damaged, &module);
    EXPECT_EQ(module != nullptr, log.empty());
    if (module)
      EXPECT_EQ(cuModuleUnload(module), kSuccess);
  }
}

} // namespace
} // namespace tenon::emulator
