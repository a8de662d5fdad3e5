#include "tenon/Device.h"

#include "device/Launch.h"
#include "device/Library.h"
#include "device/Text.h"
#include "device/cuda/CudaDevice.h"
#include "device/host/HostDevice.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

namespace tenon {
namespace {

// Devices and drivers once opened stay; what could not be opened is tried anew, since a path may
// change. Never destroyed: tensors may free memory of a device while the process ends.
struct Registry {
  std::mutex mutex;
  std::map<std::pair<DeviceKind, int>, std::unique_ptr<Device>> devices;
  std::map<DeviceKind, cuda::DriverTable> drivers;
  std::optional<Error> nvidia_missing; // as found before the emulated driver took the name

  static Registry &instance() {
    static Registry *registry = new Registry;
    return *registry;
  }
};

// NVIDIA's library and the emulated one bear one name, and the loader hands out a library that is
// open already under its name: so NVIDIA's comes first, and what answers for it is looked at.
Result<cuda::DriverTable> open_driver(Registry &registry, DeviceKind kind) {
  if (kind == DeviceKind::kEmulator) {
    if (Result<Library> nvidia = Library::open(cuda::nvidia_driver_library()))
      nvidia->keep();
    else
      registry.nvidia_missing = nvidia.error();
    return cuda::DriverTable::open(cuda::emulated_driver_library());
  }
  Result<cuda::DriverTable> table = cuda::DriverTable::open(cuda::nvidia_driver_library());
  if (table && table->emulator_report && registry.nvidia_missing)
    return *registry.nvidia_missing;
  if (table && table->emulator_report)
    return Error(ErrorCode::kUnsupported,
                 concat(cuda::nvidia_driver_library(),
                        " is Tenon's emulated driver here; the device of that name is 'emulator'"));
  return table;
}

Result<const cuda::DriverTable *> driver_of(Registry &registry, DeviceKind kind) {
  auto found = registry.drivers.find(kind);
  if (found == registry.drivers.end()) {
    Result<cuda::DriverTable> table = open_driver(registry, kind);
    if (!table)
      return table.error();
    found = registry.drivers.emplace(kind, *table).first;
  }
  return &found->second;
}

Result<std::unique_ptr<Device>> make_device(Registry &registry, DeviceKind kind, int ordinal) {
  if (kind == DeviceKind::kHost) {
    if (ordinal != 0)
      return Error(ErrorCode::kInvalidArgument, "device ordinal", std::to_string(ordinal),
                   "0: there is one host");
    return HostDevice::open();
  }
  TENON_ASSIGN_OR_RETURN(const cuda::DriverTable *driver, driver_of(registry, kind));
  return cuda::CudaDevice::open(kind, ordinal, *driver);
}

DeviceStatus status_of(DeviceKind kind, int ordinal) {
  Result<Device *> device = Device::open(kind, ordinal);
  if (!device)
    return {kind, ordinal, false, "", "", device.error().message()};
  return {kind, ordinal, true, (*device)->name(), (*device)->target().text(),
          kind == DeviceKind::kHost ? choose_host_level(host_features()).why_not : ""};
}

// The number of devices, or 1 for a driver that cannot be opened, so that its reason is listed.
int count_devices(DeviceKind kind) {
  Registry &registry = Registry::instance();
  std::lock_guard lock(registry.mutex);
  Result<const cuda::DriverTable *> driver = driver_of(registry, kind);
  int count = 0;
  if (!driver || (*driver)->device_count(&count) != cuda::kSuccess)
    return 1;
  return std::max(1, count);
}

// Tensors reach a device's memory through the device; it is opened at the first use.
class MemoryOfDevices final : public DeviceMemory {
public:
  explicit MemoryOfDevices(DeviceKind kind) : kind_(kind) {}

  Result<void *> allocate(size_t bytes, int ordinal) override {
    TENON_ASSIGN_OR_RETURN(Device * device, Device::open(kind_, ordinal));
    return device->allocate(bytes);
  }
  void free(void *memory, int ordinal) override {
    // A context that a kernel's fault has ended refuses even this; the memory went with it.
    if (Result<Device *> device = Device::open(kind_, ordinal))
      static_cast<void>((*device)->free(memory).ok());
  }
  Status copy_to_device(void *device, const void *host, size_t bytes, int ordinal) override {
    return copy(device, host, bytes, CopyDirection::kHostToDevice, ordinal);
  }
  Status copy_to_host(void *host, const void *device, size_t bytes, int ordinal) override {
    return copy(host, device, bytes, CopyDirection::kDeviceToHost, ordinal);
  }

private:
  Status copy(void *to, const void *from, size_t bytes, CopyDirection direction, int ordinal) {
    TENON_ASSIGN_OR_RETURN(Device * device, Device::open(kind_, ordinal));
    TENON_TRY(device->copy(to, from, bytes, direction, /*stream=*/0));
    return device->synchronise(/*stream=*/0);
  }
  DeviceKind kind_;
};

[[maybe_unused]] const bool kRegistered = [] {
  static MemoryOfDevices cuda(DeviceKind::kCuda), emulator(DeviceKind::kEmulator);
  register_device_memory(DeviceKind::kCuda, &cuda);
  register_device_memory(DeviceKind::kEmulator, &emulator);
  return true;
}();

constexpr const char *kSizeNames[] = {"one",       "batch",        "heads",
                                      "key_heads", "query_length", "key_length"};

} // namespace

LoadedKernel::LoadedKernel(const Device &device, std::string kernel, LaunchDescription description,
                           std::string section)
    : device_(device), kernel_(std::move(kernel)), section_(std::move(section)),
      description_(std::move(description)) {}
LoadedKernel::~LoadedKernel() = default;

Device::Device(DeviceKind kind, int ordinal, std::string name, Target target)
    : kind_(kind), ordinal_(ordinal), name_(std::move(name)), target_(target) {}
Device::~Device() = default;
DeviceRates Device::rates() const { return {}; }

std::vector<std::string> Device::executable_targets() const {
  std::vector<std::string> names = target_names(); // ascending; "host" is another name of one of them
  names.erase(names.begin());
  std::ranges::reverse(names);
  std::erase_if(names, [&](const std::string &name) {
    const Result<Target> target = Target::parse(name);
    return !target || !can_execute(*target) || target->level == HostLevel::kV4AmxEmulated;
  });
  // First what this device is, with its own caches and without.
  for (const std::string &own : {target_.name(), target_.text()}) {
    std::erase(names, own);
    names.insert(names.begin(), own);
  }
  return names;
}

Result<Device *> Device::open(DeviceKind kind, int ordinal) {
  Registry &registry = Registry::instance();
  std::lock_guard lock(registry.mutex);
  auto found = registry.devices.find({kind, ordinal});
  if (found == registry.devices.end()) {
    TENON_ASSIGN_OR_RETURN(std::unique_ptr<Device> device, make_device(registry, kind, ordinal));
    found = registry.devices.emplace(std::pair(kind, ordinal), std::move(device)).first;
  }
  return found->second.get();
}

std::vector<DeviceStatus> list_devices() {
  std::vector<DeviceStatus> lines = {status_of(DeviceKind::kHost, 0)};
  for (DeviceKind kind : {DeviceKind::kCuda, DeviceKind::kEmulator})
    for (int ordinal = 0, count = count_devices(kind); ordinal < count; ++ordinal)
      lines.push_back(status_of(kind, ordinal));
  return lines;
}

namespace {

constexpr uint64_t kTensorAlignment = 256; // as cuMemAlloc aligns: a tensor's rows begin whole sectors

bool blocks_bytes(const LaunchDescription &launch, const LaunchSizes &sizes, uint64_t &bytes) {
  bytes = 0;
  for (const LaunchPhase &phase : launch.phases) {
    GridSize grid;
    uint64_t need = 0;
    if (!holds(phase.when, sizes))
      continue;
    if (!compute_grid(phase, sizes, grid) ||
        __builtin_mul_overflow(phase.workspace.bytes_per_block, uint64_t(grid.blocks()), &need) ||
        __builtin_add_overflow(need, phase.workspace.fixed_bytes, &need))
      return false;
    bytes = std::max(bytes, need);
  }
  return true;
}

// Appends a tensor at the next aligned byte: where it begins, and its sizes.
bool append_tensor(const WorkspaceTensor &tensor, const LaunchSizes &sizes, uint64_t &bytes,
                   uint64_t &begin, int64_t (&extents)[4]) {
  uint64_t need = sizeof(float);
  extents[3] = tensor.width;
  for (int i = 0; i < 3; ++i)
    if (!compute_extent(tensor.sizes[i], sizes, extents[i]))
      return false;
  for (int64_t extent : extents)
    if (extent > INT32_MAX || __builtin_mul_overflow(need, uint64_t(extent), &need))
      return false;
  begin = (bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  return begin >= bytes && !__builtin_add_overflow(begin, need, &bytes);
}

} // namespace

bool shared_workspace(const LaunchDescription &launch, const LaunchSizes &sizes, uint64_t &bytes) {
  if (!blocks_bytes(launch, sizes, bytes))
    return false;
  uint64_t begin = 0;
  int64_t extents[4] = {};
  return std::ranges::all_of(launch.workspace_tensors, [&](const WorkspaceTensor &tensor) {
    return !holds(tensor.when, sizes) || append_tensor(tensor, sizes, bytes, begin, extents);
  });
}

// Whether all phases have the grid's y and z, and what they hand on lies by batches and heads.
static bool has_parts(const LaunchDescription &launch, const LaunchSizes &sizes, GridSize &grid) {
  const GridExtent *y = nullptr, *z = nullptr;
  for (const LaunchPhase &phase : launch.phases) {
    if (!holds(phase.when, sizes))
      continue;
    if ((y && !(*y == phase.grid[1])) || (z && !(*z == phase.grid[2])) || !compute_grid(phase, sizes, grid))
      return false;
    y = &phase.grid[1], z = &phase.grid[2];
  }
  return y && std::ranges::all_of(launch.workspace_tensors, [](const WorkspaceTensor &tensor) {
           return tensor.sizes[0] == GridExtent{Dimension::kBatch} && tensor.sizes[1] == GridExtent{Dimension::kHeads};
         });
}

bool compute_parts(const LaunchDescription &launch, LaunchParts &parts) {
  if (!shared_workspace(launch, parts.sizes, parts.bytes))
    return false;
  GridSize grid;
  if (!has_parts(launch, parts.sizes, grid))
    return true;
  parts.y = parts.all_y = grid.y, parts.z = parts.all_z = grid.z;
  if (parts.bytes <= kMostSharedBytes || grid.y < 1 || grid.z < 1)
    return true;
  auto fitting = [&](uint64_t bytes_of_one, int64_t all) {
    return std::clamp(static_cast<int64_t>(kMostSharedBytes / std::max<uint64_t>(bytes_of_one, 1)), int64_t{1}, all);
  };
  const uint64_t of_batch = parts.bytes / static_cast<uint64_t>(grid.z);
  parts.z = fitting(of_batch, grid.z);
  if (parts.z == 1)
    parts.y = fitting(of_batch / static_cast<uint64_t>(grid.y), grid.y);
  int64_t &heads = parts.sizes.of[static_cast<int>(Dimension::kHeads)];
  heads = heads / grid.y * parts.y;
  parts.sizes.of[static_cast<int>(Dimension::kBatch)] = parts.z;
  return shared_workspace(launch, parts.sizes, parts.bytes);
}

void place_workspace_tensors(const LaunchDescription &launch, const LaunchSizes &sizes, void *area,
                             KernelArguments &arguments) {
  if (launch.workspace_tensors.empty())
    return;
  TensorArgument placed[kMaxTensorArguments] = {};
  TensorArgument *next = placed;
  uint64_t bytes = 0, begin = 0;
  int64_t extents[4] = {};
  blocks_bytes(launch, sizes, bytes);
  for (const WorkspaceTensor &tensor : launch.workspace_tensors) {
    if (!holds(tensor.when, sizes))
      continue;
    append_tensor(tensor, sizes, bytes, begin, extents);
    next->data = static_cast<char *>(area) + begin;
    int64_t stride = 1;
    for (int axis = 3; axis >= 0; --axis) {
      next->sizes[axis] = static_cast<int32_t>(extents[axis]);
      next->strides[axis] = stride;
      stride *= extents[axis];
    }
    ++next;
  }
  for (size_t slot = 0; slot < launch.tensors.size(); ++slot)
    if (launch.tensors[slot].role == TensorRole::kWorkspace)
      arguments.tensors[slot] = placed[launch.tensors[slot].index];
}

Error grid_error(const LaunchPhase &phase, const KernelArguments &arguments) {
  LaunchSizes sizes(arguments);
  for (size_t i = 0; i < std::size(kSizeNames); ++i)
    if (sizes.of[i] < 0)
      return Error::invalid_argument(kSizeNames[i], std::to_string(sizes.of[i]), "at least 0");
  return Error(
      ErrorCode::kUnsupported,
      concat("grid of ", phase.entry, ": these sizes give more blocks or workspace than 62 bits count"));
}

Error wrong_device(const LoadedKernel &kernel, const Device &device) {
  return Error(ErrorCode::kInvalidArgument,
               concat("kernel ", kernel.kernel(), " was loaded on ", name(kernel.device().kind()),
                      ":", kernel.device().ordinal(), " and cannot run on ", name(device.kind()),
                      ":", device.ordinal()));
}

std::string launch_line(const LoadedKernel &kernel, const LaunchPhase &phase, const GridSize &grid,
                        StreamHandle stream) {
  return concat(kernel.kernel(), " entry ", phase.entry, " on ", name(kernel.device().kind()), ":",
                kernel.device().ordinal(), ", ", grid.x, " x ", grid.y, " x ", grid.z,
                " blocks of ", phase.threads, " threads, stream 0x", hexadecimal(stream));
}

Result<uint64_t> workspace_of(const LaunchDescription &launch, const KernelArguments &arguments) {
  uint64_t bytes = 0;
  if (!launch.phases.empty() && !shared_workspace(launch, LaunchSizes(arguments), bytes))
    return grid_error(launch.phases.front(), arguments);
  return bytes;
}

bool runs(const LaunchPhase &phase, const KernelArguments &arguments) {
  return holds(phase.when, LaunchSizes(arguments));
}

Result<GridSize> grid_of(const LaunchPhase &phase, const KernelArguments &arguments) {
  GridSize grid;
  if (!compute_grid(phase, LaunchSizes(arguments), grid))
    return grid_error(phase, arguments);
  return grid;
}

} // namespace tenon
