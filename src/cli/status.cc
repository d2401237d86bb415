#include "cli/commands.h"
#include "cli/context.h"
#include "cli/table.h"

namespace slipway::cli {

namespace {

std::string ago(std::optional<TimePoint> then, TimePoint now) {
  if (!then) return "never";
  return to_short(std::max(Duration(0), std::chrono::duration_cast<Duration>(now - *then))) + " ago";
}

std::string words(const Json& counts, std::initializer_list<const char*> keys) {
  std::string text;
  for (const char* key : keys) {
    text += (text.empty() ? "" : ", ") + std::to_string(counts.number(key)) + " " + key;
  }
  return text;
}

// How it was bought: "spot m.large a"; empty for what a pool with one shape gets.
std::string way(const machines::Machine& machine) {
  std::string text = machine.market == model::Market::spot ? "spot" : "";
  for (const std::string& part : {machine.offer.machine, machine.offer.zone}) {
    if (!part.empty()) text += (text.empty() ? "" : " ") + part;
  }
  return text;
}

// Machines that have no node of their own, and without a daemon all of them.
std::string machine_table(const std::vector<machines::Machine>& all, bool compute_too, TimePoint now,
                          const Terminal& terminal) {
  Table table;
  for (const char* title : {"MACHINE", "ROLE", "POOL", "WAY", "STATE", "ADDRESS"}) table.column(title);
  table.column("AGE", Align::right);
  table.column("NOTE");
  for (const machines::Machine& machine : all) {
    if ((machine.role == "compute" || machine.role == "vm") && !compute_too) continue;
    const bool running = machine.state == machines::MachineState::running;
    std::string note = machine.end;
    if (machine.cut_off) note = "cut off the network";
    if (note.empty() && machine.evict_at > now)
      note = "evicted in " + to_short(std::chrono::duration_cast<Duration>(machine.evict_at - now));
    const Duration age = std::chrono::duration_cast<Duration>(now - machine.launched_at);
    table.row({machine.id, machine.role, machine.pool, way(machine),
               Cell(std::string(to_string(machine.state)), running ? Colour::green : Colour::yellow), machine.address,
               to_short(std::max(Duration(0), age)), note});
  }
  return table.empty() ? "" : table.render(terminal);
}

std::string machines_json(const std::vector<machines::Machine>& all) {
  std::string items;
  for (const machines::Machine& machine : all) {
    items += (items.empty() ? "" : ",") +
             object({{"id", machine.id},
                     {"role", machine.role},
                     {"pool", machine.pool},
                     {"market", model::to_string(machine.market)},
                     {"machine", machine.offer.machine},
                     {"zone", machine.offer.zone},
                     {"placement", machine.placement},
                     {"state", to_string(machine.state)},
                     {"address", machine.address},
                     {"pid", int64_t{machine.pid}},
                     {"cut_off", machine.cut_off},
                     {"launched_at", to_iso8601(machine.launched_at)},
                     {"evict_at", machine.evict_at == TimePoint{} ? "" : to_iso8601(machine.evict_at)},
                     {"end", machine.end}});
  }
  return "[" + items + "]";
}

std::string pool_table(const Json& status, TimePoint now, const Terminal& terminal) {
  Table table;
  table.column("POOL");
  for (const char* title : {"MAX", "WARM", "UP", "BUSY", "BOOTING", "FAILED", "MACHINES"})
    table.column(title, Align::right);
  table.column("NOTE");
  for (const Json& pool : status.at("pools").items()) {
    std::string note = pool.text("why");
    if (const auto not_before = pool.time("not_before"); not_before && *not_before > now) {
      const Duration left = std::chrono::duration_cast<Duration>(*not_before - now);
      note = "no launch for " + to_short(left) + (note.empty() ? "" : ": " + note);
    }
    const int64_t failed = pool.number("failed");
    table.row({pool.text("name"), pool.number("max"), pool.number("warm"), pool.number("up"), pool.number("busy"),
               pool.number("booting"), Cell(std::to_string(failed), failed > 0 ? Colour::red : Colour::plain),
               pool.number("instances"), Cell(note, Colour::yellow)});
  }
  return table.empty() ? "" : table.render(terminal);
}

std::string with_daemon(const ClusterRef& cluster, const Json& status, const Terminal& terminal, TimePoint now) {
  const Json daemon = status.at("daemon");
  const Json slurm = status.at("slurm");
  const Json provider = status.at("provider");
  std::string out = terminal.paint(Colour::bold, "cluster " + cluster.name) + "\n";
  std::string up = "just started";
  if (const auto started = daemon.time("started")) {
    up = "up " + to_short(std::max(Duration(0), std::chrono::duration_cast<Duration>(now - *started)));
  }
  out += "daemon   " + daemon.text("version") + ", " + up + ", " + std::to_string(daemon.number("rss_kib") / 1024) +
         " MiB\n";
  out += "slurm    " + slurm.text("version");
  out +=
      slurm.flag("known") ? ", read " + ago(slurm.time("as_of"), now) : terminal.paint(Colour::red, ", not read yet");
  if (!slurm.text("error").empty()) out += ": " + terminal.paint(Colour::red, slurm.text("error"));
  const Json instances = status.at("instances");
  out += "\nmachines " + std::to_string(instances.number("total")) + ", " +
         std::to_string(instances.number("unbound")) + " without a node, listed " + ago(provider.time("as_of"), now);
  if (!provider.flag("complete")) out += terminal.paint(Colour::yellow, ", incomplete");
  if (!provider.text("error").empty()) out += ": " + terminal.paint(Colour::red, provider.text("error"));
  const Json nodes = status.at("nodes");
  out += "\nnodes    " + std::to_string(nodes.number("total")) + ": " +
         words(nodes, {"up", "busy", "booting", "down", "asleep"});
  out += "\njobs     " + words(status.at("jobs"), {"pending", "configuring", "running"}) + "\n";
  return out;
}

}  // namespace

Result<int> status(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  const auto answer = ask_daemon(*cluster, "status", {}, Duration(5'000));
  const machines::Client host = host_of(*cluster);
  const auto all = host.list();
  const auto info = host.info();
  const TimePoint now = SystemClock().now();
  if (options.json) {
    if (!answer && !all) return Failure(answer.error());
    const std::vector<Argument> own{{"state", cluster->state.string()},
                                    {"subnet", info ? info->subnet : ""},
                                    {"bridge", info ? info->bridge : ""},
                                    raw("machines", all ? machines_json(*all) : "null")};
    if (answer) {
      terminal.print(answer->dump_with(own) + "\n");
      return 0;
    }
    std::vector<Argument> members{{"cluster", cluster->name}, raw("daemon", "null"), {"error", answer.error().message}};
    members.insert(members.end(), own.begin(), own.end());
    terminal.print(object(members) + "\n");
    return 0;
  }
  if (answer) {
    std::string out = with_daemon(*cluster, *answer, terminal, now);
    const std::string pools = pool_table(*answer, now, terminal);
    if (!pools.empty()) out += "\n" + pools;
    const std::string own = all ? machine_table(*all, false, now, terminal) : "";
    if (!own.empty()) out += "\n" + own;
    if (!all)
      out += "\n" + terminal.paint(Colour::red, "the machine host doesn't answer: " + all.error().message) + "\n";
    terminal.print(out);
    return 0;
  }
  if (!all) {
    return fail(ErrorCode::transient, "neither the daemon nor the machine host of cluster " + cluster->name +
                                          " answers; end what is left with `slipway down --cluster " + cluster->name +
                                          "`\n  daemon: " + answer.error().message +
                                          "\n  machine host: " + all.error().message);
  }
  std::string out = terminal.paint(Colour::bold, "cluster " + cluster->name) + "\n";
  out += "daemon   " + terminal.paint(Colour::red, "doesn't answer") + ": " + answer.error().message + "\n";
  if (info) {
    out += "host     " + info->build + ", subnet " + info->subnet + ", bridge " + info->bridge + "\n";
  }
  const std::string table = machine_table(*all, true, now, terminal);
  terminal.print(out + (table.empty() ? "no machines\n" : "\n" + table));
  return 0;
}

}  // namespace slipway::cli
