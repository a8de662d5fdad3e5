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

/// What a class of lengths runs: its phases in the image, the first of them the one that has the schedule.
struct KernelClass {
  Schedule schedule;
  size_t firstPhase;
};

/// Tile kernels as they are known before they become code: an image without code, and schedules. Where there are two
/// classes, the second is that of few queries.
struct KernelDescription {
  KernelImage image;
  llvm::SmallVector<KernelClass, 2> classes;
};

/// Of the module's tile kernels. Their functions take the names of their entries, which begin with the image's.
llvm::Expected<KernelDescription> describeKernel(mlir::ModuleOp module, const Request &request);

/// What the request wants of the module once the device's pipeline has lowered it: a text, or the image
/// with its code.
llvm::Expected<std::string> emitDevice(mlir::ModuleOp module, const Request &request,
                                       KernelDescription &kernel);

} // namespace tenon
