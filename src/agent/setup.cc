#include "agent/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <unordered_map>
#include <unordered_set>

#include "base/files.h"

namespace slipway::agent {

namespace fs = std::filesystem;

namespace {

constexpr uid_t first_ordinary_uid = 1000;

// Calls `use(fields, line)` for every line of a colon-separated file.
template <class Use>
void for_each_entry(std::string_view text, Use use) {
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    fields.clear();
    for (std::string_view rest = line;;) {
      const size_t colon = rest.find(':');
      fields.push_back(rest.substr(0, colon));
      if (colon == std::string_view::npos) break;
      rest = rest.substr(colon + 1);
    }
    use(fields, line);
  }
}

std::optional<uint32_t> to_id(std::string_view text) {
  uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

bool lists_member(std::string_view members, std::string_view user) {
  while (!members.empty()) {
    const size_t comma = members.find(',');
    if (members.substr(0, comma) == user) return true;
    members = comma == std::string_view::npos ? std::string_view() : members.substr(comma + 1);
  }
  return false;
}

// Writes the text over `path`, keeping owner and rights of what was there.
Result<void> rewrite(const fs::path& path, std::string_view text, mode_t mode_if_new) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return put_file(path, text, info.st_mode & 07777, info.st_uid, info.st_gid);
  return put_file(path, text, mode_if_new);
}

Result<void> write_all(int fd, std::string_view text, const fs::path& path) {
  while (!text.empty()) {
    const ssize_t wrote = write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return fail_errno("write " + path.string());
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

// A file with one entry a user: the lines as they are, but for those whose id changes, and what is missing at the end.
struct Table {
  std::string text;
  bool changed = false;

  void append(const std::string& line) {
    if (!text.empty() && text.back() != '\n') text += '\n';
    text += line + '\n';
    changed = true;
  }
};

// Copies `old` and corrects the number in `column` of wanted names; `seen` gets every name of the file.
Result<Table> correct_ids(std::string_view old, size_t column,
                          const std::unordered_map<std::string_view, uint32_t>& wanted,
                          std::unordered_set<std::string>& seen, const fs::path& path) {
  Table table;
  table.text.reserve(old.size() + 64 * wanted.size());
  std::string refused;
  for_each_entry(old, [&](const std::vector<std::string_view>& fields, std::string_view line) {
    const auto user = wanted.find(fields[0]);
    if (user == wanted.end() || fields.size() <= column) {
      table.text.append(line).push_back('\n');
      return;
    }
    seen.emplace(fields[0]);
    const std::optional<uint32_t> id = to_id(fields[column]);
    if (id && *id != user->second && *id < first_ordinary_uid) {
      refused = "the user " + std::string(fields[0]) + " can't have uid " + std::to_string(user->second) + ": " +
                path.string() + " of this machine has a system account of that name; choose another name";
    }
    if (id == user->second) {
      table.text.append(line).push_back('\n');
      return;
    }
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) table.text += ':';
      // In passwd, the group's number (column 3) follows the user's.
      const bool is_id = i == column || (fields.size() >= 7 && i == column + 1);
      table.text.append(is_id ? std::to_string(user->second) : std::string(fields[i]));
    }
    table.text.push_back('\n');
    table.changed = true;
  });
  if (!refused.empty()) return fail(ErrorCode::bad_config, refused);
  return table;
}

Result<void> ensure_home(const fs::path& folder, uid_t uid) {
  if (mkdir(folder.c_str(), 0700) != 0) {
    // Another machine that shares it may have been first; its owner is that machine's business.
    if (errno == EEXIST) return {};
    return fail_errno("mkdir " + folder.string());
  }
  if (chown(folder.c_str(), uid, uid) != 0) return fail_errno("chown " + folder.string());
  return {};
}

}  // namespace

Result<Identity> find_identity(const fs::path& etc, std::string_view user) {
  auto passwd = read_file(etc / "passwd");
  if (!passwd) return fail(passwd.error());
  std::optional<Identity> found;
  for_each_entry(*passwd, [&](const std::vector<std::string_view>& fields, std::string_view) {
    if (found || fields.size() < 4 || fields[0] != user) return;
    const auto uid = to_id(fields[2]);
    const auto gid = to_id(fields[3]);
    if (uid && gid) found = Identity{*uid, *gid, {*gid}};
  });
  if (!found) return fail(ErrorCode::not_found, "no user " + std::string(user) + " in " + (etc / "passwd").string());
  if (auto group = read_file(etc / "group")) {
    for_each_entry(*group, [&](const std::vector<std::string_view>& fields, std::string_view) {
      if (fields.size() < 4 || found->groups.size() >= 64 || !lists_member(fields[3], user)) return;
      if (const auto gid = to_id(fields[2]); gid && *gid != found->gid) found->groups.push_back(*gid);
    });
  }
  return *found;
}

Result<void> ensure_users(const fs::path& etc, const fs::path& home, const std::vector<model::User>& users) {
  if (users.empty()) return {};
  std::unordered_map<std::string_view, uint32_t> wanted;
  for (const model::User& user : users) wanted.emplace(user.name, user.uid);

  struct File {
    const char* name;
    size_t id_column;
    mode_t mode;
  };
  const std::string shell = fs::exists(etc.parent_path() / "bin/bash") ? "/bin/bash" : "/bin/sh";
  for (const File file : {File{"group", 2, 0644}, File{"passwd", 2, 0644}}) {
    const fs::path path = etc / file.name;
    auto old = read_file(path);
    if (!old && old.error().code != ErrorCode::not_found) return fail(old.error());
    std::unordered_set<std::string> seen;
    auto table = correct_ids(old ? std::string_view(*old) : std::string_view(), file.id_column, wanted, seen, path);
    if (!table) return fail(table.error());
    for (const model::User& user : users) {
      if (!seen.insert(user.name).second) continue;
      const std::string id = std::to_string(user.uid);
      table->append(file.name == std::string_view("group")
                        ? user.name + ":x:" + id + ":"
                        : user.name + ":x:" + id + ":" + id + "::" + (home / user.name).string() + ":" + shell);
    }
    if (!table->changed) continue;
    if (auto written = rewrite(path, table->text, file.mode); !written) return written;
  }

  const fs::path shadow = etc / "shadow";
  auto old = read_file(shadow);
  if (!old && old.error().code != ErrorCode::not_found) return fail(old.error());
  Table table;
  std::unordered_set<std::string> seen;
  if (old) {
    table.text = *old;
    for_each_entry(*old, [&](const auto& fields, std::string_view) { seen.emplace(fields[0]); });
  }
  for (const model::User& user : users) {
    if (seen.insert(user.name).second) table.append(user.name + ":!::0:99999:7:::");
  }
  if (table.changed) {
    if (auto written = rewrite(shadow, table.text, 0600); !written) return written;
  }
  for (const model::User& user : users) {
    if (auto made = ensure_home(home / user.name, user.uid); !made) return made;
  }
  return {};
}

Result<void> replace_section(const fs::path& file, std::string_view section, std::string_view lines) {
  auto old = read_file(file);
  if (!old && old.error().code != ErrorCode::not_found) return fail(old.error());
  const std::string first = "# slipway " + std::string(section) + "\n";
  const std::string last = "# end of slipway " + std::string(section) + "\n";
  std::string block = first + std::string(lines);
  if (block.back() != '\n') block += '\n';
  block += last;

  std::string text = old ? *old : "";
  size_t from = text.find(first);
  if (from != std::string::npos && from > 0 && text[from - 1] != '\n') from = std::string::npos;
  const size_t end = from == std::string::npos ? from : text.find(last, from);
  if (end != std::string::npos) {
    text.replace(from, end + last.size() - from, block);
  } else {
    text.insert(0, block);
  }
  if (old && text == *old) return {};
  return rewrite(file, text, 0644);
}

Result<void> put_file(const fs::path& path, std::string_view text, mode_t mode, uid_t uid, gid_t gid) {
  const std::string beside = path.string() + ".slipway-new";
  (void)unlink(beside.c_str());
  {
    Fd fd(open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail_errno("open " + beside);
    if (auto written = write_all(fd.get(), text, beside); !written) {
      (void)unlink(beside.c_str());
      return written;
    }
    if (fchown(fd.get(), uid, gid) != 0 || fchmod(fd.get(), mode) != 0) {
      const auto failure = fail_errno("chown " + beside);
      (void)unlink(beside.c_str());
      return failure;
    }
  }
  if (rename(beside.c_str(), path.c_str()) == 0) return {};
  const int why = errno;
  (void)unlink(beside.c_str());
  errno = why;
  if (why != EBUSY && why != EXDEV) return fail_errno("rename to " + path.string());
  // A file that is a mount of its own can only be written in place.
  Fd fd(open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!fd) return fail_errno("open " + path.string());
  return write_all(fd.get(), text, path);
}

Result<void> give_folder(const fs::path& path, mode_t mode, uid_t uid, gid_t gid) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    if (errno != ENOENT) return fail_errno("mkdir " + path.string());
    if (auto made = make_folder(path, mode); !made) return made;
  }
  if (chown(path.c_str(), uid, gid) != 0) return fail_errno("chown " + path.string());
  if (chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path.string());
  return {};
}

Result<void> become_host(const std::string& name, const std::string& address) {
  if (sethostname(name.data(), name.size()) != 0) return fail_errno("sethostname " + name);
  if (auto written = put_file("/etc/hostname", name + "\n", 0644); !written) return written;
  if (address.empty()) return {};
  return replace_section("/etc/hosts", "self", address + " " + name + "\n");
}

Result<void> use_nameserver(const std::filesystem::path& file, const std::string& address) {
  if (address.empty()) return {};
  return write_file(file, "# Slipway: the controller knows the cluster's names.\nnameserver " + address + "\noptions timeout:1 attempts:2\n");
}

}  // namespace slipway::agent
