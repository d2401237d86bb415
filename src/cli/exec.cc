#include "cli/commands.h"
#include "cli/context.h"
#include "machines/enter.h"

namespace slipway::cli {

Result<int> exec(const Options& options, Terminal&) {
  auto target = parse_target(options.target);
  if (!target) return Failure(target.error());
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  auto machine = find_machine(*cluster, *target);
  if (!machine) return Failure(machine.error());
  return machines::enter_machine(*machine, {.user = options.user, .folder = "", .argv = options.words});
}

}  // namespace slipway::cli
