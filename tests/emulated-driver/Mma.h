// A kernel of one mma, for tests.
#pragma once
#include "Emulator.h"

namespace tenon::emulator {

/// Every block multiplies one tile: a thread loads its `a`, `b` and `c` registers, and stores those of the result.
inline std::string mma_kernel(const std::string &shape, const std::string &types, int a, int b, int c, int d,
                       const std::string &target) {
  std::string text = ptx_header(target) + ".visible .entry kernel(.param .u64 out, .param .u64 pa, .param .u64 pb, .param .u64 pc)\n"
                     "{\n.reg .b32 %r<64>;\n.reg .b64 %rd<16>;\nmov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\n"
                     "mad.lo.u32 %r0, %r1, 32, %r0;\n";
  auto load = [&](const char *pointer, int count, int first) {
    text += std::string("ld.param.u64 %rd0, [") + pointer + "];\nmul.wide.u32 %rd1, %r0, " + std::to_string(4 * count) +
            ";\nadd.u64 %rd0, %rd0, %rd1;\n";
    for (int i = 0; i < count; i++)
      text += "ld.global.b32 %r" + std::to_string(first + i) + ", [%rd0+" + std::to_string(4 * i) + "];\n";
  };
  auto list = [](int first, int count) {
    std::string items = "{";
    for (int i = 0; i < count; i++)
      items += (i ? ", %r" : "%r") + std::to_string(first + i);
    return items + "}";
  };
  load("pa", a, 10);
  load("pb", b, 20);
  load("pc", c, 30);
  text += "mma.sync.aligned." + shape + ".row.col." + types + " " + list(40, d) + ", " + list(10, a) + ", " + list(20, b) +
          ", " + list(30, c) + ";\nld.param.u64 %rd0, [out];\nmul.wide.u32 %rd1, %r0, " + std::to_string(4 * d) +
          ";\nadd.u64 %rd0, %rd0, %rd1;\n";
  for (int i = 0; i < d; i++)
    text += "st.global.b32 [%rd0+" + std::to_string(4 * i) + "], %r" + std::to_string(40 + i) + ";\n";
  return text + "ret;\n}\n";
}

} // namespace tenon::emulator
