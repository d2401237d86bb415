#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>

#include "base/clock.h"

namespace slipway {

namespace {

// A value beyond this is cut: a log line is for reading, whatever a program printed.
constexpr size_t value_max = 16 << 10;
// How long a line waits for a full, non-blocking stderr before the rest of it is dropped.
constexpr int stall_max_ms = 100;

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "debug";
    case LogLevel::info:
      return "info";
    case LogLevel::warning:
      return "warning";
    case LogLevel::error:
      return "error";
  }
  return "error";
}

LogLevel level_from_environment() {
  const char* text = std::getenv("SLIPWAY_LOG");
  const std::string_view wanted = text == nullptr ? "" : text;
  for (LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warning, LogLevel::error}) {
    if (wanted == level_name(level)) {
      return level;
    }
  }
  return LogLevel::info;
}

std::atomic<LogLevel>& level_now() {
  static std::atomic<LogLevel> level(level_from_environment());
  return level;
}

bool is_plain(std::string_view value) {
  if (value.empty() || value.size() > value_max) {
    return false;
  }
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f || c == '"' || c == '\\' || c == '=') {
      return false;
    }
  }
  return true;
}

void append_quoted(std::string& line, std::string_view value) {
  static constexpr char hex[] = "0123456789abcdef";
  line += '"';
  for (const char c : value.substr(0, value_max)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (c == '\t') {
      line += "\\t";
    } else if (byte < ' ' || byte == 0x7f) {
      line += "\\x";
      line += hex[byte >> 4];
      line += hex[byte & 15];
    } else {
      line += c;
    }
  }
  line += value.size() > value_max ? "...\"" : "\"";
}

void write_line(std::string_view line) {
  static std::mutex mutex;  // a line that takes several writes must not be torn by another thread's
  const std::lock_guard lock(mutex);
  while (!line.empty()) {
    const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
    if (written > 0) {
      line.remove_prefix(static_cast<size_t>(written));
    } else if (written < 0 && errno == EINTR) {
      continue;
    } else if (written < 0 && errno == EAGAIN) {
      pollfd wait{STDERR_FILENO, POLLOUT, 0};
      if (poll(&wait, 1, stall_max_ms) == 0) {
        return;
      }
    } else {
      return;
    }
  }
}

}  // namespace

void log_event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_now().load(std::memory_order_relaxed)) {
    return;
  }
  // The log is an edge: people compare its times with other programs', so it follows the system's clock when that is
  // set.
  std::string line = to_iso8601(std::chrono::floor<Duration>(std::chrono::system_clock::now()));
  line += ' ';
  line += level_name(level);
  line += ' ';
  line += event;
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    if (is_plain(field.value)) {
      line += field.value;
    } else {
      append_quoted(line, field.value);
    }
  }
  line += '\n';
  const int saved = errno;  // logging between a call and its errno must be harmless
  write_line(line);
  errno = saved;
}

void set_log_level(LogLevel level) {
  level_now().store(level, std::memory_order_relaxed);
}

}  // namespace slipway
