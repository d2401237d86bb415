// What a machine's root file system is made of, worked out once a launch by the host; machines/boot.cc builds it in
// each machine.
//
// The root is an overlay: the box's root, or an image folder, below; a tmpfs of the machine's own above. Everything
// that must not be seen or shared is hidden by an opaque folder in the upper layer, which costs no mount:
//
//   own and empty       /tmp /run /dev /dev/shm (on the machine's tmpfs), /var/tmp /etc/slurm /etc/munge
//   box's root only     /home and /root (shared folders are mounted on /home), the folder of all clusters' states: no
//   machine can read another's secrets fresh               /proc, /dev/pts, /etc/hostname, /etc/hosts the box's /sys,
//   read-only (slurmd looks at /sys/fs/cgroup), /proc/sys but for /proc/sys/net, read-only
//
// File systems mounted on the box below its root are not part of an overlay's lower layer. Those that hold software or
// its state (below /usr, /opt, /etc, /var, /srv, …) get overlays of their own; others appear as empty folders.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machines/machine.h"

namespace slipway::machines {

struct MountPoint {
  std::string path;
  std::string type;  // of its file system
};
// The text of /proc/<pid>/mountinfo. A path mounted twice is given once; lines that don't parse are skipped.
std::vector<MountPoint> parse_mountinfo(std::string_view text);
// Those that get an overlay of their own, in the order in which they must be mounted.
std::vector<std::string> system_mounts(const std::vector<MountPoint>& mounts);

struct RootPlan {
  // An overlay: the lower folder on the box, and where it is mounted in the machine ("" is the root, else "usr/local").
  struct Layer {
    std::string lower;
    std::string target;
    bool hides = false;  // something in it must not be seen: it can't be replaced by a plain mount
  };
  // A folder in a layer's upper folder; parents come before children.
  struct Folder {
    size_t layer = 0;
    std::string path;  // relative to the layer
    mode_t mode = 0755;
    uid_t uid = 0;
    gid_t gid = 0;
    bool opaque = false;  // hides what is below it
  };
  std::vector<Layer> layers;
  std::vector<Folder> folders;
  size_t etc_layer = 0;  // the layer that /etc is in, and
  std::string etc_path;  // its path there: "etc", or "" when /etc is a layer of its own
  std::vector<Mount> mounts;
};

// `image` empty: the box's root. `hidden`: folders of the box that its machines must not see. Fails with bad_config
// when the image is no root file system.
Result<RootPlan> plan_root(const std::filesystem::path& image, const std::vector<std::filesystem::path>& hidden,
                           std::vector<Mount> mounts);

// The folders that hold clusters' states on this box, for `hidden`: the one with `state` and those of every other
// cluster that is up.
std::vector<std::filesystem::path> folders_of_states(const std::filesystem::path& state);

}  // namespace slipway::machines
