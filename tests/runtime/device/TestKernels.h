/// Small kernels in machine code and in PTX, so that devices are tested without a compiler.
///
/// In both forms: `count_block` adds 1 to element x + s0·y + s1·z of tensor 0, s being the tensor's
/// strides; `fill_workspace` writes x + 1 to element x of the launch's workspace,
/// `double_workspace` writes twice that element to tensor 0. In machine code alone: `read_control`
/// stores MXCSR, `show_workspace` the address of the thread's workspace at element x, `take_ticket`
/// the number of blocks before it.
#pragma once

#include "tenon/Device.h"

#include <cstring>
#include <string>
#include <vector>

namespace tenon::testing {

// Assembled for x86-64, System V: rdi = arguments, rsi = workspace, edx = x, ecx = y, r8d = z.
// KernelArguments: workspace at 0x60, tensors[0] at 0xa8 (data, then strides), tensors[1] at 0xe0.
inline constexpr unsigned char kMachineCode[] = {
    // 0x00 count_block
    0x48, 0x63, 0xc2,                               // movsxd rax, edx
    0x48, 0x63, 0xc9,                               // movsxd rcx, ecx
    0x4d, 0x63, 0xc0,                               // movsxd r8, r8d
    0x48, 0x0f, 0xaf, 0x8f, 0xb0, 0x00, 0x00, 0x00, // imul rcx, [rdi+0xb0]
    0x4c, 0x0f, 0xaf, 0x87, 0xb8, 0x00, 0x00, 0x00, // imul r8, [rdi+0xb8]
    0x48, 0x01, 0xc8,                               // add rax, rcx
    0x4c, 0x01, 0xc0,                               // add rax, r8
    0x48, 0x8b, 0x8f, 0xa8, 0x00, 0x00, 0x00,       // mov rcx, [rdi+0xa8]
    0xf0, 0xff, 0x04, 0x81,                         // lock inc dword [rcx+rax*4]
    0xc3,                                           // ret
    // 0x2b read_control
    0x48, 0x8b, 0x87, 0xa8, 0x00, 0x00, 0x00, // mov rax, [rdi+0xa8]
    0x0f, 0xae, 0x18,                         // stmxcsr [rax]
    0xc3,                                     // ret
    // 0x36 show_workspace
    0x48, 0x8b, 0x87, 0xa8, 0x00, 0x00, 0x00, // mov rax, [rdi+0xa8]
    0x48, 0x63, 0xd2,                         // movsxd rdx, edx
    0x48, 0x89, 0x34, 0xd0,                   // mov [rax+rdx*8], rsi
    0xc3,                                     // ret
    // 0x45 take_ticket
    0xb8, 0x01, 0x00, 0x00, 0x00,             // mov eax, 1
    0x48, 0x8b, 0x8f, 0xe0, 0x00, 0x00, 0x00, // mov rcx, [rdi+0xe0]
    0xf0, 0x0f, 0xc1, 0x01,                   // lock xadd [rcx], eax
    0x48, 0x8b, 0x8f, 0xa8, 0x00, 0x00, 0x00, // mov rcx, [rdi+0xa8]
    0x48, 0x63, 0xd2,                         // movsxd rdx, edx
    0x89, 0x04, 0x91,                         // mov [rcx+rdx*4], eax
    0xc3,                                     // ret
    // 0x63 fill_workspace
    0x48, 0x8b, 0x47, 0x60, // mov rax, [rdi+0x60]
    0x48, 0x63, 0xd2,       // movsxd rdx, edx
    0x8d, 0x4a, 0x01,       // lea ecx, [rdx+1]
    0x89, 0x0c, 0x90,       // mov [rax+rdx*4], ecx
    0xc3,                   // ret
    // 0x71 double_workspace
    0x48, 0x8b, 0x47, 0x60,                   // mov rax, [rdi+0x60]
    0x48, 0x63, 0xd2,                         // movsxd rdx, edx
    0x8b, 0x0c, 0x90,                         // mov ecx, [rax+rdx*4]
    0x01, 0xc9,                               // add ecx, ecx
    0x48, 0x8b, 0x87, 0xa8, 0x00, 0x00, 0x00, // mov rax, [rdi+0xa8]
    0x89, 0x0c, 0x90,                         // mov [rax+rdx*4], ecx
    0xc3,                                     // ret
    // 0x88 do_nothing
    0xc3, // ret
};

struct MachineEntry {
  const char *name;
  uint64_t offset;
};
inline constexpr MachineEntry kMachineEntries[] = {
    {"count_block", 0x00}, {"read_control", 0x2b},   {"show_workspace", 0x36},
    {"take_ticket", 0x45}, {"fill_workspace", 0x63}, {"double_workspace", 0x71},
    {"do_nothing", 0x88}};

// Blocks of one thread. `out_of_bounds` writes a gigabyte behind tensor 0.
inline constexpr char kPtx[] = R"(.version 8.0
.target sm_80
.address_size 64

.visible .entry count_block(.param .align 64 .b8 arguments[1600])
{
  .reg .b32 %r<8>;
  .reg .b64 %rd<12>;
  ld.param.u64 %rd1, [arguments+168];
  cvta.to.global.u64 %rd1, %rd1;
  ld.param.u64 %rd2, [arguments+176];
  ld.param.u64 %rd3, [arguments+184];
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ctaid.y;
  mov.u32 %r3, %ctaid.z;
  cvt.u64.u32 %rd4, %r1;
  cvt.u64.u32 %rd5, %r2;
  cvt.u64.u32 %rd6, %r3;
  mad.lo.u64 %rd7, %rd5, %rd2, %rd4;
  mad.lo.u64 %rd7, %rd6, %rd3, %rd7;
  shl.b64 %rd8, %rd7, 2;
  add.u64 %rd9, %rd1, %rd8;
  ld.global.u32 %r4, [%rd9];
  add.u32 %r4, %r4, 1;
  st.global.u32 [%rd9], %r4;
  ret;
}

.visible .entry fill_workspace(.param .align 64 .b8 arguments[1600])
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<6>;
  ld.param.u64 %rd1, [arguments+96];
  cvta.to.global.u64 %rd1, %rd1;
  mov.u32 %r1, %ctaid.x;
  mul.wide.u32 %rd2, %r1, 4;
  add.u64 %rd3, %rd1, %rd2;
  add.u32 %r2, %r1, 1;
  st.global.u32 [%rd3], %r2;
  ret;
}

.visible .entry double_workspace(.param .align 64 .b8 arguments[1600])
{
  .reg .b32 %r<4>;
  .reg .b64 %rd<8>;
  ld.param.u64 %rd1, [arguments+96];
  cvta.to.global.u64 %rd1, %rd1;
  ld.param.u64 %rd2, [arguments+168];
  cvta.to.global.u64 %rd2, %rd2;
  mov.u32 %r1, %ctaid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.u64 %rd4, %rd1, %rd3;
  add.u64 %rd5, %rd2, %rd3;
  ld.global.u32 %r2, [%rd4];
  add.u32 %r3, %r2, %r2;
  st.global.u32 [%rd5], %r3;
  ret;
}

.visible .entry out_of_bounds(.param .align 64 .b8 arguments[1600])
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;
  ld.param.u64 %rd1, [arguments+168];
  cvta.to.global.u64 %rd1, %rd1;
  add.u64 %rd1, %rd1, 1073741824;
  mov.u32 %r1, 1;
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

inline ImageSection machine_code_section(std::string target = "host:x86-64-v3") {
  std::vector<std::byte> bytes(sizeof kMachineCode);
  std::memcpy(bytes.data(), kMachineCode, sizeof kMachineCode);
  return {SectionKind::kHostCode, std::move(target), std::move(bytes)};
}

inline ImageSection ptx_section(std::string target = "sm_80", std::string text = kPtx) {
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return {SectionKind::kPtx, std::move(target), std::move(bytes)};
}

/// A grid of query_length × heads × batch blocks.
inline LaunchPhase phase(std::string entry) {
  LaunchPhase phase;
  for (const MachineEntry &known : kMachineEntries)
    if (entry == known.name)
      phase.code_offset = known.offset;
  phase.entry = std::move(entry);
  phase.grid[0] = {Dimension::kQueryLength, 1};
  phase.grid[1] = {Dimension::kHeads, 1};
  phase.grid[2] = {Dimension::kBatch, 1};
  return phase;
}

/// An image of these phases for the host and for GPUs.
inline KernelImage image_of(std::vector<LaunchPhase> phases) {
  KernelImage image;
  image.kernel = "test_kernel";
  image.key = "test";
  image.schedule = "{}";
  image.sections = {machine_code_section(), ptx_section()};
  image.launch.phases = std::move(phases);
  image.launch.tensors = {{TensorRole::kOutput, 0}};
  return image;
}

inline KernelArguments sizes(int32_t batch, int32_t heads, int32_t query_length) {
  KernelArguments arguments = {};
  arguments.batch = batch;
  arguments.heads = arguments.key_heads = heads;
  arguments.query_length = arguments.key_length = query_length;
  return arguments;
}

} // namespace tenon::testing
