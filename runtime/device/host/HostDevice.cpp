#include "device/host/HostDevice.h"

#include "device/Launch.h"
#include "device/Text.h"
#include "device/host/ExecutableMemory.h"
#include "device/host/Workspace.h"
#include "tenon/FloatingPointMode.h"
#include "tenon/Log.h"
#include "tenon/Parallel.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tenon {
namespace {

constexpr size_t kAlignment = 64;

struct HostKernel final : LoadedKernel {
  HostKernel(const Device &device, const KernelImage &image, std::string section,
             ExecutableMemory memory)
      : LoadedKernel(device, image.kernel, image.launch, std::move(section)),
        code(std::move(memory)) {
    for (const LaunchPhase &phase : image.launch.phases)
      entries.push_back(reinterpret_cast<HostEntry>(
          reinterpret_cast<uintptr_t>(code.data() + phase.code_offset)));
  }
  ExecutableMemory code;
  std::vector<HostEntry> entries; // one a phase
};

struct Block {
  int32_t x, y, z;
};

// Blocks in the order in which they start. The axis of the query blocks runs fastest, so that
// neighbours in time read the same keys, and from its end: under a causal mask the last block is
// the longest.
class BlockOrder {
public:
  BlockOrder(const LaunchPhase &phase, const GridSize &grid) : extents_{grid.x, grid.y, grid.z} {
    for (int axis = 2; axis >= 0; --axis)
      if (phase.grid[axis].dimension == Dimension::kQueryLength)
        query_axis_ = axis;
    if (query_axis_ > 0)
      std::swap(axes_[0], axes_[query_axis_]);
    if (query_axis_ == 2)
      std::swap(axes_[1], axes_[2]); // y, x → x, y: the remaining axes keep their order
  }

  Block operator[](int64_t index) const {
    int64_t position[3];
    for (int axis : axes_) {
      position[axis] = index % extents_[axis];
      index /= extents_[axis];
    }
    if (query_axis_ >= 0)
      position[query_axis_] = extents_[query_axis_] - 1 - position[query_axis_];
    return {static_cast<int32_t>(position[0]), static_cast<int32_t>(position[1]),
            static_cast<int32_t>(position[2])};
  }

private:
  int64_t extents_[3];
  int axes_[3] = {0, 1, 2}; // fastest first
  int query_axis_ = -1;
};

// What blocks keep in a thread's workspace is of one phase of one launch.
void begin_phase(void *workspace, uint64_t run) {
  static thread_local uint64_t last_run = 0;
  if (std::exchange(last_run, run) != run)
    std::memset(workspace, 0, kOwnWorkspaceBytes);
}

// Multiply-adds that a thread does in the time, some 10 us, that another takes to wake up.
constexpr double kSmallLaunch = 1 << 19;
constexpr double kLeastQueries = 4;    // of a block: fewer take as long
constexpr int64_t kSmallBlocks = 16;   // each has work of its own beside its pairs

bool is_small(const KernelArguments &arguments, int64_t blocks) {
  if (blocks > kSmallBlocks)
    return false;
  double queries = std::max<double>(arguments.query_length, kLeastQueries);
  double pairs = double{1} * arguments.batch * arguments.heads * queries * arguments.key_length;
  double width = arguments.tensors[0].sizes[3]; // of a query, where it is given
  return width > 0 && 2 * width * pairs <= kSmallLaunch;
}

// Of the grid's heads and batches those from a place on.
struct GridPart {
  int64_t first_y = 0, first_z = 0;
};

// That each thread has to itself.
size_t thread_workspace(const LaunchPhase &phase) {
  return phase.workspace.fixed_bytes + phase.workspace.bytes_per_block;
}

// For each thread of the arena, and for a caller from outside it.
int threads_with_workspace() {
  return parallel_concurrency() + 1;
}

// False where a thread got no workspace.
bool run_phase(HostEntry entry, const LaunchPhase &phase, const GridSize &grid, const GridPart &part,
               const KernelArguments &arguments) {
  const size_t bytes = thread_workspace(phase);
  static std::atomic<uint64_t> runs{0};
  const uint64_t number = runs.fetch_add(1, std::memory_order_relaxed) + 1;
  std::atomic<bool> exhausted{false};
  auto run = [&](Block block) {
    void *workspace = workspace::of_thread(bytes);
    if (bytes != 0 && !workspace) [[unlikely]] {
      exhausted.store(true, std::memory_order_relaxed);
      return;
    }
    if (bytes != 0)
      begin_phase(workspace, number);
    const FloatingPointMode mode(Subnormals::kFlushed); // subnormal numbers cost a hundred cycles each
    entry(&arguments, workspace, block.x, block.y + static_cast<int32_t>(part.first_y),
          block.z + static_cast<int32_t>(part.first_z));
  };
  int64_t blocks = grid.blocks();
  if (blocks == 1) {
    run({0, 0, 0});
  } else if (blocks > 1) {
    BlockOrder order(phase, grid);
    auto run_at = [&](int64_t index) { run(order[index]); };
    if (is_small(arguments, blocks))
      for (int64_t index = 0; index < blocks; ++index)
        run_at(index);
    else
      parallel_for(blocks, run_at);
  }
  return !exhausted.load(std::memory_order_relaxed);
}

// Whether more than one phase runs, so that one may leave something to the next.
bool has_several(const std::vector<LaunchPhase> &phases, const LaunchSizes &sizes) {
  return phases.size() > 1 && std::ranges::count_if(phases, [&](const LaunchPhase &phase) {
                                return holds(phase.when, sizes);
                              }) > 1;
}

// What launches of some sizes need.
struct Needs {
  size_t of_thread = 0, shared = 0; ///< bytes; what is shared counts a thread's too
};
Result<Needs> needs_of(const LaunchDescription &launch, const KernelArguments &arguments) {
  Needs needs;
  LaunchParts parts{LaunchSizes(arguments)};
  for (const LaunchPhase &phase : launch.phases) {
    GridSize grid;
    if (!holds(phase.when, parts.sizes))
      continue;
    if (!compute_grid(phase, parts.sizes, grid))
      return grid_error(phase, arguments);
    needs.of_thread = std::max(needs.of_thread, thread_workspace(phase));
  }
  if (!has_several(launch.phases, parts.sizes))
    return needs;
  if (!compute_parts(launch, parts))
    return grid_error(launch.phases.front(), arguments);
  needs.shared = parts.bytes;
  return needs;
}

// Places what the phases of a part hand on as if that of all heads and batches lay there.
void place_part(const LaunchDescription &launch, const LaunchParts &parts, const GridPart &part, void *area,
                KernelArguments &arguments) {
  place_workspace_tensors(launch, parts.sizes, area, arguments);
  const int64_t heads_of_y = parts.sizes.of[static_cast<int>(Dimension::kHeads)] / parts.y;
  for (size_t slot = 0; slot < launch.tensors.size(); ++slot)
    if (launch.tensors[slot].role == TensorRole::kWorkspace) {
      TensorArgument &tensor = arguments.tensors[slot];
      const int64_t before = part.first_z * tensor.strides[0] + part.first_y * heads_of_y * tensor.strides[1];
      tensor.data = reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(tensor.data) - uintptr_t(before) * sizeof(float));
    }
}

Error out_of_workspace(const LaunchPhase &phase) {
  return Error(ErrorCode::kOutOfMemory,
               concat("workspace of ", phase.entry, ": ", thread_workspace(phase),
                      " bytes a thread cannot be allocated"));
}

// All phases, of a part or, without `parts`, of all heads and batches.
Result<void> launch_part(const HostKernel &host, const LaunchParts *parts, const GridPart &part,
                         KernelArguments &arguments) {
  const std::vector<LaunchPhase> &phases = host.description().phases;
  const LaunchSizes sizes(arguments);
  arguments.phase = 0;
  for (size_t i = 0; i < phases.size(); ++i) {
    GridSize grid;
    if (!holds(phases[i].when, sizes))
      continue;
    if (!compute_grid(phases[i], sizes, grid))
      return grid_error(phases[i], arguments);
    if (parts) {
      grid.y = std::min(parts->y, parts->all_y - part.first_y);
      grid.z = std::min(parts->z, parts->all_z - part.first_z);
    }
    log(LogEvent::kLaunch, [&] { return launch_line(host, phases[i], grid, 0); });
    if (!run_phase(host.entries[i], phases[i], grid, part, arguments))
      return out_of_workspace(phases[i]);
    ++arguments.phase;
  }
  return {};
}

} // namespace

Result<std::unique_ptr<Device>> HostDevice::open() {
  Result<Target> target = Target::parse("host");
  if (!target)
    return target.error();
  return std::unique_ptr<Device>(std::make_unique<HostDevice>(*target));
}

HostDevice::HostDevice(Target target)
    : Device(DeviceKind::kHost, 0, host_features().processor, target) {}

Result<void> HostDevice::can_execute(const Target &target) const {
  return tenon::can_execute(target);
}

Result<void *> HostDevice::allocate(size_t bytes) {
  if (bytes == 0)
    return static_cast<void *>(nullptr);
  size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void *memory = rounded < bytes ? nullptr : std::aligned_alloc(kAlignment, rounded);
  if (!memory)
    return Error(ErrorCode::kOutOfMemory, concat("host: ", bytes, " bytes cannot be allocated"));
  return memory;
}

Result<void> HostDevice::free(void *memory) {
  std::free(memory);
  return {};
}

Result<void> HostDevice::copy(void *to, const void *from, size_t bytes, CopyDirection,
                              StreamHandle) {
  if (bytes != 0)
    std::memmove(to, from, bytes);
  return {};
}

Result<std::shared_ptr<const LoadedKernel>> HostDevice::load(const KernelImage &image) {
  std::string refused;
  for (const ImageSection &section : image.sections) {
    Result<Target> target = Target::parse(section.target);
    Result<void> executes = target ? can_execute(*target) : Result<void>(target.error());
    if (section.kind != SectionKind::kHostCode || !executes) {
      refused += concat("\n  ", section.target, ": ",
                        executes ? std::string("it is no host code") : executes.error().message());
      continue;
    }
    for (const LaunchPhase &phase : image.launch.phases)
      if (phase.code_offset >= section.bytes.size())
        return Error(ErrorCode::kInvalidArgument, concat("kernel image ", image.kernel, ": entry ",
                                                         phase.entry, " lies outside the code"));
    Result<ExecutableMemory> memory = ExecutableMemory::make(section.bytes);
    if (!memory)
      return memory.error();
    return std::shared_ptr<const LoadedKernel>(
        std::make_shared<HostKernel>(*this, image, section.target, std::move(*memory)));
  }
  return Error(ErrorCode::kUnsupported,
               concat("kernel image ", image.kernel, " holds no section that the host executes",
                      refused.empty() ? std::string(": it has none") : refused));
}

Result<void> HostDevice::prepare(const LoadedKernel &kernel, const KernelArguments &arguments,
                                 StreamHandle) {
  TENON_ASSIGN_OR_RETURN(const Needs needs, needs_of(kernel.description(), arguments));
  // What is shared lies in an area that would do for a thread, too: one more of these.
  const int shared = needs.shared != 0 ? 1 : 0;
  TENON_TRY(workspace::reserve(needs.shared, shared));
  return workspace::reserve(needs.of_thread, threads_with_workspace() + shared);
}

Result<uint64_t> host_workspace_of(const LaunchDescription &launch, const KernelArguments &arguments) {
  TENON_ASSIGN_OR_RETURN(const Needs needs, needs_of(launch, arguments));
  return static_cast<uint64_t>(threads_with_workspace()) * needs.of_thread + needs.shared;
}

Result<void> HostDevice::launch(const LoadedKernel &kernel, KernelArguments &arguments,
                                StreamHandle) {
  if (&kernel.device() != this)
    return wrong_device(kernel, *this);
  const HostKernel &host = static_cast<const HostKernel &>(kernel);
  const std::vector<LaunchPhase> &phases = host.description().phases;
  LaunchSizes sizes(arguments);
  if (!has_several(phases, sizes))
    return launch_part(host, nullptr, {}, arguments);
  LaunchParts parts(sizes);
  if (!compute_parts(host.description(), parts))
    return grid_error(phases.front(), arguments);
  const workspace::Lease lease(parts.bytes);
  arguments.workspace = lease.data();
  if (parts.bytes != 0 && !arguments.workspace)
    return Error(ErrorCode::kOutOfMemory,
                 concat("workspace: ", parts.bytes, " bytes cannot be allocated on the host"));
  for (int64_t z = 0; z < parts.all_z; z += parts.z)
    for (int64_t y = 0; y < parts.all_y; y += parts.y) {
      place_part(host.description(), parts, {y, z}, arguments.workspace, arguments);
      TENON_TRY(launch_part(host, parts.is_split() ? &parts : nullptr, {y, z}, arguments));
    }
  return {};
}

Result<void> HostDevice::synchronise(StreamHandle) {
  return {};
}

} // namespace tenon
