#include "driver/Driver.h"

namespace tenon::emulator {

Driver &Driver::instance() {
  static Driver *driver = new Driver; // lives as long as the process: entries may be called while it ends
  return *driver;
}

std::vector<ContextObject *> &Driver::stack() {
  thread_local std::vector<ContextObject *> stack;
  return stack;
}

bool Driver::is_context(const ContextObject *context) const {
  return context && (context == primary.get() || created.count(const_cast<ContextObject *>(context)));
}

ContextObject *Driver::current() const { return stack().empty() ? nullptr : stack().back(); }

Call::Call(Needs needs) : driver(Driver::instance()), lock_(driver.mutex) {
  if (needs == Needs::kNothing)
    return;
  if (!driver.model) {
    status = kNotInitialised;
    return;
  }
  if (needs == Needs::kInitialised)
    return;
  context = driver.current();
  if (!context)
    status = kInvalidContext;
  else if (!driver.is_context(context))
    status = kContextIsDestroyed;
  else
    status = context->sticky;
}

bool Call::owns(const StreamObject *stream) const {
  return reinterpret_cast<uintptr_t>(stream) <= 2 || context->streams.count(const_cast<StreamObject *>(stream));
}
bool Call::owns(const EventObject *event) const { return context->events.count(const_cast<EventObject *>(event)) != 0; }

namespace {
struct StatusRow {
  int status;
  const char *name, *text;
};
constexpr StatusRow kStatuses[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNotInitialised, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {kDeinitialised, "CUDA_ERROR_DEINITIALIZED", "driver shutting down"},
    {kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kInvalidImage, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU", "no kernel image is available for execution on the device"},
    {kInvalidPtx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {kUnsupportedPtxVersion, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the provided PTX was compiled with an unsupported toolchain."},
    {kInvalidSource, "CUDA_ERROR_INVALID_SOURCE", "device kernel image is invalid"},
    {kFileNotFound, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {kLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {kPrimaryContextActive, "CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE",
     "cannot set while device is active in this process"},
    {kContextIsDestroyed, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {kHostMemoryAlreadyRegistered, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
     "part or all of the requested memory range is already mapped"},
    {kHostMemoryNotRegistered, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
     "pointer does not correspond to a registered memory region"},
    {kMisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {kUnknown, "CUDA_ERROR_UNKNOWN", "unknown error"},
};
} // namespace

const char *status_name(int status) {
  for (const StatusRow &row : kStatuses)
    if (row.status == status)
      return row.name;
  return nullptr;
}
const char *status_text(int status) {
  for (const StatusRow &row : kStatuses)
    if (row.status == status)
      return row.text;
  return nullptr;
}

} // namespace tenon::emulator
