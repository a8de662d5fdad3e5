/// What Tenon did, one line an event; nothing at all unless somebody asked.
///
/// `TENON_LOG=cache,launch` (or `all`) in the environment prints the named events to stderr, as
/// `tenon: cache: compiled 3f2a… attention_f16_d64 for sm_80 in 41.2 ms`. A host program takes the
/// lines itself with `set_log_sink`. While an event is off it costs one relaxed load. A word of TENON_LOG that is no
/// event is told once, when the library is loaded.
#pragma once

#include "tenon/Api.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

enum class LogEvent : uint8_t {
  kCache,  ///< a kernel was compiled, found, refused or evicted
  kPass,   ///< a pass of the compiler ran
  kLaunch, ///< a kernel was launched
};

TENON_API std::string_view name(LogEvent event);

/// A set of events; bit i stands for the event of that number.
using LogEvents = uint32_t;
inline constexpr LogEvents kAllLogEvents = 0b111;

/// Reads "cache,launch", "all" or "": names that are no event are left out, and given back in `unknown`.
TENON_API LogEvents parse_log_events(std::string_view names, std::vector<std::string> *unknown = nullptr);

/// Called with the event and one line without its end; from any thread, never from two at once.
using LogSink = std::function<void(LogEvent event, std::string_view line)>;

/// Sends these events to `sink`, or to stderr where it is empty. Takes the place of TENON_LOG.
TENON_API void set_log_sink(LogSink sink, LogEvents events = kAllLogEvents);

namespace detail {
TENON_API extern std::atomic<LogEvents> log_events;
TENON_API void write_log(LogEvent event, std::string_view line);
} // namespace detail

inline bool log_enabled(LogEvent event) {
  return (detail::log_events.load(std::memory_order_relaxed) >> static_cast<uint32_t>(event)) & 1;
}

/// Logs the text that `line` returns; it is called only where the event is on.
template <typename Line> void log(LogEvent event, Line &&line) {
  if (log_enabled(event)) [[unlikely]]
    detail::write_log(event, line());
}

} // namespace tenon
