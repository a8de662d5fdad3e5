/// The compiler's headers, and those of NVVM, which would take longer than all else in these files.
#pragma once

#include "compiler/Precompiled.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
