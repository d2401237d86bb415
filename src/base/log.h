// Log lines with a stable event name and fields: one line per state transition.
//
//   log_info("node_bound", {{"node", name}, {"instance", id}});
//
// prints `2026-03-01T12:00:00.250Z info node_bound node=cpu-0001 instance=i-4f` to stderr. `error` means that a person
// must act. Values with spaces, quotes or control characters are quoted and escaped, so that one event is always one
// line. Thread-safe.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>

namespace slipway {

enum class LogLevel { debug, info, warning, error };

struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
};

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);
inline void log_debug(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::debug, e, f);
}
inline void log_info(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::info, e, f);
}
inline void log_warning(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::warning, e, f);
}
inline void log_error(std::string_view e, std::initializer_list<LogField> f = {}) {
  log_event(LogLevel::error, e, f);
}

// Lines below this level are dropped. Default: info, or the level named by the environment variable SLIPWAY_LOG.
void set_log_level(LogLevel level);

}  // namespace slipway
