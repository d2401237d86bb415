#include "cli/commands.h"
#include "cli/context.h"
#include "cli/table.h"

namespace slipway::cli {

Result<int> jobs(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  const auto answer = ask_daemon(*cluster, "jobs");
  if (!answer) return Failure(answer.error());
  if (options.json) {
    terminal.print(answer->dump() + "\n");
    return 0;
  }
  Table table;
  table.column("JOB", Align::right);
  for (const char* title : {"NAME", "USER", "PARTITION", "STATE"}) table.column(title);
  table.column("NODES", Align::right);
  table.column("WHERE OR WHY NOT");
  for (const Json& job : answer->items()) {
    const std::string state = job.text("state");
    const Colour colour = state == "RUNNING" ? Colour::green : state == "PENDING" ? Colour::plain : Colour::yellow;
    const std::string where = job.text("nodes");
    // Ours tells more than Slurm's.
    const std::string why = job.text(job.text("comment").starts_with("slipway: ") ? "comment" : "reason");
    const std::string id = job.text("array").empty() ? job.text("job") : job.text("array");
    table.row({id, job.text("name"), job.text("user"), job.text("partition"), Cell(state, colour),
               job.number("node_count"), where.empty() ? (why.empty() ? "" : "(" + why + ")") : where});
  }
  terminal.print(table.empty() ? "no jobs\n" : table.render(terminal));
  return 0;
}

}  // namespace slipway::cli
