#include "daemon/slurm_user.h"

#include <strings.h>

#include <charconv>

#include "base/files.h"

namespace slipway::daemon {

namespace {

// Calls `use(line)` for each line until it returns false.
template <class Use>
void each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (!use(text.substr(0, end))) return;
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::optional<uid_t> number(std::string_view text) {
  uid_t value = 0;
  const auto [stop, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (bad != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

std::string slurm_conf_value(std::string_view slurm_conf, std::string_view key, std::string_view fallback) {
  std::string found(fallback);
  each_line(slurm_conf, [&](std::string_view line) {
    line = trim(line.substr(0, line.find('#')));
    const auto equals = line.find('=');
    if (equals == std::string_view::npos) return true;
    const auto name = trim(line.substr(0, equals));
    if (name.size() != key.size() || strncasecmp(name.data(), key.data(), key.size()) != 0) return true;
    const auto value = trim(line.substr(equals + 1));
    found = std::string(value.substr(0, value.find_first_of(" \t(")));
    return true;
  });
  return found;
}

std::string slurm_user_of(std::string_view slurm_conf) {
  return slurm_conf_value(slurm_conf, "SlurmUser", "slurm");
}

std::optional<uid_t> uid_of(std::string_view passwd, std::string_view user) {
  std::optional<uid_t> found;
  each_line(passwd, [&](std::string_view line) {
    const auto name_end = line.find(':');
    if (name_end == std::string_view::npos || line.substr(0, name_end) != user) return true;
    const auto password_end = line.find(':', name_end + 1);
    if (password_end == std::string_view::npos) return true;
    const auto uid_end = line.find(':', password_end + 1);
    found =
        number(line.substr(password_end + 1, uid_end == std::string_view::npos ? uid_end : uid_end - password_end - 1));
    return !found.has_value();
  });
  if (!found) found = number(user);
  return found;
}

std::optional<uid_t> find_slurm_uid(const std::filesystem::path& slurm_conf, const std::filesystem::path& passwd) {
  const auto conf = read_file(slurm_conf);
  const auto users = read_file(passwd);
  if (!conf || !users) return std::nullopt;
  return uid_of(*users, slurm_user_of(*conf));
}

}  // namespace slipway::daemon
