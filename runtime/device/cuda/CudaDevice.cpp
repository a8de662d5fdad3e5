#include "device/cuda/CudaDevice.h"

#include "device/Launch.h"
#include "device/Text.h"
#include "device/cuda/ContextScope.h"
#include "tenon/CudaKernel.h"
#include "tenon/Log.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

namespace tenon::cuda {
namespace {

// CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
constexpr int64_t kMaxGridX = 2147483647, kMaxGridYz = 65535;
constexpr uint64_t kSmallestWorkspace = 1 << 20;

struct CudaKernel final : LoadedKernel {
  CudaKernel(const Device &device, const KernelImage &image, std::string section,
             const DriverTable &table, Context context, Module loaded)
      : LoadedKernel(device, image.kernel, image.launch, std::move(section)), driver(table),
        context(context), module(loaded) {}
  ~CudaKernel() override {
    ContextScope scope(driver, context);
    driver.module_unload(module);
  }
  const DriverTable &driver;
  Context context;
  Module module;
  std::vector<Function> functions; // one a phase
};

DevicePointer address(const void *pointer) {
  return reinterpret_cast<uintptr_t>(pointer);
}
Stream stream_of(StreamHandle handle) {
  return reinterpret_cast<Stream>(handle);
}

} // namespace

uint64_t StreamWorkspaces::key_of(StreamHandle stream) {
  constexpr StreamHandle kPerThreadStream =
      2; // CU_STREAM_PER_THREAD: another stream in each thread
  if (stream != kPerThreadStream)
    return stream;
  return std::hash<std::thread::id>{}(std::this_thread::get_id()) |
         1; // no stream has an odd address
}

DevicePointer StreamWorkspaces::find(StreamHandle stream, uint64_t bytes) const {
  std::shared_lock lock(mutex_);
  auto found = areas_.find(key_of(stream));
  return found != areas_.end() && found->second.bytes >= bytes ? found->second.data : 0;
}

void StreamWorkspaces::insert(StreamHandle stream, DevicePointer area, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Area &mine = areas_[key_of(stream)];
  if (bytes > mine.bytes)
    mine = {area, bytes};
}

namespace {

/// By what a multiprocessor does in a clock, and all of them have so many cycles, in 10^9 a second. The tensor cores' is
/// that of the chip's best instruction, which mma.sync need not be (Hopper's wgmma, Blackwell's tcgen05), and of 8.6, 8.9
/// and 12 that of the GeForce boards, where float32 sums halve it. NVIDIA's architecture white papers; of 8.7 assumed.
DeviceRates rates_of(int capability, double cycles) {
  struct Row {
    int capability, tensor_half, float32, exponentials = 16;
  };
  constexpr Row kRows[] = {{80, 2048, 128}, {86, 512, 256},   {87, 1024, 256}, {89, 512, 256},
                           {90, 4096, 256}, {100, 8192, 256}, {103, 8192, 256, 32}, {120, 512, 256},
                           {121, 512, 256}};
  for (const Row &row : kRows)
    if (row.capability == capability)
      return {cycles * row.tensor_half, cycles * row.float32, cycles * row.exponentials, 0};
  return {};
}

} // namespace

CudaDevice::CudaDevice(DeviceKind kind, int ordinal, std::string name, Target target,
                       const DriverTable &driver, Context context, Properties properties)
    : Device(kind, ordinal, std::move(name), target), driver_(driver), context_(context),
      properties_(properties) {}

Result<std::unique_ptr<Device>> CudaDevice::open(DeviceKind kind, int ordinal,
                                                 const DriverTable &driver) {
  int count = 0;
  if (DriverStatus status = driver.device_count(&count); status != kSuccess)
    return driver.error("cuDeviceGetCount", status);
  if (ordinal < 0 || ordinal >= count)
    return Error(ErrorCode::kInvalidArgument,
                 concat("device ordinal: ", ordinal, " is given; it must be below ", count));
  DeviceOrdinal device = 0;
  if (DriverStatus status = driver.device_get(&device, ordinal); status != kSuccess)
    return driver.error("cuDeviceGet", status);
  char name[256] = {};
  driver.device_name(name, sizeof name, device);
  auto attribute = [&](int which) {
    int value = 0;
    return driver.device_attribute(&value, which, device) == kSuccess ? value : 0;
  };
  Properties properties{10 * attribute(kCapabilityMajor) + attribute(kCapabilityMinor),
                        attribute(kMaxThreadsPerBlock), attribute(kMaxSharedMemoryPerBlock),
                        attribute(kMaxSharedMemoryPerBlockOptin),
                        {}};
  const double cycles = 1e-6 * attribute(kMultiprocessors) * attribute(kClockKilohertz);
  properties.rates = rates_of(properties.compute_capability, cycles);
  // Memory transfers twice in a cycle of its clock.
  properties.rates.memory = 1e-6 * 2 * attribute(kMemoryClockKilohertz) * attribute(kMemoryBusBits) / 8;
  Result<Target> target = best_gpu_target(properties.compute_capability);
  if (!target)
    return Error(ErrorCode::kUnsupported, concat(name, ": ", target.error().message()));
  Context context = nullptr;
  if (DriverStatus status = driver.primary_context_retain(&context, device); status != kSuccess)
    return driver.error("cuDevicePrimaryCtxRetain", status);
  return std::unique_ptr<Device>(
      new CudaDevice(kind, ordinal, name, *target, driver, context, properties));
}

Result<void> CudaDevice::can_execute(const Target &target) const {
  int mine = properties_.compute_capability;
  bool runs = target.kind == TargetKind::kCuda &&
              (target.chip_specific ? target.compute_capability == mine
                                    : target.compute_capability <= mine);
  if (runs)
    return {};
  return Error(ErrorCode::kUnsupported, concat(name(), " has compute capability ", mine / 10, ".",
                                               mine % 10, " and cannot execute ", target.text()));
}

Result<void *> CudaDevice::allocate(size_t bytes) {
  if (bytes == 0)
    return static_cast<void *>(nullptr);
  ContextScope scope(driver_, context_);
  DevicePointer memory = 0;
  if (DriverStatus status = driver_.memory_allocate(&memory, bytes); status != kSuccess) {
    Error error = driver_.error("cuMemAlloc", status);
    return Error(error.code(), concat(name(), ": ", bytes, " bytes: ", error.message()));
  }
  return reinterpret_cast<void *>(static_cast<uintptr_t>(memory));
}

Result<void> CudaDevice::free(void *memory) {
  if (!memory)
    return {};
  ContextScope scope(driver_, context_);
  if (DriverStatus status = driver_.memory_free(address(memory)); status != kSuccess)
    return driver_.error("cuMemFree", status);
  return {};
}

Result<void> CudaDevice::copy(void *to, const void *from, size_t bytes, CopyDirection direction,
                              StreamHandle handle) {
  if (bytes == 0)
    return {};
  ContextScope scope(driver_, context_);
  Stream stream = stream_of(handle);
  DriverStatus status = kSuccess;
  switch (direction) {
  case CopyDirection::kHostToDevice:
    status = driver_.copy_to_device(address(to), from, bytes, stream);
    break;
  case CopyDirection::kDeviceToHost:
    status = driver_.copy_to_host(to, address(from), bytes, stream);
    break;
  case CopyDirection::kDeviceToDevice:
    status = driver_.copy_on_device(address(to), address(from), bytes, stream);
    break;
  }
  if (status != kSuccess)
    return driver_.error("cuMemcpyAsync", status);
  return {};
}

// A cubin made for this very chip; else the PTX of the highest capability that is not above it. The
// emulator reads PTX alone.
const ImageSection *CudaDevice::choose_section(const KernelImage &image) const {
  const ImageSection *best = nullptr;
  int best_rank = -1;
  for (const ImageSection &section : image.sections) {
    Result<Target> target = Target::parse(section.target);
    if (!target || !can_execute(*target) || section.kind == SectionKind::kHostCode)
      continue;
    bool is_cubin = section.kind == SectionKind::kCubin;
    bool same_chip = target->compute_capability == properties_.compute_capability;
    if (is_cubin && (!same_chip || kind() == DeviceKind::kEmulator))
      continue;
    int rank = 2 * target->compute_capability + target->chip_specific + (is_cubin ? 1'000'000 : 0);
    if (rank > best_rank) {
      best = &section;
      best_rank = rank;
    }
  }
  return best;
}

Result<Module> CudaDevice::load_module(const KernelImage &image,
                                       const ImageSection &section) const {
  std::vector<char> code(section.bytes.size() + 1); // PTX must end with a zero byte
  std::ranges::transform(section.bytes, code.begin(), [](std::byte byte) { return char(byte); });
  std::vector<char> log(8192);
  int options[] = {kJitErrorLogBuffer, kJitErrorLogBufferBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  Module module = nullptr;
  DriverStatus status = driver_.module_load(&module, code.data(), 2, options, values);
  if (status == kSuccess)
    return module;
  log.back() = '\0';
  Error error = driver_.error("cuModuleLoadDataEx", status);
  return Error(error.code(), concat("kernel ", image.kernel, " for ", section.target, ": ",
                                    error.message(), log.front() ? "\n" : "", log.data()));
}

Result<Function> CudaDevice::find_function(Module module, const LaunchPhase &phase) const {
  Function function = nullptr;
  if (DriverStatus status = driver_.module_function(&function, module, phase.entry.c_str());
      status != kSuccess) {
    Error error = driver_.error("cuModuleGetFunction", status);
    return Error(error.code(), concat("entry ", phase.entry, ": ", error.message()));
  }
  if (phase.threads > static_cast<unsigned>(properties_.max_threads))
    return Error(ErrorCode::kUnsupported,
                 concat(phase.entry, " needs blocks of ", phase.threads, " threads; ", name(),
                        " allows ", properties_.max_threads));
  if (phase.shared_bytes > static_cast<unsigned>(properties_.max_shared_bytes))
    return Error(ErrorCode::kUnsupported,
                 concat(phase.entry, " needs ", phase.shared_bytes, " bytes of shared memory; ",
                        name(), " allows ", properties_.max_shared_bytes));
  if (phase.shared_bytes <= static_cast<unsigned>(properties_.default_shared_bytes))
    return function;
  DriverStatus status = driver_.function_set_attribute(function, kFunctionMaxDynamicShared,
                                                       static_cast<int>(phase.shared_bytes));
  if (status != kSuccess)
    return driver_.error("cuFuncSetAttribute(max dynamic shared memory)", status);
  return function;
}

Result<std::shared_ptr<const LoadedKernel>> CudaDevice::load(const KernelImage &image) {
  const ImageSection *section = choose_section(image);
  if (!section) {
    std::string held;
    for (const ImageSection &each : image.sections)
      held += (held.empty() ? "" : ", ") + each.target;
    return Error(ErrorCode::kUnsupported,
                 concat("kernel image ", image.kernel, " holds no code that ", name(), " (",
                        target().text(), ") executes; it holds ", held.empty() ? "nothing" : held));
  }
  ContextScope scope(driver_, context_);
  Result<Module> module = load_module(image, *section);
  if (!module)
    return module.error();
  const char *form = section->kind == SectionKind::kCubin ? " (cubin)" : " (PTX)";
  auto kernel = std::make_shared<CudaKernel>(*this, image, section->target + form, driver_,
                                             context_, *module);
  for (const LaunchPhase &phase : image.launch.phases) {
    Result<Function> function = find_function(*module, phase);
    if (!function)
      return function.error();
    kernel->functions.push_back(*function);
  }
  return std::shared_ptr<const LoadedKernel>(std::move(kernel));
}

Result<DevicePointer> CudaDevice::workspace(const LoadedKernel &kernel,
                                            const KernelArguments &arguments, StreamHandle stream) {
  uint64_t bytes = 0;
  if (!shared_workspace(kernel.description(), LaunchSizes(arguments), bytes))
    return grid_error(kernel.description().phases.front(), arguments);
  if (bytes == 0)
    return DevicePointer{0};
  if (DevicePointer area = workspaces_.find(stream, bytes))
    return area;
  int capturing = 0;
  if (driver_.stream_is_capturing &&
      driver_.stream_is_capturing(stream_of(stream), &capturing) == kSuccess && capturing != 0)
    return Error(ErrorCode::kInvalidArgument,
                 concat("stream: it is being captured, and kernel ", kernel.kernel(), " needs ",
                        bytes,
                        " bytes of workspace that are not there; call prepare before the capture"));
  uint64_t rounded = std::bit_ceil(std::max(bytes, kSmallestWorkspace));
  Result<void *> area = allocate(rounded);
  if (!area)
    return area.error();
  workspaces_.insert(stream, address(*area), rounded);
  return address(*area);
}

Result<void> CudaDevice::prepare(const LoadedKernel &kernel, const KernelArguments &arguments,
                                 StreamHandle stream) {
  if (&kernel.device() != this)
    return wrong_device(kernel, *this);
  Result<DevicePointer> area = workspace(kernel, arguments, stream);
  return area ? Result<void>() : Result<void>(area.error());
}

Result<void> CudaDevice::check_grid(const LoadedKernel &kernel, const LaunchPhase &phase,
                                    const GridSize &grid) const {
  struct Limit {
    const char *axis;
    int64_t blocks, most;
  };
  for (const Limit &limit : {Limit{"x", grid.x, kMaxGridX}, Limit{"y", grid.y, kMaxGridYz},
                             Limit{"z", grid.z, kMaxGridYz}})
    if (limit.blocks > limit.most)
      return Error(ErrorCode::kUnsupported,
                   concat("grid of ", kernel.kernel(), " phase ", phase.entry, ": ", limit.blocks,
                          " blocks along ", limit.axis, "; a GPU allows ", limit.most));
  return {};
}

Result<void> CudaDevice::launch(const LoadedKernel &kernel, KernelArguments &arguments,
                                StreamHandle handle) {
  if (&kernel.device() != this)
    return wrong_device(kernel, *this);
  const CudaKernel &loaded = static_cast<const CudaKernel &>(kernel);
  ContextScope scope(driver_, context_);
  Result<DevicePointer> area = workspace(kernel, arguments, handle);
  if (!area)
    return area.error();
  arguments.workspace = reinterpret_cast<void *>(static_cast<uintptr_t>(*area));
  place_workspace_tensors(kernel.description(), LaunchSizes(arguments), arguments.workspace, arguments);
  void *parameters[] = {&arguments};
  const std::vector<LaunchPhase> &phases = kernel.description().phases;
  for (size_t i = 0; i < phases.size(); ++i) {
    const LaunchPhase &phase = phases[i];
    GridSize grid;
    if (!holds(phase.when, LaunchSizes(arguments)))
      continue;
    if (!compute_grid(phase, LaunchSizes(arguments), grid))
      return grid_error(phase, arguments);
    if (Result<void> checked = check_grid(kernel, phase, grid); !checked)
      return checked;
    if (grid.blocks() == 0)
      continue;
    log(LogEvent::kLaunch, [&] { return launch_line(kernel, phase, grid, handle); });
    DriverStatus status = driver_.launch_kernel(
        loaded.functions[i], static_cast<unsigned>(grid.x), static_cast<unsigned>(grid.y),
        static_cast<unsigned>(grid.z), phase.threads, 1, 1, phase.shared_bytes, stream_of(handle),
        parameters, nullptr);
    if (status != kSuccess)
      return driver_.kernel_error(concat("cuLaunchKernel of ", phase.entry).c_str(), status);
  }
  return {};
}

Result<void> CudaDevice::launch_function(const LoadedKernel &kernel, const CudaLaunch &how,
                                         void **parameters) const {
  if (&kernel.device() != this)
    return wrong_device(kernel, *this);
  const CudaKernel &loaded = static_cast<const CudaKernel &>(kernel);
  ContextScope scope(driver_, context_);
  Function function = loaded.functions.front();
  if (how.shared_bytes > static_cast<unsigned>(properties_.default_shared_bytes)) {
    DriverStatus status = driver_.function_set_attribute(function, kFunctionMaxDynamicShared,
                                                         static_cast<int>(how.shared_bytes));
    if (status != kSuccess)
      return driver_.error("cuFuncSetAttribute(max dynamic shared memory)", status);
  }
  auto at_least_one = [](unsigned number) { return std::max(number, 1u); };
  DriverStatus status = driver_.launch_kernel(
      function, at_least_one(how.blocks[0]), at_least_one(how.blocks[1]),
      at_least_one(how.blocks[2]), at_least_one(how.threads[0]), at_least_one(how.threads[1]),
      at_least_one(how.threads[2]), how.shared_bytes, stream_of(how.stream), parameters, nullptr);
  if (status != kSuccess)
    return driver_.kernel_error(concat("cuLaunchKernel of ", kernel.kernel()).c_str(), status);
  return {};
}

Result<void> CudaDevice::synchronise(StreamHandle stream) {
  ContextScope scope(driver_, context_);
  if (DriverStatus status = driver_.stream_synchronise(stream_of(stream)); status != kSuccess)
    return driver_.kernel_error("cuStreamSynchronize", status);
  return {};
}

} // namespace tenon::cuda
