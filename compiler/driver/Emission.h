/// From the tile kernel to what a request asked for: its description, its code, its text.
#pragma once

#include "compiler/attention/ChooseSchedule.h"
#include "compiler/driver/Request.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include "tenon/KernelImage.h"

namespace tenon {

/// The IR as text.
std::string printed(mlir::ModuleOp module);

/// A tile kernel as it is known before it becomes code: an image without code, and the schedule.
struct KernelDescription {
  KernelImage image;
  Schedule schedule;
};

/// Of the module's one tile kernel. The kernel function takes the image's name.
llvm::Expected<KernelDescription> describeKernel(mlir::ModuleOp module, const Request &request);

/// What the request wants of the module once the device's pipeline has lowered it: a text, or the image
/// with its code.
llvm::Expected<std::string> emitDevice(mlir::ModuleOp module, const Request &request,
                                       KernelDescription &kernel);

} // namespace tenon
