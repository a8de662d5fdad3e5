/// The arguments of `tenon emulate`: what each --arg says, and the device buffers behind it.
#pragma once

#include "Command.h"
#include "EmulatedDriver.h"

#include <cstddef>
#include <string>
#include <vector>

namespace tenon::command {

/// A parameter of a kernel, as `.entry` declares it.
struct KernelParameter {
  std::string name, type; // "u64"
  size_t bytes = 0;
};

/// Memory of the device that an argument points to.
struct DeviceBuffer {
  uint64_t address = 0;
  size_t bytes = 0;
  std::string output; // file that gets it after the launch; empty for none
  Shape shape;
  std::string element; // "f32"
};

/// One argument: the bytes that the parameter gets, and the buffers whose addresses are among them.
struct KernelArgument {
  std::vector<std::byte> value;
  std::vector<DeviceBuffer> buffers;
};

/// "in.npy", "in.npy=>out.npy", "f32[1024]=>out.npy", "zeros:f32[1024]", "3", "f32:0.5", "hex:00ff";
/// for a structure "{0: i32:1,8; 8: in.npy; 168: tensor:in.npy}", each by its offset in bytes, the
/// rest zeros. Allocates and fills. Errors: kInvalidArgument naming the argument and the parameter;
/// those of files and of the driver.
Result<KernelArgument> make_argument(const EmulatedDriver &driver, const KernelParameter &parameter,
                                     const std::string &text);

/// Copies an output back and writes it: .npy, .safetensors, or raw bytes to any other name.
Result<void> write_output(const EmulatedDriver &driver, const DeviceBuffer &buffer);

/// How an output differs from the tensor of a file, in a line; empty where each element is within
/// `tolerance`, times the element wanted where that is above one. Errors: those of files and of the
/// driver; kInvalidArgument where sizes or types are not the same.
Result<std::string> compare_output(const EmulatedDriver &driver, const DeviceBuffer &buffer,
                                   const std::string &expected, double tolerance);

} // namespace tenon::command
