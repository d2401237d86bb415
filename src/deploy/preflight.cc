#include "deploy/preflight.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "base/files.h"
#include "deploy/deploy.h"
#include "deploy/image.h"
#include "deploy/state_folder.h"
#include "machines/client.h"
#include "machines/host.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

namespace {

// Debian's package for each program that a machine of some role must find in its root.
struct Need {
  const char* program;
  const char* package;
};
constexpr Need controller_needs[] = {
    {"slurmctld", "slurmctld"}, {"scontrol", "slurm-client"}, {"squeue", "slurm-client"}, {"munged", "munge"}};
constexpr Need login_needs[] = {
    {"sbatch", "slurm-client"}, {"srun", "slurm-client"}, {"sinfo", "slurm-client"}, {"munged", "munge"}};
constexpr Need compute_needs[] = {{"slurmd", "slurmd"}, {"munged", "munge"}};

// What the machines of a cluster ask of one root file system.
struct ImageNeeds {
  std::vector<Need> programs;
  std::set<std::string> users;  // roles, for the message
};

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::map<std::string, ImageNeeds> needs_by_image(const model::Cluster& cluster) {
  std::map<std::string, ImageNeeds> found;
  const auto add = [&](const std::string& image, auto& needs, const std::string& user) {
    ImageNeeds& entry = found[image];
    entry.users.insert(user);
    for (const Need& need : needs) {
      const bool known = std::any_of(entry.programs.begin(), entry.programs.end(),
                                     [&](const Need& n) { return std::string_view(n.program) == need.program; });
      if (!known) entry.programs.push_back(need);
    }
  };
  add(cluster.controllers.image, controller_needs, "the controller");
  if (cluster.logins.count > 0) add(cluster.logins.image, login_needs, "the login node");
  for (const model::Pool& pool : cluster.pools) {
    if (!pool.azure) add(pool.image, compute_needs, "pool " + pool.name.str());
  }
  return found;
}

// Programs and accounts in every root that a machine will run on. SlurmUser must be the same person everywhere, or
// slurmd refuses what slurmctld asks of it.
void check_images(const model::Cluster& cluster, const Box& box, std::vector<std::string>& found) {
  std::map<uint32_t, std::string> slurm_uids;
  for (const auto& [image, needs] : needs_by_image(cluster)) {
    const bool own_root = image.empty();
    const fs::path root = own_root ? box.root : fs::path(image);
    const std::string where = own_root ? "this box" : "the image " + image;
    std::error_code error;
    if (!fs::is_directory(root, error)) {
      found.push_back("the image " + image + " (for " + join({needs.users.begin(), needs.users.end()}) +
                      ") is not a folder; make one with mmdebstrap, or correct `image` in the cluster file");
      continue;
    }
    std::map<std::string, std::vector<std::string>> missing;  // package → programs
    for (const Need& need : needs.programs) {
      if (!image_has_program(root, need.program)) missing[need.package].push_back(need.program);
    }
    for (const auto& [package, programs] : missing) {
      const std::string install = own_root ? "apt-get install --no-install-recommends " + package
                                           : "chroot " + image + " apt-get install --no-install-recommends " + package;
      found.push_back(join(programs) + (programs.size() == 1 ? " is" : " are") + " missing on " + where +
                      "; install Debian's package " + package + ": " + install);
    }
    for (const char* name : {"slurm", "munge"}) {
      const auto account = image_account(root, name);
      // A missing package already explains a missing account.
      if (!account && missing.empty()) {
        found.push_back("the user " + std::string(name) + " doesn't exist in /etc/passwd of " + where + "; make it: " +
                        (own_root ? "" : "chroot " + image + " ") + "useradd --system --no-create-home " + name);
      }
      if (account && std::string_view(name) == "slurm") slurm_uids.emplace(account->uid, where);
    }
  }
  if (slurm_uids.size() > 1) {
    std::vector<std::string> words;
    for (const auto& [uid, where] : slurm_uids) words.push_back(std::to_string(uid) + " on " + where);
    found.push_back(
        "the user slurm has different numbers (" + join(words) +
        "), and Slurm's daemons would refuse each other; give it the same number in every image (usermod -u)");
  }
}

void check_programs(const fs::path& folder, std::vector<std::string>& found) {
  std::vector<std::string> missing;
  for (const char* program : {"slipway-agent", "slipwayd", "slipway-hook", "slipway-machines"}) {
    if (::access((folder / program).c_str(), X_OK) != 0) missing.emplace_back(program);
  }
  if (!missing.empty()) {
    found.push_back(join(missing) + " not found in " + folder.string() +
                    ", beside the slipway command; build or install Slipway completely (scripts/build)");
  }
}

void check_state(const model::Cluster& cluster, const fs::path& state, const Box& box,
                 std::vector<std::string>& found) {
  const std::string down = "`slipway down --cluster " + cluster.name + "`";
  const auto look = look_at_state(state);
  if (!look) {
    found.push_back(look.error().message);
    return;
  }
  switch (look->state) {
    case FolderState::absent:
    case FolderState::clean:
      break;
    case FolderState::used:
      if (StateLock::is_held(state)) {
        found.push_back("another `slipway up` or `slipway down` works on cluster " + cluster.name + "; wait for it");
      } else if (box.host_answers(state)) {
        found.push_back("cluster " + cluster.name + " is already up; see `slipway status`, or end it first with " +
                        down);
      } else {
        found.push_back("cluster " + cluster.name + " was not taken down completely (" + state.string() +
                        " holds the rest); remove it first with " + down + ", which can keep its data (--keep-data)");
      }
      break;
    case FolderState::foreign:
      found.push_back(state.string() +
                      " exists and is not a state folder of Slipway; move it away, or choose another "
                      "place with --state-base");
      break;
    case FolderState::other:
      found.push_back(state.string() + " has layout version \"" + look->version +
                      "\", and this Slipway knows version " + std::to_string(layout_version) +
                      "; take that cluster down with the Slipway that made it, or move the folder away");
      break;
  }
}

void check_room(const fs::path& state, const Box& box, std::vector<std::string>& found) {
  fs::path folder = state;
  std::error_code error;
  while (folder.has_relative_path() && !fs::is_directory(folder, error)) folder = folder.parent_path();
  const auto disk = box.disk_free_mib(folder);
  if (disk && *disk < disk_free_min_mib) {
    found.push_back("only " + std::to_string(*disk) + " MiB of disk space are free for the state folder " +
                    state.string() + ", and " + std::to_string(disk_free_min_mib) +
                    " are needed; free some, or choose another place with --state-base");
  }
  if (box.memory_available_mib < memory_free_min_mib) {
    found.push_back("only " + std::to_string(box.memory_available_mib) + " MiB of memory are available, and " +
                    std::to_string(memory_free_min_mib) +
                    " are needed for the controller and login node alone; end "
                    "something else first");
  }
}

void check_subnet(const model::Cluster& cluster, const Box& box, std::vector<std::string>& found) {
  if (cluster.subnet.empty()) return;
  const auto subnet = parse_subnet(cluster.subnet);
  if (!subnet) {
    found.push_back("subnet: " + subnet.error().message);
    return;
  }
  static const Subnet allowed{0xC6120000, 15};
  if (!contains(allowed, *subnet)) {
    found.push_back("subnet " + cluster.subnet +
                    " is not inside 198.18.0.0/15, the only addresses that local clusters use; "
                    "take one like 198.18.16.0/20, or leave it out and a free one is chosen");
    return;
  }
  const uint64_t needed = addresses_needed(cluster);
  if (subnet->size() < needed) {
    found.push_back("subnet " + cluster.subnet + " has " + std::to_string(subnet->size()) +
                    " addresses, and the cluster "
                    "needs " +
                    std::to_string(needed) + " when every pool is full; take a larger one, or lower the pools' max");
  }
  for (const Subnet& used : box.networks) {
    if (!overlap(*subnet, used)) continue;
    found.push_back("subnet " + cluster.subnet + " is taken: this box already uses " + to_string(used) +
                    "; choose another with --subnet, or leave it out and a free one is chosen");
    break;
  }
}

}  // namespace

uint64_t addresses_needed(const model::Cluster& cluster) {
  uint64_t needed = 3 + uint64_t{cluster.controllers.count} + cluster.logins.count;
  for (const model::Pool& pool : cluster.pools) needed += pool.max;
  return needed;
}

std::vector<std::string> preflight(const model::Cluster& cluster, const PreflightInputs& inputs, const Box& box) {
  std::vector<std::string> found;
  const bool root = box.uid == 0;
  if (!root) {
    found.push_back("a local cluster is made of namespaces, which only root can make; run this with sudo");
  }
  check_programs(inputs.programs, found);
  check_images(cluster, box, found);
  // Others than root see nothing of a state folder.
  if (root) {
    check_state(cluster, inputs.state, box, found);
    check_room(inputs.state, box, found);
  }
  check_subnet(cluster, box, found);
  return found;
}

Box this_box() {
  Box box;
  box.uid = ::geteuid();
  box.networks = networks_in_use();
  if (const auto text = read_file("/proc/meminfo")) {
    const std::string_view key = "MemAvailable:";
    if (const size_t at = text->find(key); at != std::string::npos) {
      const size_t begin = text->find_first_not_of(' ', at + key.size());
      uint64_t kib = 0;
      if (begin != std::string::npos) std::from_chars(text->data() + begin, text->data() + text->size(), kib);
      box.memory_available_mib = kib / 1024;
    }
  }
  box.disk_free_mib = [](const fs::path& folder) -> Result<uint64_t> {
    struct statvfs about {};
    if (::statvfs(folder.c_str(), &about) != 0) return fail_errno("statvfs " + folder.string());
    return static_cast<uint64_t>(about.f_bavail) * about.f_frsize / (1 << 20);
  };
  box.host_answers = [](const fs::path& state) {
    return machines::Client(machines::host_socket(state), Duration(2'000)).info().has_value();
  };
  return box;
}

}  // namespace slipway::deploy
