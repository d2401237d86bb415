// A cluster's life on this box: up, down, and finding it again.
//
// <state>/                 0700 root; default /var/lib/slipway/<cluster>
//   version                the layout's version; another one is refused with the way out
//   lock                   flock: one `up` or `down` at a time
//   cluster.yaml           the cluster as it was brought up, complete in itself → /etc/slipway on the controller
//   keys/                  munge.key, master.key, copies of the cluster file's secrets (0600) → /etc/slipway/keys on
//   the controller host/                  the machine host: host.sock, host.json, host.log machines/<id>/ machine.json,
//   log/ rehearse/              a simulated cloud: pid, endpoints.json, levers.json, state.json run/ the daemon's
//   sockets → /run/slipway on the controller data/                  events.db → /var/lib/slipway-data on the controller
//   slurm/                 StateSaveLocation → /var/spool/slurmctld on the controller
//   shared/<name>/         shared folders (home)
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/cluster.h"

namespace slipway::deploy {

inline constexpr int layout_version = 1;

using Progress = std::function<void(std::string_view)>;  // "starting the machine host", …

// What a simulated cloud needs of `up`: the machine host answers and the bridge is there, the controller isn't yet.
struct Site {
  std::filesystem::path state;
  std::string gateway;  // the bridge's address, on which the box can be reached from the machines
};

struct UpOptions {
  std::filesystem::path state_base = "/var/lib/slipway";
  std::filesystem::path programs;  // folder of slipway-agent, slipwayd, slipway-hook, slipway-machines
  Progress progress;
  // Called once between machine host and controller; may change the cluster that the controller gets.
  std::function<Result<void>(model::Cluster&, const Site&)> before_controller;
  std::function<bool()> interrupted;  // asked while waiting; true ends `up` as a failure, with everything removed again
};

// Returns when sbatch works on the login node. On failure everything that was made is removed again (a state folder
// that was there before stays), and the error says what to do. Up on a cluster that is already up is refused.
Result<void> up(const model::Cluster& cluster, const UpOptions& options);

// Ends every machine and removes state, bridge and links, whatever is left of the cluster; `keep_data` keeps shared/
// and data/. Idempotent. Waits for an `up` that is at work on the same cluster.
Result<void> down(const std::filesystem::path& state, bool keep_data, const Progress& progress);

// The state folders of the clusters of this box, those that only kept their data left out; sorted by name.
std::vector<std::filesystem::path> find_clusters(const std::filesystem::path& state_base);

// Paths inside the state folder, for everybody who must agree on them.
std::filesystem::path api_socket(const std::filesystem::path& state);         // <state>/run/api.sock
std::filesystem::path kept_cluster_file(const std::filesystem::path& state);  // <state>/cluster.yaml
std::filesystem::path host_log(const std::filesystem::path& state);           // <state>/host/host.log
std::filesystem::path rehearse_folder(const std::filesystem::path& state);    // <state>/rehearse
// Where the controller finds a file of <state>/keys: /etc/slipway/keys/<name>.
std::string on_controller(const std::filesystem::path& key_file);

}  // namespace slipway::deploy
