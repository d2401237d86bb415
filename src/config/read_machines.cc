#include <algorithm>
#include <array>
#include <set>

#include "base/files.h"
#include "config/names.h"
#include "config/read.h"
#include "config/text_check.h"
#include "config/words.h"

namespace slipway::config {
namespace {

constexpr size_t prep_bytes_max = 1 << 20;
constexpr size_t prep_mib_max = prep_bytes_max >> 20;
constexpr uint32_t uid_min = 1000;
constexpr uint32_t uid_max = 2'000'000'000;
constexpr uint32_t uid_first = 20001;

constexpr std::string_view not_yet = "isn't available with provider local yet; leave it out";

// nobody, and what 16-bit programs take for "no user".
bool is_special_uid(uint64_t uid) {
  return uid == 65534 || uid == 65535;
}

// Why the text can't be run as a script; empty when it can.
std::string script_trouble(std::string_view text) {
  if (text.empty()) return "is empty";
  if (!text.starts_with("#!")) return "doesn't say what runs it; expected a first line like #!/bin/sh";
  for (size_t i = 0; i < text.size();) {
    size_t length = utf8_length(text, i);
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r') return "has Windows line ends, which break its first line; save it with Unix ones";
    if (length == 0 || c == 0x7f || (c < 0x20 && c != '\n' && c != '\t'))
      return "is no text; expected a script in UTF-8";
    i += length;
  }
  return "";
}

std::filesystem::path absolute_path(const Context& context, const std::string& path) {
  return (context.folder / path).lexically_normal();
}

}  // namespace

std::optional<model::ProviderKind> read_provider(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 2> known = {"local", "azure"};
  auto text = read_text(context.problems, field, "'local' or 'azure'");
  if (!text) return std::nullopt;
  const auto found = std::find(known.begin(), known.end(), *text);
  if (found != known.end()) return static_cast<model::ProviderKind>(found - known.begin());
  if (*text == "aws") {
    context.problems.error(field.at, field.path + ": " + show(*text) +
                                         " isn't available yet: this release has 'local', machines on this box, and "
                                         "'azure'");
  } else {
    context.problems.error(field.at, field.path + ": unknown provider " + show(*text) +
                                         "; expected 'local' or 'azure'" + did_you_mean(*text, known));
  }
  return std::nullopt;
}

std::optional<Duration> read_idle_reclaim(Context& context, const Field& field) {
  if (field.node->kind == NodeKind::scalar && field.node->text == "never") {
    context.problems.warning(
        field.at,
        field.path +
            ": 'never' keeps every machine that was ever wanted until the cluster goes down; set a time like 10m, "
            "or keep some machines ready with a pool's 'warm'");
    return model::idle_reclaim_never;
  }
  return read_duration(context.problems, field, std::chrono::seconds(1), std::chrono::hours(24 * 365));
}

std::string read_image(Context& context, const Field& field) {
  auto text = read_text(context.problems, field, "the path of a folder with a root file system");
  if (!text) return "";
  std::filesystem::path path = absolute_path(context, *text);
  if (context.check_paths) {
    std::error_code error;
    // The link itself counts: an absolute one (/bin/sh -> /bin/dash) is meant inside the image.
    auto there = [&](const char* shell) {
      return std::filesystem::exists(std::filesystem::symlink_status(path / shell, error));
    };
    if (!std::filesystem::is_directory(path, error)) {
      context.problems.error(field.at, field.path + ": no folder " + show(path.string()) +
                                           "; expected one with a root file system, for example made by mmdebstrap");
    } else if (!there("bin/sh") && !there("usr/bin/sh")) {
      context.problems.error(field.at,
                             field.path + ": the folder " + show(path.string()) +
                                 " has no bin/sh; expected a root file system, for example made by mmdebstrap");
    }
  }
  return path.string();
}

std::string read_prep(Context& context, const Field& field) {
  constexpr std::string_view expected = "the path of a script, or the script itself after '|'";
  auto refuse = [&](const std::string& why) {
    context.problems.error(field.at, field.path + ": " + why);
    return std::string();
  };
  std::string text;
  std::string name = "the script";
  if (field.node->kind == NodeKind::scalar && field.node->text.find('\n') != std::string::npos) {
    text = field.node->text;  // written in place
  } else {
    auto path_text = read_text(context.problems, field, expected);
    if (!path_text) return "";
    std::filesystem::path path = absolute_path(context, *path_text);
    name = show(path.string());
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
      return context.check_paths ? refuse("no file " + name + "; expected " + std::string(expected)) : "";
    }
    auto read = read_file(path, prep_bytes_max);
    if (!read) return context.check_paths ? refuse(read.error().message + "; scripts have at most 1 MiB in all") : "";
    text = std::move(*read);
  }
  if (std::string trouble = script_trouble(text); !trouble.empty()) return refuse(name + " " + trouble);
  if (text.back() != '\n') text += '\n';
  context.prep_bytes += text.size();
  if (context.prep_bytes > prep_bytes_max) {
    return refuse("with this one the scripts have more than " + std::to_string(prep_mib_max) +
                  " MiB in all; put what they need into the image");
  }
  return text;
}

model::RoleMachines read_role(Context& context, const Field& field, uint64_t count_max, std::string_view above_max) {
  static constexpr std::array<std::string_view, 3> keys = {"count", "image", "prep"};
  static constexpr std::array<LaterKey, 6> later = {{{"machine", not_yet},
                                                     {"machines", not_yet},
                                                     {"ssh", not_yet},
                                                     {"network", not_yet},
                                                     {"azure", not_yet},
                                                     {"aws", not_yet}}};
  model::RoleMachines role;
  MapReader map(context.problems, field, {keys, later});
  if (auto count = map.get("count")) {
    auto number = read_count(context.problems, *count, 1, 10'000);
    if (number && *number > count_max) {
      context.problems.error(count->at, count->path + ": " + std::to_string(*number) + " " + std::string(above_max));
    } else if (number) {
      role.count = static_cast<uint32_t>(*number);
    }
  }
  if (auto image = map.get("image")) role.image = read_image(context, *image);
  if (auto prep = map.get("prep")) role.prep = read_prep(context, *prep);
  return role;
}

std::vector<model::SharedFolder> read_storage(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 2> keys = {"type", "mount"};
  static constexpr std::array<LaterKey, 6> later = {{{"slurm_state", not_yet},
                                                     {"size", not_yet},
                                                     {"disks", not_yet},
                                                     {"options", not_yet},
                                                     {"azure", not_yet},
                                                     {"aws", not_yet}}};
  static constexpr std::array<std::string_view, 1> types = {"local"};
  static constexpr std::array<std::string_view, 9> later_types = {
      "nfs", "efs", "fsx_lustre", "azure_files", "netapp_files", "managed_lustre", "glusterfs", "samba", "existing"};
  std::vector<model::SharedFolder> out;
  for (const NamedField& named : read_named(context.problems, field, "{mount: /path}")) {
    if (auto trouble = storage_name_trouble(named.name); !trouble.empty()) {
      context.problems.error(named.key_at, field.path + ": " + trouble);
    }
    MapReader map(context.problems, named.field, {keys, later});
    if (!map.usable()) continue;
    if (auto type = map.get("type")) {
      auto text = read_text(context.problems, *type, "'local'");
      bool is_later = text && std::find(later_types.begin(), later_types.end(), *text) != later_types.end();
      if (is_later) {
        context.problems.error(type->at,
                               type->path + ": " + show(*text) +
                                   " isn't available with provider local yet; use 'local', a folder of this box");
      } else if (text && *text != "local") {
        context.problems.error(type->at, type->path + ": unknown type " + show(*text) + "; expected 'local'" +
                                             (nearest_word(*text, types).empty() ? "" : "; did you mean 'local'?"));
      }
    }
    auto mount = map.get("mount");
    if (!mount) {
      if (map.lacks("mount")) {
        context.problems.error(
            named.key_at, named.field.path + ": 'mount' is missing; expected where the machines see it, like /home");
      }
      continue;
    }
    auto text = read_text(context.problems, *mount, "an absolute path like /home");
    if (!text) continue;
    if (auto trouble = mount_trouble(*text); !trouble.empty()) {
      context.problems.error(mount->at, mount->path + ": " + trouble);
      continue;
    }
    auto inside = [](const std::string& a, const std::string& b) { return a == b || a.starts_with(b + "/"); };
    for (const model::SharedFolder& other : out) {
      if (inside(*text, other.mount) || inside(other.mount, *text)) {
        context.problems.error(mount->at, mount->path + ": " + show(*text) + " and storage." + other.name + "'s " +
                                              show(other.mount) + " lie in each other; expected places side by side");
      }
    }
    out.push_back({named.name, *text});
  }
  auto at_home = [](const model::SharedFolder& folder) { return folder.mount == "/home"; };
  if (field.node->kind == NodeKind::map && std::none_of(out.begin(), out.end(), at_home)) {
    context.problems.warning(
        field.at,
        field.path +
            ": nothing is mounted at /home, so every machine has homes of its own and what jobs write there goes with "
            "the machine; add home: {mount: /home}");
  }
  return out;
}

std::vector<model::User> read_users(Context& context, const Field& field) {
  static constexpr std::array<std::string_view, 2> keys = {"name", "uid"};
  std::vector<model::User> out;
  std::set<std::string> names;
  std::set<uint32_t> uids;
  auto items = read_list(context.problems, field, "names");
  if (field.node->kind == NodeKind::list && field.node->items.empty()) {
    context.problems.error(field.at,
                           field.path + ": is empty; expected at least one user, for root's jobs are for tests only");
  }
  for (const Field& item : items) {
    model::User user;
    Field name = item;
    if (item.node->kind == NodeKind::map) {
      MapReader map(context.problems, item, {keys});
      if (auto uid = map.get("uid")) {
        auto number = read_count(context.problems, *uid, uid_min, uid_max);
        if (number && is_special_uid(*number)) {
          context.problems.error(uid->at,
                                 uid->path + ": " + std::to_string(*number) + " means 'nobody'; choose another uid");
        } else if (number && !uids.insert(static_cast<uint32_t>(*number)).second) {
          context.problems.error(uid->at, uid->path + ": uid " + std::to_string(*number) +
                                              " is another user's already; expected each once");
        } else if (number) {
          user.uid = static_cast<uint32_t>(*number);
        }
      }
      if (map.lacks("name")) {
        context.problems.error(item.at, item.path + ": 'name' is missing; expected one like {name: alice, uid: 20001}");
      }
      auto given = map.get("name");
      if (!given) continue;
      name = *given;
    }
    auto text = read_text(context.problems, name, "a user's name, or {name: alice, uid: 20001}");
    if (!text) continue;
    if (auto trouble = user_name_trouble(*text); !trouble.empty()) {
      context.problems.error(name.at, name.path + ": " + trouble);
    } else if (!names.insert(*text).second) {
      context.problems.error(name.at, name.path + ": the user " + show(*text) + " is named twice; expected each once");
    }
    user.name = *text;
    out.push_back(std::move(user));
  }
  // Those without a uid get the free ones from uid_first on, in the file's order.
  uint32_t next = uid_first;
  for (model::User& user : out) {
    if (user.uid != 0) continue;
    while (uids.contains(next) || is_special_uid(next)) ++next;
    user.uid = next++;
  }
  return out;
}

}  // namespace slipway::config
