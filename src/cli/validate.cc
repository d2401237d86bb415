#include "cli/cluster_file.h"
#include "cli/commands.h"
#include "cli/json.h"

namespace slipway::cli {

namespace {

std::string counted(size_t count, const std::string& word) {
  return std::to_string(count) + " " + word + (count == 1 ? "" : "s");
}

}  // namespace

Result<int> validate(const Options& options, Terminal& terminal) {
  const config::Loaded loaded = config::load(options.file);
  if (options.json) {
    terminal.print(problems_json(loaded) + "\n");
    return loaded.ok() ? 0 : 1;
  }
  say_problems(loaded, options.file, terminal);
  if (!loaded.ok()) return 1;
  const model::Cluster& cluster = loaded.cluster;
  uint64_t nodes = 0;
  for (const model::Pool& pool : cluster.pools) nodes += pool.max;
  terminal.print(
      options.file.string() + ": cluster " + cluster.name + ", " + counted(cluster.pools.size(), "pool") +
      " with up to " + counted(nodes, "node") + ", " + counted(cluster.partitions.size(), "partition") +
      (loaded.problems.empty() ? ": good\n" : ": good, with " + counted(loaded.problems.size(), "warning") + "\n"));
  return 0;
}

}  // namespace slipway::cli
