#include "base/files.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "config/config.h"
#include "deploy/deploy.h"
#include "machines/enter.h"

namespace slipway::cli {

namespace {

// The first user of the cluster file, for whom the login node is; root when there is none.
std::string first_user(const ClusterRef& cluster) {
  const auto text = read_file(deploy::kept_cluster_file(cluster.state));
  if (!text) return "";
  const config::Loaded loaded = config::parse(*text, cluster.state, false);
  return loaded.cluster.users.empty() ? "" : loaded.cluster.users.front().name;
}

}  // namespace

Result<int> shell(const Options& options, Terminal&) {
  auto target = parse_target(options.target.empty() ? "login" : options.target);
  if (!target) return Failure(target.error());
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  auto machine = find_machine(*cluster, *target);
  if (!machine) return Failure(machine.error());
  // On the other machines a person looks around as root.
  const bool on_login = machine->role == "login";
  const std::string user = !options.user.empty() ? options.user : on_login ? first_user(*cluster) : "root";
  return machines::enter_machine(*machine, {.user = user, .folder = "", .argv = {}});
}

}  // namespace slipway::cli
