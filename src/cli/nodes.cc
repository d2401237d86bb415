#include "cli/commands.h"
#include "cli/context.h"
#include "cli/table.h"

namespace slipway::cli {

namespace {

Colour colour_of(const std::string& situation) {
  if (situation == "serving" || situation == "idle_kept") return Colour::green;
  if (situation == "asleep" || situation == "not_ours") return Colour::dim;
  if (situation == "failed" || situation == "broken" || situation == "unbacked" || situation == "overdue") {
    return Colour::red;
  }
  return Colour::yellow;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

// Azure's ids are too long for a table; JSON has them whole.
std::string shortened(const std::string& id) {
  constexpr size_t longest = 40;
  constexpr size_t tail = 10;
  if (id.size() <= longest) return id;
  return id.substr(0, longest - tail - 1) + "…" + id.substr(id.size() - tail);
}

}  // namespace

Result<int> nodes(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  std::vector<Argument> arguments{{"all", options.all}};
  if (!options.pool.empty()) arguments.emplace_back("pool", options.pool);
  const auto answer = ask_daemon(*cluster, "nodes", arguments);
  if (!answer) return Failure(answer.error());
  if (options.json) {
    terminal.print(answer->dump() + "\n");
    return 0;
  }
  const TimePoint now = SystemClock().now();
  Table table;
  for (const char* title : {"NODE", "POOL", "SITUATION"}) table.column(title);
  table.column("FOR", Align::right);
  for (const char* title : {"SLURM", "INSTANCE", "ADDRESS", "JOBS", "REASON"}) table.column(title);
  for (const Json& node : answer->items()) {
    std::string since;
    if (const auto time = node.time("since")) {
      since = to_short(std::max(Duration(0), std::chrono::duration_cast<Duration>(now - *time)));
    }
    // A list of ids, or one text of them.
    const std::vector<std::string> jobs = node.strings("jobs");
    table.row({node.text("node"), node.text("pool"), Cell(node.text("situation"), colour_of(node.text("situation"))),
               since, node.text("state"), shortened(node.text("instance")), node.text("address"),
               jobs.empty() && node.text("jobs") != "[]" ? node.text("jobs") : joined(jobs), node.text("reason")});
  }
  if (table.empty()) {
    terminal.print(options.all ? "no nodes\n" : "every node is asleep (--all lists them)\n");
    return 0;
  }
  terminal.print(table.render(terminal));
  return 0;
}

}  // namespace slipway::cli
