#include <unistd.h>

#include "cli/commands.h"
#include "cli/context.h"
#include "deploy/deploy.h"

namespace slipway::cli {

namespace fs = std::filesystem;

Result<int> down(const Options& options, Terminal& terminal) {
  if (::geteuid() != 0) return fail(ErrorCode::denied, "only root can take a cluster down; run this with sudo");
  const fs::path base = fs::absolute(options.state_base);
  // A cluster that isn't there is down already, and so is one whose data alone was kept.
  std::string name = options.cluster;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    return fail(ErrorCode::bad_config, "\"" + name + "\" is not a cluster's name");
  }
  if (name.empty()) {
    if (deploy::find_clusters(base).empty()) {
      terminal.progress("no cluster is up on this box; nothing to take down");
      return 0;
    }
    auto cluster = choose_cluster(options);
    if (!cluster) return Failure(cluster.error());
    name = cluster->name;
  }
  const fs::path state = base / name;
  auto done = deploy::down(state, options.keep_data, [&](std::string_view text) { terminal.progress(text); });
  if (!done) return Failure(done.error());
  terminal.progress("cluster " + name + " is down" +
                    (options.keep_data && fs::exists(state) ? "; its data is kept in " + state.string() : ""));
  return 0;
}

}  // namespace slipway::cli
