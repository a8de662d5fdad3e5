#include "driver/Driver.h"
#include "driver/Graph.h"
#include <algorithm>
#include <utility>

namespace tenon::emulator {
namespace {
// cuda.h leaves the defaults open; these are those of drivers for the emulated cards.
constexpr size_t kDefaultLimits[kLimits] = {1024, 1 << 20, 8 << 20, 2, 2048, 64, 0};
thread_local CaptureMode capture_mode_of_thread = kCaptureGlobal;
} // namespace

ContextObject::ContextObject(uint64_t memory_bytes, unsigned context_flags)
    : memory(memory_bytes), flags(context_flags) {
  std::copy(std::begin(kDefaultLimits), std::end(kDefaultLimits), limits);
  id = Driver::instance().new_id();
  legacy.context = this;
  legacy.id = Driver::instance().new_id();
}

FunctionObject *ModuleObject::find(const std::string &name) const {
  for (const auto &function : functions)
    if (function->kernel->name == name)
      return function.get();
  return nullptr;
}

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

void Driver::forget(ContextObject *context) {
  for (auto &[key, library] : libraries)
    library->modules.erase(context);
}

uint64_t Driver::memory_used() const {
  uint64_t used = primary ? primary->memory.used() : 0;
  for (const auto &[key, context] : created)
    used += context->memory.used();
  return used;
}

CaptureMode exchange_capture_mode(CaptureMode mode) { return std::exchange(capture_mode_of_thread, mode); }

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

Call::Call(Device device) : Call(Needs::kInitialised) {
  if (status == kSuccess && device != 0)
    status = kInvalidDevice;
}

StreamObject *Call::stream(StreamObject *handle) const {
  auto number = reinterpret_cast<uintptr_t>(handle);
  if (number == kStreamDefault || number == kStreamLegacy)
    return &context->legacy;
  if (number == kStreamPerThread) {
    auto &mine = context->per_thread[std::this_thread::get_id()];
    if (!mine)
      mine = std::make_unique<StreamObject>(StreamObject{context, 0, 0, driver.new_id(), nullptr, {}});
    return mine.get();
  }
  return context->streams.count(handle) ? handle : nullptr;
}

bool Call::owns(const EventObject *event) const { return context->events.count(const_cast<EventObject *>(event)) != 0; }

FunctionObject *Call::function(FunctionObject *handle) const {
  if (context->functions.count(handle))
    return handle;
  auto *kernel = reinterpret_cast<KernelObject *>(handle);
  auto found = driver.kernels.find(kernel);
  if (found == driver.kernels.end())
    return nullptr;
  ModuleObject *module = nullptr;
  std::string log;
  if (library_module(*context, *driver.model, *found->second, module, log) != kSuccess)
    return nullptr;
  return module->find(kernel->name);
}

Status Call::forbid_in_capture() {
  if (capture_mode_of_thread == kCaptureRelaxed)
    return kSuccess;
  Status answer = kSuccess;
  for (const std::weak_ptr<Capture> &each : driver.captures) {
    std::shared_ptr<Capture> capture = each.lock();
    if (!capture || capture->mode == kCaptureRelaxed)
      continue;
    bool mine = capture->thread == std::this_thread::get_id();
    bool hurt = mine || (capture->mode == kCaptureGlobal && capture_mode_of_thread == kCaptureGlobal);
    if (!hurt)
      continue;
    capture->invalid = true;
    answer = kCaptureUnsupported;
  }
  return answer;
}

void Call::call_host(void (*function)(void *), void *data) {
  lock_.unlock();
  function(data);
  lock_.lock();
}

namespace {
struct StatusRow {
  int status;
  const char *name, *text;
};
constexpr StatusRow kStatuses[] = {
#define STATUS(number, name, text) {number, #name, text},
#include "driver/Statuses.def"
#undef STATUS
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
