// The state behind the driver API: one device, its contexts, what lives in them.
#pragma once
#include "decode/Program.h"
#include "driver/CudaStructs.h"
#include "driver/DeviceModel.h"
#include "memory/DeviceMemory.h"
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>

namespace tenon::emulator {

struct Capture;

struct FunctionObject {
  ModuleObject *module = nullptr;
  const Kernel *kernel = nullptr;
  Program program;
  int max_dynamic_shared = kSharedPerBlock;
  int preferred_carveout = -1;
  uint32_t registers = 0; // a thread's: what the program needs, or the limit of its assembly
};

struct ModuleObject {
  Module ptx;
  std::vector<std::unique_ptr<FunctionObject>> functions;
  std::unordered_map<std::string, uint64_t> addresses; // of variables

  FunctionObject *find(const std::string &name) const;
};

/// A kernel of a library: a function in each context that has asked for it.
struct KernelObject {
  LibraryObject *library = nullptr;
  std::string name;
  std::unordered_map<int, int> attributes; // set for every context
};
/// Code that belongs to no context: a module is made of it in each context that uses it.
struct LibraryObject {
  std::string image;
  uint32_t most_registers = 0; // 0: no limit was asked for
  std::vector<std::unique_ptr<KernelObject>> kernels;
  std::unordered_map<ContextObject *, ModuleObject *> modules;
};

/// Work runs when it is submitted: a stream has an identity, and a capture while there is one.
struct StreamObject {
  ContextObject *context = nullptr;
  unsigned flags = 0;
  int priority = 0;
  uint64_t id = 0;
  std::shared_ptr<Capture> capture;
  std::vector<NodeObject *> frontier; // what the next captured work depends on
  AttributeValues attributes{};
  bool blocking() const { return !(flags & kNonBlocking); }
  static constexpr unsigned kNonBlocking = 1; // CU_STREAM_NON_BLOCKING
};
struct EventObject {
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
  std::shared_ptr<Capture> capture; // of the stream that it was recorded in last
  std::vector<NodeObject *> frontier;
};

/// Stream-ordered allocations are made of device memory as all are; a pool keeps count.
struct PoolObject {
  size_t most_bytes = 0; // 0: the card's memory
  uint64_t release_threshold = 0;
  int reuse[3] = {1, 1, 1};
  uint64_t used = 0, used_high = 0, reserved = 0, reserved_high = 0;
};

struct ContextObject {
  ContextObject(uint64_t memory_bytes, unsigned flags);
  DeviceMemory memory;
  unsigned flags = 0;
  unsigned version = 3020; // cuCtxGetApiVersion
  uint64_t id = 0;
  size_t limits[kLimits];
  int cache_preference = 0, shared_bank = 0;
  Status sticky = kSuccess; // a kernel's fault: every later call returns it
  StreamObject legacy;
  std::unordered_map<std::thread::id, std::unique_ptr<StreamObject>> per_thread;
  std::unordered_map<ModuleObject *, std::unique_ptr<ModuleObject>> modules;
  std::unordered_map<FunctionObject *, ModuleObject *> functions;
  std::unordered_map<StreamObject *, std::unique_ptr<StreamObject>> streams;
  std::unordered_map<EventObject *, std::unique_ptr<EventObject>> events;
};

class Driver {
public:
  static Driver &instance();

  std::recursive_mutex mutex;
  const DeviceModel *model = nullptr; // set by cuInit
  std::unique_ptr<ContextObject> primary;
  int primary_references = 0;
  unsigned primary_flags = 0;
  std::unordered_map<ContextObject *, std::unique_ptr<ContextObject>> created;
  std::unordered_map<LibraryObject *, std::unique_ptr<LibraryObject>> libraries;
  std::unordered_map<KernelObject *, LibraryObject *> kernels;
  std::unordered_map<LinkObject *, std::shared_ptr<LinkObject>> links;
  std::unordered_map<GraphObject *, std::shared_ptr<GraphObject>> graphs;
  std::unordered_map<ExecutableObject *, std::shared_ptr<ExecutableObject>> executables;
  std::unordered_map<PoolObject *, std::unique_ptr<PoolObject>> pools;
  PoolObject default_pool;
  PoolObject *current_pool = &default_pool;
  std::vector<std::weak_ptr<Capture>> captures; // that have begun and not ended

  bool is_context(const ContextObject *context) const;
  /// Before a context goes: nothing may keep what lives in it.
  void forget(ContextObject *context);
  uint64_t memory_used() const; // in all contexts
  uint64_t new_id() { return ++last_id_; }
  /// This thread's stack of contexts; the last is current.
  static std::vector<ContextObject *> &stack();
  ContextObject *current() const;

private:
  uint64_t last_id_ = 0;
};

/// What each entry begins with: takes the driver's lock, checks cuInit, the device, the current context, its health.
class Call {
public:
  enum class Needs { kNothing, kInitialised, kContext };
  explicit Call(Needs needs = Needs::kContext);
  explicit Call(Device device); // needs the device
  /// kSuccess, or what the entry must return.
  Status status = kSuccess;
  Driver &driver;
  ContextObject *context = nullptr;

  /// The stream of a handle, the default streams 0, 1 and 2 included; nullptr where there is none.
  StreamObject *stream(StreamObject *handle) const;
  bool owns(const EventObject *event) const;
  /// The function of a handle, which may be a kernel's; nullptr where there is none.
  FunctionObject *function(FunctionObject *handle) const;
  /// For what a capture does not allow (allocation, waiting for the device): invalidates the captures that it would
  /// hurt.
  Status forbid_in_capture();
  /// Calls the program's function without the lock.
  void call_host(void (*function)(void *), void *data);

private:
  std::unique_lock<std::recursive_mutex> lock_;
};

#define TENON_BEGIN(...)                                                                                               \
  Call call{__VA_ARGS__};                                                                                              \
  if (call.status != kSuccess)                                                                                         \
  return call.status

/// The handles of the default streams: the legacy one by two names, and one a thread.
inline constexpr uintptr_t kStreamDefault = 0, kStreamLegacy = 1, kStreamPerThread = 2;
inline constexpr int kGreatestPriority = -5; // of a stream; the least is 0

/// Loads PTX text, or the PTX of a fat binary, into a context. The log says what was refused.
Status load_module(ContextObject &context, const DeviceModel &model, const void *image, uint32_t most_registers,
                   ModuleObject *&module, std::string &log);
void unload_module(ContextObject &context, ModuleObject *module);
/// The module of a library in a context, made where it is not there yet.
Status library_module(ContextObject &context, const DeviceModel &model, LibraryObject &library, ModuleObject *&module,
                      std::string &log);
/// Blocks of so many threads that a multiprocessor holds.
int active_blocks(const FunctionObject &function, const DeviceModel &model, int threads, size_t dynamic_shared);
int function_attribute(const FunctionObject &function, const DeviceModel &model, int attribute);
Status set_function_attribute(FunctionObject &function, const DeviceModel &model, int attribute, int value);

/// What captures this thread heeds (cuThreadExchangeStreamCaptureMode); returns what it was.
CaptureMode exchange_capture_mode(CaptureMode mode);

/// Name and text of a status, or nullptr.
const char *status_name(int status);
const char *status_text(int status);

} // namespace tenon::emulator
