// Libraries and kernels (CUDA 12): code that belongs to no context. A context gets a module of it when it asks.
#include "driver/FatBinary.h"
#include "driver/Jit.h"
#include "driver/Prototypes.h"
#include "ptx/Parser.h"
#include <cstring>
#include <fstream>
#include <iterator>

using namespace tenon::emulator;

namespace tenon::emulator {

Status library_module(ContextObject &context, const DeviceModel &model, LibraryObject &library, ModuleObject *&module,
                      std::string &log) {
  auto found = library.modules.find(&context);
  if (found != library.modules.end()) {
    module = found->second;
    return kSuccess;
  }
  Status status = load_module(context, model, library.image.c_str(), library.most_registers, module, log);
  if (status != kSuccess)
    return status;
  library.modules[&context] = module;
  for (const auto &kernel : library.kernels)
    for (auto [attribute, value] : kernel->attributes)
      if (FunctionObject *function = module->find(kernel->name))
        set_function_attribute(*function, model, attribute, value);
  return kSuccess;
}

namespace {
/// PTX text of an image: a library outlives the memory that it was loaded from.
Status text_of(const void *image, int capability, std::string &text, std::string &log) {
  constexpr char kElf[] = {127, 'E', 'L', 'F'};
  if (!std::strncmp(static_cast<const char *>(image), kElf, sizeof(kElf))) {
    log = "the emulated driver runs PTX text; this image is machine code";
    return kNoBinaryForGpu;
  }
  if (is_fat_binary(image))
    return ptx_of_fat_binary(image, capability, text, log) ? kSuccess : kNoBinaryForGpu;
  text = static_cast<const char *>(image);
  return kSuccess;
}

/// A kernel's function in the current context, or an error.
Status function_of(const Call &call, KernelObject *kernel, FunctionObject *&function) {
  if (!call.driver.kernels.count(kernel))
    return kInvalidHandle;
  function = call.function(reinterpret_cast<FunctionObject *>(kernel));
  return function ? kSuccess : kNotFound;
}

template <class Act> Status with_module(LibraryObject *library, Act act) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!call.driver.libraries.count(library))
    return kInvalidHandle;
  ModuleObject *module = nullptr;
  std::string log;
  if (Status status = library_module(*call.context, *call.driver.model, *library, module, log))
    return status;
  return act(module);
}
} // namespace
} // namespace tenon::emulator

TENON_DRIVER_ENTRY Status cuLibraryLoadData(LibraryObject **library, const void *image, int *options, void **values,
                                            unsigned count, int *, void **, unsigned) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!library || !image)
    return kInvalidValue;
  JitOptions jit;
  if (Status status = jit.read(count, options, values))
    return status;
  auto made = std::make_unique<LibraryObject>();
  made->most_registers = jit.most_registers;
  std::string log;
  Status status = text_of(image, call.driver.model->capability, made->image, log);
  if (status == kSuccess) {
    auto parsed = parse_ptx(made->image);
    if (auto *diagnostic = std::get_if<Diagnostic>(&parsed)) {
      log = diagnostic->text();
      status = kInvalidPtx;
    } else {
      for (const Kernel &kernel : std::get<Module>(parsed).kernels)
        made->kernels.push_back(std::make_unique<KernelObject>(KernelObject{made.get(), kernel.name, {}}));
    }
  }
  ModuleObject *module = nullptr; // where there is a context, what it would refuse is told now
  if (ContextObject *context = call.driver.current(); status == kSuccess && call.driver.is_context(context))
    status = library_module(*context, *call.driver.model, *made, module, log);
  jit.write(log, module);
  if (status != kSuccess)
    return status;
  for (const auto &kernel : made->kernels)
    call.driver.kernels[kernel.get()] = made.get();
  *library = made.get();
  call.driver.libraries[made.get()] = std::move(made);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuLibraryLoadFromFile(LibraryObject **library, const char *path, int *options, void **values,
                                                unsigned count, int *library_options, void **library_values,
                                                unsigned library_count) {
  if (!library || !path)
    return kInvalidValue;
  std::ifstream file(path, std::ios::binary);
  std::string image{std::istreambuf_iterator<char>(file), {}};
  if (!file || image.empty())
    return kFileNotFound;
  return cuLibraryLoadData(library, image.c_str(), options, values, count, library_options, library_values,
                           library_count);
}
TENON_DRIVER_ENTRY Status cuLibraryUnload(LibraryObject *library) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!call.driver.libraries.count(library))
    return kInvalidHandle;
  for (auto [context, module] : library->modules)
    unload_module(*context, module);
  for (const auto &kernel : library->kernels)
    call.driver.kernels.erase(kernel.get());
  call.driver.libraries.erase(library);
  return kSuccess;
}

TENON_DRIVER_ENTRY Status cuLibraryGetKernel(KernelObject **kernel, LibraryObject *library, const char *name) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!kernel || !name)
    return kInvalidValue;
  if (!call.driver.libraries.count(library))
    return kInvalidHandle;
  for (const auto &each : library->kernels)
    if (each->name == name) {
      *kernel = each.get();
      return kSuccess;
    }
  return kNotFound;
}
TENON_DRIVER_ENTRY Status cuLibraryGetKernelCount(unsigned *count, LibraryObject *library) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!count)
    return kInvalidValue;
  if (!call.driver.libraries.count(library))
    return kInvalidHandle;
  *count = static_cast<unsigned>(library->kernels.size());
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuLibraryEnumerateKernels(KernelObject **kernels, unsigned count, LibraryObject *library) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!kernels)
    return kInvalidValue;
  if (!call.driver.libraries.count(library))
    return kInvalidHandle;
  for (size_t i = 0; i < count && i < library->kernels.size(); i++)
    kernels[i] = library->kernels[i].get();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuLibraryGetModule(ModuleObject **module, LibraryObject *library) {
  return !module ? kInvalidValue : with_module(library, [&](ModuleObject *made) {
    *module = made;
    return kSuccess;
  });
}
TENON_DRIVER_ENTRY Status cuLibraryGetGlobal(DevicePointer *address, size_t *bytes, LibraryObject *library,
                                             const char *name) {
  return with_module(library, [&](ModuleObject *module) { return cuModuleGetGlobal_v2(address, bytes, module, name); });
}
TENON_DRIVER_ENTRY Status cuLibraryGetManaged(DevicePointer *address, size_t *bytes, LibraryObject *library,
                                              const char *name) {
  if (!name)
    return kInvalidValue;
  return with_module(library, [&](ModuleObject *module) {
    for (const Variable &variable : module->ptx.variables)
      if (variable.managed && variable.name == name)
        return cuModuleGetGlobal_v2(address, bytes, module, name);
    return kNotFound;
  });
}

TENON_DRIVER_ENTRY Status cuKernelGetFunction(FunctionObject **function, KernelObject *kernel) {
  TENON_BEGIN(Call::Needs::kContext);
  return function ? function_of(call, kernel, *function) : kInvalidValue;
}
TENON_DRIVER_ENTRY Status cuKernelGetLibrary(LibraryObject **library, KernelObject *kernel) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!library)
    return kInvalidValue;
  if (!call.driver.kernels.count(kernel))
    return kInvalidHandle;
  *library = kernel->library;
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuKernelGetName(const char **name, KernelObject *kernel) {
  TENON_BEGIN(Call::Needs::kInitialised);
  if (!name)
    return kInvalidValue;
  if (!call.driver.kernels.count(kernel))
    return kInvalidHandle;
  *name = kernel->name.c_str();
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuKernelGetAttribute(int *value, int attribute, KernelObject *kernel, Device device) {
  TENON_BEGIN(Call::Needs::kContext);
  if (!value || attribute < 0 || attribute >= kFunctionLastAttribute)
    return kInvalidValue;
  if (device != 0)
    return kInvalidDevice;
  FunctionObject *function = nullptr;
  if (Status status = function_of(call, kernel, function))
    return status;
  *value = function_attribute(*function, *call.driver.model, attribute);
  return kSuccess;
}
TENON_DRIVER_ENTRY Status cuKernelSetAttribute(int attribute, int value, KernelObject *kernel, Device device) {
  TENON_BEGIN(Call::Needs::kContext);
  if (device != 0)
    return kInvalidDevice;
  FunctionObject *function = nullptr;
  Status status = function_of(call, kernel, function);
  if (status == kSuccess)
    status = set_function_attribute(*function, *call.driver.model, attribute, value);
  if (status == kSuccess)
    kernel->attributes[attribute] = value;
  return status;
}
TENON_DRIVER_ENTRY Status cuKernelSetCacheConfig(KernelObject *kernel, int, Device device) {
  TENON_BEGIN(Call::Needs::kInitialised);
  return device != 0 ? kInvalidDevice : call.driver.kernels.count(kernel) ? kSuccess : kInvalidHandle;
}
TENON_DRIVER_ENTRY Status cuKernelGetParamInfo(KernelObject *kernel, size_t index, size_t *offset, size_t *bytes) {
  TENON_BEGIN(Call::Needs::kContext);
  FunctionObject *function = nullptr;
  if (Status status = function_of(call, kernel, function))
    return status;
  if (!offset || index >= function->kernel->parameters.size())
    return kInvalidValue;
  *offset = function->kernel->parameters[index].offset;
  if (bytes)
    *bytes = function->kernel->parameters[index].size;
  return kSuccess;
}
