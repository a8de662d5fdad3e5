#include "tenon/Log.h"

#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <mutex>

namespace tenon {
namespace {

constexpr std::string_view kEventNames[] = {"cache", "pass", "launch"};
static_assert((1u << std::size(kEventNames)) - 1 == kAllLogEvents);

// Never destroyed: threads may log while the process ends.
struct Output {
  std::mutex mutex;
  LogSink sink;
};

Output &output() {
  static Output *instance = new Output;
  return *instance;
}

LogEvents events_of_environment() {
  const char *names = std::getenv("TENON_LOG");
  return names ? parse_log_events(names) : 0;
}

// Set by a log line while it is being written, so that a sink that itself uses Tenon does not
// deadlock.
thread_local bool writing = false;

} // namespace

std::atomic<LogEvents> detail::log_events{events_of_environment()};

std::string_view name(LogEvent event) {
  return kEventNames[static_cast<size_t>(event)];
}

LogEvents parse_log_events(std::string_view names) {
  LogEvents events = 0;
  while (!names.empty()) {
    size_t comma = names.find(',');
    std::string_view one = names.substr(0, comma);
    if (one == "all")
      events |= kAllLogEvents;
    for (size_t i = 0; i < std::size(kEventNames); ++i)
      if (one == kEventNames[i])
        events |= 1u << i;
    names = comma == std::string_view::npos ? std::string_view{} : names.substr(comma + 1);
  }
  return events;
}

void set_log_sink(LogSink sink, LogEvents events) {
  std::lock_guard lock(output().mutex);
  output().sink = std::move(sink);
  detail::log_events.store(events & kAllLogEvents, std::memory_order_relaxed);
}

void detail::write_log(LogEvent event, std::string_view line) {
  if (writing)
    return;
  std::lock_guard lock(output().mutex);
  writing = true;
  struct Done {
    ~Done() { writing = false; }
  } done;
  if (output().sink) {
    output().sink(event, line);
    return;
  }
  std::string_view event_name = name(event);
  std::fprintf(stderr, "tenon: %.*s: %.*s\n", static_cast<int>(event_name.size()),
               event_name.data(), static_cast<int>(line.size()), line.data());
}

} // namespace tenon
