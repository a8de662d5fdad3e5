// The state behind the driver API: one device, its contexts, what lives in them.
#pragma once
#include "decode/Program.h"
#include "driver/CudaAbi.h"
#include "driver/DeviceModel.h"
#include "memory/DeviceMemory.h"
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <unordered_map>
#include <unordered_set>

namespace tenon::emulator {

struct ModuleObject;

struct FunctionObject {
  ModuleObject *module = nullptr;
  const Kernel *kernel = nullptr;
  Program program;
  int max_dynamic_shared = kSharedPerBlock;
  int preferred_carveout = -1;
};

struct ModuleObject {
  Module ptx;
  std::vector<std::unique_ptr<FunctionObject>> functions;
  std::unordered_map<std::string, uint64_t> addresses; // of variables
};

/// Work runs when it is submitted: a stream only has an identity.
struct StreamObject {
  unsigned flags = 0;
  int priority = 0;
};
struct EventObject {
  unsigned flags = 0;
  bool recorded = false;
  std::chrono::steady_clock::time_point time;
};

struct ContextObject {
  explicit ContextObject(uint64_t memory_bytes) : memory(memory_bytes) {}
  DeviceMemory memory;
  Status sticky = kSuccess; // a kernel's fault: every later call returns it
  std::unordered_map<ModuleObject *, std::unique_ptr<ModuleObject>> modules;
  std::unordered_map<FunctionObject *, ModuleObject *> functions;
  std::unordered_map<StreamObject *, std::unique_ptr<StreamObject>> streams;
  std::unordered_map<EventObject *, std::unique_ptr<EventObject>> events;
  std::unordered_map<void *, size_t> host_memory;
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

  bool is_context(const ContextObject *context) const;
  /// This thread's stack of contexts; the last is current.
  static std::vector<ContextObject *> &stack();
  ContextObject *current() const;
};

/// What each entry begins with: takes the driver's lock, checks cuInit, the device, the current context, its health.
class Call {
public:
  enum class Needs { kNothing, kInitialised, kContext };
  explicit Call(Needs needs = Needs::kContext);
  /// kSuccess, or what the entry must return.
  Status status = kSuccess;
  Driver &driver;
  ContextObject *context = nullptr;

  bool owns(const StreamObject *stream) const; // the default streams 0, 1, 2 included
  bool owns(const EventObject *event) const;

private:
  std::unique_lock<std::recursive_mutex> lock_;
};

#define TENON_BEGIN(...)                                                                                               \
  Call call{__VA_ARGS__};                                                                                              \
  if (call.status != kSuccess)                                                                                         \
  return call.status

/// Loads PTX text into a context. The log says what was refused.
Status load_module(ContextObject &context, const DeviceModel &model, const char *image, ModuleObject *&module,
                   std::string &log);

/// Name and text of a status, or nullptr.
const char *status_name(int status);
const char *status_text(int status);

} // namespace tenon::emulator
