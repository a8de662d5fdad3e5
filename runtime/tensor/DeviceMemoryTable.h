/// Where tensors find the memory of a device.
#pragma once

#include "tenon/Tensor.h"

namespace tenon {

/// Errors: kDevice where no device of the kind has been opened.
Result<DeviceMemory *> device_memory(DeviceKind kind);

} // namespace tenon
