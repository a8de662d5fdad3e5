// A kernel of 64 threads a block around a few lines of PTX, run with all checkers: what the tests plant bugs into.
#pragma once
#include "Emulator.h"
#include <numeric>

namespace tenon::emulator::planted {

inline constexpr unsigned kWords = 256; // of each buffer

/// %r0 is the thread, %r1 its place in the grid; %rd0 and %rd1 are `out` and `in`, %rd2 and %rd3 this thread's words of
/// them; %r2 is the address of this thread's word of `box`, 64 words of shared memory.
inline std::string text_of(const std::string &body) {
  return ptx_header() +
         ".visible .entry kernel(.param .u64 out, .param .u64 in) {\n"
         ".reg .b32 %r<32>; .reg .b64 %rd<16>; .reg .pred %p<8>; .reg .f32 %f<8>;\n"
         ".shared .align 16 .b8 box[256]; .local .align 8 .b8 own[32];\n"
         "mov.u32 %r0, %tid.x; mov.u32 %r1, %ctaid.x; mad.lo.u32 %r1, %r1, 64, %r0;\n"
         "ld.param.u64 %rd0, [out]; ld.param.u64 %rd1, [in]; mul.wide.u32 %rd4, %r1, 4;\n"
         "add.s64 %rd2, %rd0, %rd4; add.s64 %rd3, %rd1, %rd4; shl.b32 %r3, %r0, 2; mov.u32 %r2, box; add.u32 %r2, %r2, %r3;\n" +
         body + "\nret;\n}\n";
}

struct Outcome {
  Status status;
  std::vector<Finding> findings;
  std::vector<uint32_t> output;
  std::string report;
};

inline Outcome run(const std::string &body, unsigned blocks) {
  Card card;
  auto *kernel = card.load(text_of(body));
  std::vector<uint32_t> input(kWords);
  std::iota(input.begin(), input.end(), 1000u);
  DevicePointer in = card.upload(input), out = card.allocate(kWords * 4);
  EXPECT_EQ(cuMemsetD32_v2(out, 0, kWords), kSuccess);
  Outcome outcome{card.launch(kernel, blocks, 64, 0, out, in), Card::findings(), {}, Card::report()};
  if (outcome.status == kSuccess)
    outcome.output = card.download<uint32_t>(out, kWords);
  return outcome;
}

/// Two mbarrier objects of 64 arrivals.
#define GATE \
  ".shared .align 8 .b8 gate[16]; setp.eq.u32 %p0, %r0, 0; @%p0 mbarrier.init.shared.b64 [gate], 64; " \
  "@%p0 mbarrier.init.shared.b64 [gate+8], 64; mov.u32 %r6, 0; bar.sync 0;\n"

} // namespace tenon::emulator::planted
