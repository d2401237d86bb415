#include "cli/bring_up.h"
#include "cli/commands.h"

namespace slipway::cli {

Result<int> up(const Options& options, Terminal& terminal) {
  auto cluster = load_for_up(options, terminal);
  if (!cluster) return Failure(cluster.error());
  return bring_up(*cluster, options, terminal, {});
}

}  // namespace slipway::cli
