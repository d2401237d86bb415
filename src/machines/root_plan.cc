#include "machines/root_plan.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/files.h"
#include "machines/accounts.h"
#include "machines/network.h"

namespace slipway::machines {
namespace {

namespace fs = std::filesystem;

constexpr size_t account_file_max = 16 << 20;
constexpr size_t layers_max = 64;
constexpr const char* default_state_base = "/var/lib/slipway";

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

// mountinfo writes space, tab, newline and backslash as three octal digits.
std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    auto digit = [&](size_t at) { return at < text.size() && text[at] >= '0' && text[at] <= '7'; };
    if (text[i] == '\\' && digit(i + 1) && digit(i + 2) && digit(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') << 6 | (text[i + 2] - '0') << 3 | (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

// Kernel file systems and those whose content belongs to one running box.
bool is_virtual(std::string_view type) {
  static constexpr std::string_view types[] = {
      "autofs",     "binfmt_misc", "bpf",       "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
      "efivarfs",   "fusectl",     "hugetlbfs", "mqueue", "nsfs",    "proc",     "pstore",  "ramfs",  "rpc_pipefs",
      "securityfs", "selinuxfs",   "sysfs",     "tmpfs",  "tracefs", "nfsd",     "vfat",    "msdos",  "swap"};
  return std::find(std::begin(types), std::end(types), type) != std::end(types) || type.starts_with("fuse");
}

bool holds_software(const std::string& path) {
  static constexpr std::string_view folders[] = {"/bin", "/etc", "/gnu",  "/lib", "/lib32", "/lib64", "/libx32",
                                                 "/nix", "/opt", "/sbin", "/srv", "/usr",   "/var"};
  // Containers' own roots: each a mount, none of use to a machine.
  static constexpr std::string_view strangers[] = {
      "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet",
      "/var/lib/lxc",    "/var/lib/machines",   "/var/lib/snapd",      "/var/tmp",
      "/var/run",        "/etc/slurm",          "/etc/munge"};
  auto below = [&](std::string_view folder) { return is_below(path, folder); };
  return std::any_of(std::begin(folders), std::end(folders), below) &&
         std::none_of(std::begin(strangers), std::end(strangers), below);
}

// A system's own folder: hiding all of it would hide what a machine needs.
bool is_system_folder(const fs::path& path) {
  static const std::set<std::string> folders = {
      "/",    "/bin", "/boot",    "/dev",     "/etc",     "/home",      "/lib",       "/lib64",    "/media",
      "/mnt", "/opt", "/proc",    "/root",    "/run",     "/sbin",      "/srv",       "/sys",      "/tmp",
      "/usr", "/var", "/var/lib", "/var/tmp", "/var/opt", "/var/cache", "/var/spool", "/usr/local"};
  return folders.contains(path.string());
}

class Planner {
 public:
  explicit Planner(fs::path root) : root_(std::move(root)) {}

  RootPlan plan;

  void add_layer(const std::string& target) {
    plan.layers.push_back({target.empty() ? root_.string() : (root_ / target).string(), target, false});
  }

  // `path`, absolute in the machine, as an empty folder. Left out when something on its way isn't a folder (a link to a
  // place that is hidden itself).
  void hide(const fs::path& path, mode_t mode, uid_t uid = 0, gid_t gid = 0) {
    add(path, {0, "", mode, uid, gid, true});
  }

  // `path` with the owner and mode that it has below, so that files can be put into it.
  bool keep(const fs::path& path) {
    struct stat info {};
    fs::path below = root_ / path.relative_path();
    bool there = ::lstat(below.c_str(), &info) == 0;
    if (there && !S_ISDIR(info.st_mode)) return false;
    return add(path, there ? RootPlan::Folder{0, "", info.st_mode & 07777, info.st_uid, info.st_gid, false}
                           : RootPlan::Folder{});
  }

  // The layer that `path` (relative) is in, and its path in that.
  std::pair<size_t, std::string> place(const std::string& path) const {
    size_t best = 0;
    for (size_t i = 1; i < plan.layers.size(); ++i) {
      if (is_below(path, plan.layers[i].target) && plan.layers[i].target.size() >= plan.layers[best].target.size())
        best = i;
    }
    std::string rest = path.substr(plan.layers[best].target.size());
    if (rest.starts_with('/')) rest.erase(0, 1);
    return {best, rest};
  }

 private:
  bool add(const fs::path& path, RootPlan::Folder folder) {
    std::string relative = path.lexically_normal().relative_path().string();
    while (relative.ends_with('/')) relative.pop_back();
    if (relative.empty()) return false;
    fs::path parent = path.lexically_normal().parent_path();
    if (parent.has_relative_path() && !keep(parent)) return false;
    auto [layer, rest] = place(relative);
    folder.layer = layer;
    folder.path = rest;
    // Below something hidden already: nothing to do, and nothing of it could be seen anyway.
    for (const RootPlan::Folder& other : plan.folders) {
      if (other.layer == layer && other.opaque && is_below(rest, other.path)) return true;
    }
    for (RootPlan::Folder& other : plan.folders) {
      if (other.layer != layer || other.path != rest) continue;
      if (folder.opaque) other = folder;
      plan.layers[layer].hides |= folder.opaque;
      return true;
    }
    plan.layers[layer].hides |= folder.opaque;
    plan.folders.push_back(std::move(folder));
    return true;
  }

  fs::path root_;
};

bool looks_like_root(const fs::path& image) {
  std::error_code error;
  return fs::is_directory(fs::symlink_status(image / "etc", error)) &&
         fs::exists(fs::symlink_status(image / "bin", error));
}

}  // namespace

std::vector<MountPoint> parse_mountinfo(std::string_view text) {
  // "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw": the path is the fifth word, the type the first
  // after the lone dash.
  std::vector<MountPoint> mounts;
  std::set<std::string> seen;
  while (!text.empty()) {
    size_t line_end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, line_end);
    text.remove_prefix(std::min(line_end + 1, text.size()));
    size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view type = line.substr(dash + 3);
    type = type.substr(0, type.find(' '));
    std::string_view path = line.substr(0, dash);
    for (int skipped = 0; skipped < 4 && !path.empty(); ++skipped) {
      size_t space = path.find(' ');
      path = space == std::string_view::npos ? std::string_view() : path.substr(space + 1);
    }
    path = path.substr(0, path.find(' '));
    if (!path.starts_with('/') || type.empty()) continue;
    std::string plain = unescape(path);
    if (seen.insert(plain).second) {
      mounts.push_back({plain, std::string(type)});
    } else {
      // The later mount covers the earlier one.
      for (MountPoint& mount : mounts) {
        if (mount.path == plain) mount.type = type;
      }
    }
  }
  return mounts;
}

std::vector<std::string> system_mounts(const std::vector<MountPoint>& mounts) {
  std::vector<std::string> paths;
  for (const MountPoint& mount : mounts) {
    if (!is_virtual(mount.type) && holds_software(mount.path)) paths.push_back(mount.path);
  }
  // A folder sorts before what is below it.
  std::sort(paths.begin(), paths.end());
  return paths;
}

Result<RootPlan> plan_root(const fs::path& image, const std::vector<fs::path>& hidden, std::vector<Mount> mounts) {
  fs::path root = image.empty() ? fs::path("/") : image;
  if (!image.empty() && (!image.is_absolute() || !looks_like_root(image))) {
    return fail(ErrorCode::bad_config, "the image " + image.string() +
                                           " is no folder with a root file system (no etc or bin in it); make "
                                           "one with mmdebstrap, or leave `image` out to use the box's own root");
  }
  for (const Mount& mount : mounts) {
    std::error_code error;
    if (!fs::path(mount.target).is_absolute() || fs::path(mount.target).lexically_normal() == "/") {
      return fail(ErrorCode::bad_config,
                  "'" + mount.target + "' is no place for a mount: it must be an absolute path below /");
    }
    if (!fs::exists(mount.source, error)) {
      return fail(ErrorCode::bad_config,
                  "what should be mounted on " + mount.target + " doesn't exist on the box: '" + mount.source + "'");
    }
  }

  Planner planner(root);
  planner.add_layer("");
  if (image.empty()) {
    auto mountinfo = read_file("/proc/self/mountinfo");
    if (!mountinfo) return fail(mountinfo.error());
    for (const std::string& path : system_mounts(parse_mountinfo(*mountinfo))) {
      auto inside = [&](const fs::path& folder) { return is_below(path, folder.string()); };
      std::error_code error;
      if (std::any_of(hidden.begin(), hidden.end(), inside) || !fs::is_directory(path, error)) continue;
      if (planner.plan.layers.size() == layers_max) {
        return fail(ErrorCode::bad_config,
                    "this box has too many file systems below /usr, /opt, /var and the like to show them to "
                    "machines; use an image");
      }
      planner.add_layer(path.substr(1));
      planner.keep(path);
    }
  }

  for (const char* folder : {"/dev", "/proc", "/sys", "/run", "/tmp", "/opt/slipway/bin", "/var/log/slipway"})
    planner.keep(folder);
  planner.hide("/var/tmp", 01777);
  planner.hide("/etc/slurm", 0755);
  Account munge;
  if (auto passwd = read_file(root / "etc/passwd", account_file_max)) {
    if (auto account = find_account(*passwd, "munge")) munge = *account;
  }
  planner.hide("/etc/munge", 0700, munge.uid, munge.gid);
  if (image.empty()) {
    planner.hide("/home", 0755);
    planner.hide("/root", 0700);
    for (const fs::path& folder : hidden) {
      // The folder itself may be reached by several names; the one without links is where it is.
      std::error_code error;
      fs::path real = fs::canonical(folder, error);
      planner.hide(error ? folder : real, 0700);
    }
  }
  if (!planner.keep("/etc")) return fail(ErrorCode::bad_config, "/etc of " + root.string() + " is no folder");
  std::tie(planner.plan.etc_layer, planner.plan.etc_path) = planner.place("etc");
  planner.plan.mounts = std::move(mounts);
  return std::move(planner.plan);
}

std::vector<fs::path> folders_of_states(const fs::path& state) {
  std::set<fs::path> folders;
  auto add = [&](const fs::path& of) {
    // A state folder right in a system's folder, as a test may have it, is hidden alone.
    fs::path parent = of.parent_path();
    folders.insert(is_system_folder(parent) ? of : parent);
  };
  add(state);
  for (const fs::path& other : clusters_on_this_box()) {
    if (other.is_absolute()) add(other);
  }
  std::error_code error;
  if (fs::is_directory(default_state_base, error)) folders.insert(default_state_base);
  return {folders.begin(), folders.end()};
}

}  // namespace slipway::machines
