#include "tenon/Log.h"

#include <algorithm>
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
  if (!names)
    return 0;
  std::vector<std::string> unknown;
  const LogEvents events = parse_log_events(names, &unknown);
  for (const std::string &word : unknown)
    std::fprintf(stderr,
                 "tenon: warning: TENON_LOG holds '%s', which is no event; there are cache, pass, "
                 "launch and all\n",
                 word.c_str());
  return events;
}

// Set by a log line while it is being written, so that a sink that itself uses Tenon does not
// deadlock.
thread_local bool writing = false;

} // namespace

std::atomic<LogEvents> detail::log_events{events_of_environment()};

std::string_view name(LogEvent event) {
  return kEventNames[static_cast<size_t>(event)];
}

static LogEvents events_called(std::string_view name) {
  if (name == "all")
    return kAllLogEvents;
  const auto *found = std::ranges::find(kEventNames, name);
  return found == std::end(kEventNames) ? 0 : 1u << (found - kEventNames);
}

LogEvents parse_log_events(std::string_view names, std::vector<std::string> *unknown) {
  LogEvents events = 0;
  while (!names.empty()) {
    size_t comma = names.find(',');
    std::string_view one = names.substr(0, comma);
    const LogEvents called = events_called(one);
    if (unknown && called == 0 && !one.empty())
      unknown->emplace_back(one);
    events |= called;
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
