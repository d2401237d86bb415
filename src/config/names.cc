#include "config/names.h"

#include <algorithm>
#include <array>
#include <vector>

#include "config/problems.h"
#include "config/units.h"
#include "config/words.h"

namespace slipway::config {
namespace {

constexpr size_t name_max = 32;

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '_' || c == '.' || c == '-';
}

template <class Predicate>
bool all(std::string_view text, Predicate predicate) {
  return std::all_of(text.begin(), text.end(), predicate);
}

// Names that become parts of host names: small letters, digits and '-'.
std::string label_trouble(std::string_view name) {
  const std::string expected =
      "; expected small letters, digits and '-', a letter first, at most " + std::to_string(name_max) + " of them";
  if (name.empty()) return "the name is empty" + expected;
  if (name.size() > name_max) return show(name) + " is too long" + expected;
  auto fits = [](char c) { return is_lower(c) || is_digit(c) || c == '-'; };
  if (!is_lower(name[0]) || !all(name, fits)) return show(name) + " is not a usable name" + expected;
  if (name.back() == '-') return show(name) + " ends in '-', which no host name may; drop it";
  return "";
}

// Accounts that Debian and Slurm have already: the machines would end up with two of one name.
constexpr std::array<std::string_view, 29> system_users = {"root",
                                                           "daemon",
                                                           "bin",
                                                           "sys",
                                                           "sync",
                                                           "games",
                                                           "man",
                                                           "lp",
                                                           "mail",
                                                           "news",
                                                           "uucp",
                                                           "proxy",
                                                           "www-data",
                                                           "backup",
                                                           "list",
                                                           "irc",
                                                           "gnats",
                                                           "nobody",
                                                           "nogroup",
                                                           "slurm",
                                                           "munge",
                                                           "sshd",
                                                           "messagebus",
                                                           "_apt",
                                                           "polkitd",
                                                           "ntp",
                                                           "systemd-network",
                                                           "systemd-resolve",
                                                           "systemd-timesync"};

// Folders that a machine needs for itself; nothing may be mounted over them or below.
constexpr std::array<std::string_view, 18> system_trees = {
    "/proc",  "/sys",   "/dev",  "/run",    "/etc",     "/usr",     "/bin",         "/sbin",      "/lib",
    "/lib32", "/lib64", "/boot", "/libx32", "/var/log", "/var/run", "/opt/slipway", "/var/spool", "/var/lib"};
// Folders below which a mount is fine.
constexpr std::array<std::string_view, 6> system_folders = {"/", "/var", "/opt", "/tmp", "/root", "/var/tmp"};

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t start = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || text[i] == separator) {
      parts.push_back(text.substr(start, i - start));
      start = i + 1;
    }
  }
  return parts;
}

}  // namespace

std::string cluster_name_trouble(std::string_view name) {
  return label_trouble(name);
}

std::string pool_name_trouble(std::string_view name) {
  if (std::string trouble = label_trouble(name); !trouble.empty()) return trouble;
  size_t digits = 0;
  while (digits < name.size() && is_digit(name[name.size() - 1 - digits])) ++digits;
  if (digits > 0 && digits < name.size() && name[name.size() - 1 - digits] == '-') {
    return show(name) + " ends in '-' and a number, as node names do (cpu-0001); choose another name, for example '" +
           std::string(name.substr(0, name.size() - digits - 1)) + std::string(name.substr(name.size() - digits)) + "'";
  }
  if (name == "controller" || name == "login") {
    return show(name) + " is the name of a machine's role; choose another name for the pool";
  }
  return "";
}

std::string partition_name_trouble(std::string_view name) {
  const std::string expected =
      "; expected letters, digits, '_', '-' and '.', a letter or digit first, at most 64 of them";
  if (name.empty()) return "the name is empty" + expected;
  if (name.size() > 64) return show(name) + " is too long" + expected;
  if (!all(name, is_word) || (!is_letter(name[0]) && !is_digit(name[0])))
    return show(name) + " is not a usable name" + expected;
  if (equal_ignoring_case(name, "default")) {
    return show(name) +
           " can't be a partition's name: slurm.conf means presets for all partitions by it; choose another name and "
           "mark the partition "
           "with 'default: true'";
  }
  return "";
}

std::string user_name_trouble(std::string_view name) {
  auto fits = [](char c) { return is_lower(c) || is_digit(c) || c == '-' || c == '_'; };
  if (name.empty() || name.size() > name_max || (!is_lower(name[0]) && name[0] != '_') || !all(name, fits)) {
    return show(name) +
           " is not a Unix user name; expected small letters, digits, '_' and '-', a letter first, at most " +
           std::to_string(name_max) + " of them";
  }
  if (std::find(system_users.begin(), system_users.end(), name) != system_users.end() || name.starts_with("systemd-")) {
    return show(name) + " is an account that the machines have already; choose another name";
  }
  return "";
}

std::string storage_name_trouble(std::string_view name) {
  return label_trouble(name);
}

std::string feature_trouble(std::string_view feature) {
  if (feature.empty() || feature.size() > 64 || !all(feature, is_word)) {
    return show(feature) +
           " is not a feature; expected letters, digits, '_', '.' and '-' (jobs ask for it by --constraint)";
  }
  return "";
}

std::string offer_trouble(std::string_view name, std::string_view what) {
  bool usable = !name.empty() && name.size() <= 64 && (is_letter(name[0]) || is_digit(name[0])) && all(name, is_word);
  if (usable) return "";
  return join({show(name), " is not a ", what,
               "; expected letters, digits, '_', '.' and '-', a letter or digit first, at most 64 of them"});
}

std::string mount_trouble(std::string_view mount) {
  auto fits = [](char c) { return is_word(c) || c == '/'; };
  if (!mount.starts_with('/') || mount.size() > 255 || !all(mount, fits)) {
    return show(mount) +
           " is not a place to mount; expected an absolute path like /home, of letters, digits, '_', '.', '-' and '/'";
  }
  auto parts = split(mount.substr(1), '/');
  auto empty = [](std::string_view part) { return part.empty() || part == "." || part == ".."; };
  if (mount != "/" && std::any_of(parts.begin(), parts.end(), empty)) {
    return show(mount) + " has empty parts or dots; expected a plain absolute path like /home";
  }
  for (std::string_view tree : system_trees) {
    if (mount == tree || (mount.starts_with(tree) && mount[tree.size()] == '/')) {
      return show(mount) + " lies in " + std::string(tree) +
             ", which the machines need for themselves; choose another place, for example /srv/" +
             std::string(parts.back());
    }
  }
  if (std::find(system_folders.begin(), system_folders.end(), mount) != system_folders.end()) {
    return show(mount) +
           " is a folder that the machines need for themselves; choose another place, for example /srv/data";
  }
  return "";
}

std::string host_name_trouble(std::string_view name) {
  auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; };
  if (name.empty() || name.size() > 63 || !all(name, fits) || !(is_letter(name[0]) || is_digit(name[0]))) {
    return show(name) + " is not a host name; expected letters, digits, '-' and '.', at most 63 of them";
  }
  if (equal_ignoring_case(name, "default") || equal_ignoring_case(name, "all")) {
    return show(name) + " has a meaning of its own in slurm.conf; no node can be named so";
  }
  return "";
}

Result<std::string> parse_gres(std::string_view text) {
  auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::bad_config, show(text) + " is not a GRES: " + why +
                                           "; expected name:count or name:type:count, like gpu:2 or gpu:a100:4");
  };
  auto is_name = [](char c) { return is_letter(c) || is_digit(c) || c == '_'; };
  if (text.size() > 128) return refuse("it is too long");
  auto parts = split(text, ':');
  if (parts[0].empty() || !is_letter(parts[0][0]) || !all(parts[0], is_name))
    return refuse("the name is missing or malformed");
  std::string out(parts[0]);
  size_t next = 1;
  auto is_count = [](std::string_view part) { return !part.empty() && is_digit(part[0]); };
  if (next < parts.size() && parts[next] != "no_consume" && !is_count(parts[next])) {
    if (parts[next].empty() || !all(parts[next], is_word)) return refuse("the type is malformed");
    out += ":" + std::string(parts[next++]);
  } else if (next + 1 < parts.size() && is_count(parts[next]) && all(parts[next], is_word)) {
    out += ":" + std::string(parts[next++]);  // a type may begin with a digit when a count follows: gpu:1g.5gb:7
  }
  if (next < parts.size() && parts[next] == "no_consume") {
    out += ":no_consume";
    ++next;
  }
  std::string_view count = next < parts.size() ? parts[next++] : "1";
  if (next != parts.size()) return refuse("it has too many parts");
  std::string_view digits = count;
  if (!digits.empty() && std::string_view("KMGTP").find(digits.back()) != std::string_view::npos)
    digits.remove_suffix(1);
  auto number = digits.size() <= 9 ? parse_digits(digits) : std::nullopt;
  if (!number) return refuse("the count is no number");
  if (*number == 0) return refuse("a count of 0 is nothing");
  return out + ":" + std::string(count);
}

std::string gres_kind(std::string_view gres) {
  return std::string(gres.substr(0, gres.rfind(':')));
}

Result<uint32_t> subnet_machines(std::string_view subnet) {
  auto refuse = [&](const std::string& why) {
    return fail(
        ErrorCode::bad_config,
        show(subnet) + " is not a usable subnet: " + why +
            "; expected one inside 198.18.0.0/15 like 198.18.16.0/20, or leave it out and a free one is chosen");
  };
  size_t slash = subnet.find('/');
  if (slash == std::string_view::npos) return refuse("the size (/20) is missing");
  auto bits = subnet.size() - slash <= 3 ? parse_digits(subnet.substr(slash + 1)) : std::nullopt;
  auto parts = split(subnet.substr(0, slash), '.');
  if (!bits || parts.size() != 4) return refuse("it is malformed");
  uint32_t address = 0;
  for (std::string_view part : parts) {
    auto number = part.size() <= 3 ? parse_digits(part) : std::nullopt;
    if (!number || *number > 255 || (part.size() > 1 && part[0] == '0')) return refuse("it is malformed");
    address = address << 8 | static_cast<uint32_t>(*number);
  }
  if (*bits < 15 || *bits > 29) return refuse("its size must be between /15 and /29");
  if ((address & 0xfffe0000u) != 0xc6120000u) return refuse("it lies elsewhere");
  uint32_t size = 1u << (32 - *bits);
  if ((address & (size - 1)) != 0) return refuse("it doesn't begin on a boundary of its size");
  return size - 3;  // without network, broadcast and the bridge's own address
}

}  // namespace slipway::config
