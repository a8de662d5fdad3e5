// Runs PTX text on the emulated driver, for tests: loads it, copies buffers in and out, launches.
#pragma once
#include "driver/CudaAbi.h"
#include "driver/Driver.h"
#include "driver/Prototypes.h"
#include "launch/Report.h"
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace tenon::emulator {

/// A fresh context on an emulated card.
class Card {
public:
  /// `device` as TENON_EMULATOR_CARD has it.
  explicit Card(const char *device = "a100") {
    EXPECT_EQ(cuInit(0), kSuccess);
    setenv("TENON_EMULATOR_CARD", device, 1);
    Driver::instance().model = device_model(); // a process has one card; tests take turns
    EXPECT_EQ(cuDevicePrimaryCtxRetain(&context_, 0), kSuccess);
    EXPECT_EQ(cuCtxSetCurrent(context_), kSuccess);
    tenonEmulatorClearReport();
  }
  ~Card() {
    cuCtxSetCurrent(nullptr);
    cuDevicePrimaryCtxRelease_v2(0);
  }
  Card(const Card &) = delete;
  Card &operator=(const Card &) = delete;

  static std::string report() {
    std::string text(tenonEmulatorReport(nullptr, 0), '\0');
    tenonEmulatorReport(text.data(), text.size());
    text.pop_back();
    return text;
  }
  static std::vector<Finding> findings() { return Report::instance().findings(); }

  /// Loads text; expects success and returns the kernel of that name.
  FunctionObject *load(const std::string &ptx, const char *kernel = "kernel") {
    ModuleObject *module = nullptr;
    std::string log = refusal(ptx, &module);
    EXPECT_TRUE(module) << log << "\n" << ptx;
    FunctionObject *function = nullptr;
    if (module)
      EXPECT_EQ(cuModuleGetFunction(&function, module, kernel), kSuccess);
    return function;
  }
  /// The log of the assembler; empty where the text is accepted.
  std::string refusal(const std::string &ptx, ModuleObject **module = nullptr) {
    char log[1024] = "";
    int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferBytes};
    void *values[] = {log, reinterpret_cast<void *>(sizeof(log))};
    ModuleObject *loaded = nullptr;
    status = cuModuleLoadDataEx(&loaded, ptx.c_str(), 2, options, values);
    if (module)
      *module = loaded;
    return log;
  }
  template <class T> DevicePointer upload(const std::vector<T> &values) {
    DevicePointer at = 0;
    EXPECT_EQ(cuMemAlloc_v2(&at, values.size() * sizeof(T)), kSuccess);
    EXPECT_EQ(cuMemcpyHtoD_v2(at, values.data(), values.size() * sizeof(T)), kSuccess);
    return at;
  }
  DevicePointer allocate(size_t bytes) {
    DevicePointer at = 0;
    EXPECT_EQ(cuMemAlloc_v2(&at, bytes), kSuccess);
    return at;
  }
  template <class T> std::vector<T> download(DevicePointer at, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(cuMemcpyDtoH_v2(values.data(), at, count * sizeof(T)), kSuccess);
    return values;
  }
  /// Launches a one-dimensional grid and waits.
  template <class... Arguments>
  Status launch(FunctionObject *function, unsigned blocks, unsigned threads, unsigned shared, Arguments... arguments) {
    void *pointers[] = {&arguments..., nullptr};
    Status launched = cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, shared, nullptr, pointers, nullptr);
    return launched != kSuccess ? launched : cuCtxSynchronize();
  }

  Status status = kSuccess;

private:
  ContextObject *context_ = nullptr;
};

inline std::string ptx_header(const std::string &target = "sm_80") {
  return ".version 8.7\n.target " + target + "\n.address_size 64\n";
}

/// A kernel of 32 threads over rows of 32 elements: loads inputs 0, 1, … into registers %a0, %a1, …, runs the body, which
/// leaves its result in %d, and stores that. Types are PTX's ("b32"); "pred" is stored as 0 or 1 of b32.
inline std::string elementwise(const std::vector<std::string> &inputs, const std::string &output, const std::string &body,
                               const std::string &target = "sm_80") {
  auto bytes = [](const std::string &type) { return type == "pred" ? 4 : std::atoi(type.c_str() + 1) / 8; };
  std::string text = ptx_header(target) + ".visible .entry kernel(.param .u64 out";
  for (size_t i = 0; i < inputs.size(); i++)
    text += ", .param .u64 in" + std::to_string(i);
  text += ")\n{\n.reg .b32 %t, %x<8>;\n.reg .b16 %h<8>;\n.reg .pred %p<8>;\n.reg .b64 %addr, %base, %y<8>;\n"
          "mov.u32 %t, %tid.x;\n.reg ." +
          (output == "pred" ? "pred" : output) + " %d;\n";
  for (size_t i = 0; i < inputs.size(); i++) {
    std::string n = std::to_string(i);
    text += ".reg ." + inputs[i] + " %a" + n + ";\nld.param.u64 %base, [in" + n + "];\nmul.wide.u32 %addr, %t, " +
            std::to_string(bytes(inputs[i])) + ";\nadd.u64 %addr, %addr, %base;\nld.global." + inputs[i] + " %a" + n +
            ", [%addr];\n";
  }
  text += body + "\nld.param.u64 %base, [out];\nmul.wide.u32 %addr, %t, " + std::to_string(bytes(output)) +
          ";\nadd.u64 %addr, %addr, %base;\n";
  if (output == "pred")
    text += "selp.b32 %x7, 1, 0, %d;\nst.global.b32 [%addr], %x7;\n";
  else
    text += "st.global." + output + " [%addr], %d;\n";
  return text + "ret;\n}\n";
}

} // namespace tenon::emulator
