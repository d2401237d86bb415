#include "machines/root.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/files.h"
#include "machines/addresses.h"

namespace slipway::machines {
namespace {

// A detached copy of what is mounted at `path`, to be attached later; bad when there is none.
Fd copy_mount(const std::string& path, bool with_children) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (with_children ? AT_RECURSIVE : 0u);
  return Fd(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags)));
}

bool make_read_only(const Fd& mount) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  return ::syscall(SYS_mount_setattr, mount.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) ==
         0;
}

bool attach(const Fd& mount, const std::string& target) {
  return ::syscall(SYS_move_mount, mount.get(), "", AT_FDCWD, target.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
}

bool make_parents(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    if (::mkdir(path.substr(0, slash).c_str(), 0755) != 0 && errno != EEXIST) return false;
  }
  return true;
}

// A place to mount on: a folder, or an empty file for a file.
bool make_place(const std::string& path, bool folder) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return true;
  if (!make_parents(path)) return false;
  if (folder) return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
  return static_cast<bool>(Fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644)));
}

bool write_text(const std::string& path, std::string_view text, mode_t mode) {
  Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file || ::fchmod(file.get(), mode) != 0) return false;
  while (!text.empty()) {
    ssize_t size = ::write(file.get(), text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  return true;
}

std::string upper_of(size_t layer) {
  return "upper" + std::to_string(layer);
}

// Relative to the machine's tmpfs, which is the working folder until the machine moves into its root.
Result<void> make_upper_layers(const BootPlan& plan) {
  const RootPlan& root = *plan.root;
  for (size_t i = 0; i < root.layers.size(); ++i) {
    std::string work = "work" + std::to_string(i);
    if (::mkdir(upper_of(i).c_str(), 0755) != 0 || ::mkdir(work.c_str(), 0755) != 0)
      return fail_errno("make the upper layer");
  }
  for (const RootPlan::Folder& folder : root.folders) {
    std::string path = upper_of(folder.layer) + (folder.path.empty() ? "" : "/" + folder.path);
    if (!folder.path.empty() && ::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
      return fail_errno("make " + folder.path);
    if (::chown(path.c_str(), folder.uid, folder.gid) != 0 || ::chmod(path.c_str(), folder.mode) != 0) {
      return fail_errno("set the owner of " + folder.path);
    }
    if (folder.opaque && ::setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
      return fail_errno("hide " + folder.path + " (the box's tmpfs needs extended attributes)");
    }
  }
  std::string etc = upper_of(root.etc_layer) + (root.etc_path.empty() ? "" : "/" + root.etc_path);
  std::string hosts = "127.0.0.1 localhost\n" + ipv4_text(plan.network.address) + " " + plan.id + "\n";
  if (!write_text(etc + "/hostname", plan.id + "\n", 0644) || !write_text(etc + "/hosts", hosts, 0644))
    return fail_errno("write /etc/hosts");
  return {};
}

Result<void> mount_layers(const RootPlan& root) {
  if (::mkdir("root", 0755) != 0) return fail_errno("make the root folder");
  for (size_t i = 0; i < root.layers.size(); ++i) {
    const RootPlan::Layer& layer = root.layers[i];
    std::string target = layer.target.empty() ? "root" : "root/" + layer.target;
    // By descriptor, since paths with commas and colons can't be written in overlay's options.
    Fd lower(::open(layer.lower.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!lower) return fail_errno("open " + layer.lower);
    std::string number = std::to_string(i);
    std::string options =
        "lowerdir=/proc/self/fd/" + std::to_string(lower.get()) + ",upperdir=upper" + number + ",workdir=work" + number;
    if (::mount("overlay", target.c_str(), "overlay", 0, options.c_str()) == 0) continue;
    int error = errno;
    // Some file systems can't be below an overlay. What hides nothing may as well be shown as it is, read-only.
    Fd plain = layer.target.empty() || layer.hides ? Fd() : copy_mount(layer.lower, false);
    if (plain && make_read_only(plain) && attach(plain, target)) continue;
    errno = error;
    return fail_errno("mount an overlay over " + layer.lower);
  }
  return {};
}

// What is taken from the box's own tree while it is still there, and attached when the machine has its root.
struct Taken {
  Fd mount;
  std::string target;
  bool folder = true;
};

Result<void> take(std::vector<Taken>& taken, const Mount& mount) {
  struct stat info {};
  if (::stat(mount.source.c_str(), &info) != 0) return fail_errno("mount " + mount.source);
  Fd copy = copy_mount(mount.source, true);
  if (!copy) return fail_errno("mount " + mount.source);
  if (mount.read_only && !make_read_only(copy)) return fail_errno("make " + mount.source + " read-only");
  taken.push_back({std::move(copy), mount.target, S_ISDIR(info.st_mode)});
  return {};
}

Result<void> make_devices() {
  struct Device {
    const char* name;
    unsigned minor;
  };
  constexpr Device memory_devices[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
  for (const Device& device : memory_devices) {
    std::string path = std::string("dev/") + device.name;
    if (::mknod(path.c_str(), S_IFCHR | 0666, makedev(1, device.minor)) != 0 || ::chmod(path.c_str(), 0666) != 0) {
      return fail_errno("make /" + path);
    }
  }
  if (::mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)) != 0 || ::chmod("dev/tty", 0666) != 0)
    return fail_errno("make /dev/tty");
  for (const char* folder : {"dev/pts", "dev/shm"}) {
    if (::mkdir(folder, 0755) != 0) return fail_errno(std::string("make /") + folder);
  }
  constexpr std::pair<const char*, const char*> links[] = {{"pts/ptmx", "dev/ptmx"},
                                                           {"/proc/self/fd", "dev/fd"},
                                                           {"/proc/self/fd/0", "dev/stdin"},
                                                           {"/proc/self/fd/1", "dev/stdout"},
                                                           {"/proc/self/fd/2", "dev/stderr"}};
  for (const auto& [to, name] : links) {
    if (::symlink(to, name) != 0) return fail_errno(std::string("make /") + name);
  }
  return {};
}

// Folders of the machine's tmpfs that stand in for the box's.
Result<void> take_own_folders(std::vector<Taken>& taken) {
  constexpr struct {
    const char* name;
    const char* target;
    mode_t mode;
  } own[] = {{"dev", "/dev", 0755}, {"shm", "/dev/shm", 01777}, {"run", "/run", 0755}, {"tmp", "/tmp", 01777}};
  for (const auto& folder : own) {
    if (::mkdir(folder.name, folder.mode) != 0 || ::chmod(folder.name, folder.mode) != 0)
      return fail_errno("make /" + std::string(folder.name));
  }
  if (::mkdir("run/lock", 01777) != 0 || ::chmod("run/lock", 01777) != 0) return fail_errno("make /run/lock");
  if (auto made = make_devices(); !made) return made;
  for (const auto& folder : own) {
    Fd copy = copy_mount(folder.name, false);
    if (!copy) return fail_errno(std::string("mount ") + folder.target);
    taken.push_back({std::move(copy), folder.target, true});
  }
  return {};
}

Result<void> mount_kernel_views() {
  constexpr unsigned long usual = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (::mount("proc", "/proc", "proc", usual, nullptr) != 0) return fail_errno("mount /proc");
  if (::mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5") !=
      0) {
    return fail_errno("mount /dev/pts");
  }
  // A prep script that sets a kernel's limit would set the box's. What belongs to the machine's own network stays open.
  Fd net = copy_mount("/proc/sys/net", false);
  Fd sys = copy_mount("/proc/sys", false);
  if (!net || !sys || !make_read_only(sys) || !attach(sys, "/proc/sys") || !attach(net, "/proc/sys/net")) {
    return fail_errno("make /proc/sys read-only");
  }
  Fd trigger = copy_mount("/proc/sysrq-trigger", false);
  if (trigger && (!make_read_only(trigger) || !attach(trigger, "/proc/sysrq-trigger"))) {
    return fail_errno("make /proc/sysrq-trigger read-only");
  }
  return {};
}

}  // namespace

Result<void> build_root(const BootPlan& plan) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return fail_errno("keep mounts to the machine");
  std::vector<Taken> taken;
  Fd sys = copy_mount("/sys", true);
  if (!sys || !make_read_only(sys)) return fail_errno("take /sys");
  taken.push_back({std::move(sys), "/sys", true});
  std::vector<Mount> mounts = {{plan.programs.string(), "/opt/slipway/bin", true},
                               {plan.logs.string(), "/var/log/slipway", false}};
  mounts.insert(mounts.end(), plan.root->mounts.begin(), plan.root->mounts.end());
  std::vector<Taken> taken_later;
  for (const Mount& mount : mounts) {
    if (auto done = take(taken_later, mount); !done) return done;
  }

  if (::mount("slipway", plan.stage.c_str(), "tmpfs", 0, "mode=0755") != 0)
    return fail_errno("mount the machine's tmpfs");
  if (::chdir(plan.stage.c_str()) != 0) return fail_errno("enter the machine's tmpfs");
  if (auto done = make_upper_layers(plan); !done) return done;
  if (auto done = take_own_folders(taken); !done) return done;
  if (auto done = mount_layers(*plan.root); !done) return done;
  for (Taken& later : taken_later) taken.push_back(std::move(later));

  // The new root goes on top of the old one, and the old one from under it.
  if (::chdir("root") != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 || ::umount2(".", MNT_DETACH) != 0 ||
      ::chdir("/") != 0) {
    return fail_errno("move into the machine's root");
  }
  for (const Taken& one : taken) {
    if (!make_place(one.target, one.folder) || !attach(one.mount, one.target)) return fail_errno("mount " + one.target);
  }
  if (auto done = mount_kernel_views(); !done) return done;
  // After the mounts: a controller has a folder of the box on /run/slipway.
  if (!make_parents("/run/slipway/boot.json") || !write_text("/run/slipway/boot.json", plan.boot_data, 0600)) {
    return fail_errno("write /run/slipway/boot.json");
  }
  return {};
}

}  // namespace slipway::machines
