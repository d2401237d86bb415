#include "machines/accounts.h"

#include <algorithm>
#include <charconv>

namespace slipway::machines {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::optional<uint32_t> number(std::string_view text) {
  uint32_t value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  // The last id means "no change" to the kernel.
  if (value == static_cast<uint32_t>(-1)) return std::nullopt;
  return value;
}

}  // namespace

std::optional<Account> find_account(std::string_view passwd, std::string_view name) {
  for (std::string_view line : split(passwd, '\n')) {
    auto fields = split(line, ':');
    if (name.empty() || fields.size() != 7 || fields[0] != name) continue;
    auto uid = number(fields[2]);
    auto gid = number(fields[3]);
    if (!uid || !gid) continue;
    return Account{std::string(name), *uid, *gid, std::string(fields[5]), std::string(fields[6])};
  }
  return std::nullopt;
}

std::vector<gid_t> groups_of(std::string_view group, std::string_view name, gid_t primary) {
  std::vector<gid_t> groups = {primary};
  for (std::string_view line : split(group, '\n')) {
    auto fields = split(line, ':');
    if (fields.size() != 4) continue;
    auto gid = number(fields[2]);
    if (!gid || std::find(groups.begin(), groups.end(), *gid) != groups.end()) continue;
    auto members = split(fields[3], ',');
    if (std::find(members.begin(), members.end(), name) != members.end()) groups.push_back(*gid);
  }
  return groups;
}

}  // namespace slipway::machines
