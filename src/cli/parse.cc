// The only file that sees CLI11: it is slow to compile, so it is compiled without optimisation; nothing in it runs more
// than once.
#pragma GCC optimize("O0")

#include <CLI/CLI.hpp>
#include <sstream>

#include "cli/options.h"
#include "cli/suggest.h"
#include "machines/machine.h"

namespace slipway::cli {

namespace {

constexpr int wrong_usage = 2;
constexpr const char* state_base_default = "/var/lib/slipway";

class CommandLine {
 public:
  CommandLine();
  Parsed parse(std::vector<std::string> words);
  CommandNode tree() const { return tree_of(app_); }

 private:
  CLI::App* command(CLI::App& parent, const char* name, const char* description, Verb verb);
  void add_observers();
  void add_entering();
  void add_chaos();
  void add_simulate();
  void add_clouds();
  void add_capacity(CLI::App& chaos);
  static CommandNode tree_of(const CLI::App& app);
  std::string hint_for(const std::vector<std::string>& words) const;

  Options options_;
  CLI::App app_{"Slurm clusters whose nodes come when jobs need them and go when they don't.", "slipway"};
};

CLI::App* CommandLine::command(CLI::App& parent, const char* name, const char* description, Verb verb) {
  CLI::App* made = parent.add_subcommand(name, description);
  made->fallthrough();
  if (verb != Verb::none) made->callback([this, verb] { options_.verb = verb; });
  return made;
}

CommandLine::CommandLine() {
  app_.require_subcommand(1);
  app_.set_version_flag("--version", std::string("slipway ") + SLIPWAY_VERSION);
  app_.add_option("--cluster", options_.cluster, "The cluster meant (default: the only one of this box)")
      ->type_name("NAME");
  options_.state_base = state_base_default;
  app_.add_option("--state-base", options_.state_base, "Where the clusters' state folders are")
      ->type_name("DIR")
      ->envname("SLIPWAY_STATE_BASE");
  app_.add_flag("--json", options_.json, "Print JSON, for scripts");

  CLI::App* validate =
      command(app_, "validate", "Check a cluster file and say everything that is wrong with it", Verb::validate);
  validate->add_option("file", options_.file, "The cluster file")->required()->type_name("FILE");

  CLI::App* up = command(app_, "up", "Bring a cluster up; returns when sbatch works on its login node", Verb::up);
  up->add_option("file", options_.file, "The cluster file")->required()->type_name("FILE");
  up->add_option("--subnet", options_.subnet, "The network of its machines, inside 198.18.0.0/15 (default: a free one)")
      ->type_name("CIDR");

  CLI::App* rehearse = command(
      app_, "rehearse", "Bring a cloud's cluster up against a simulated cloud on this box, before it costs anything",
      Verb::rehearse);
  rehearse->add_option("file", options_.file, "The cluster file")->required()->type_name("FILE");
  rehearse->add_option("--image", options_.image, "Root file system of the machines (default: this box's own)")
      ->type_name("DIR");
  rehearse->add_option("--levers", options_.levers, "What goes wrong from the start (docs/rehearsal.md)")
      ->type_name("FILE");
  rehearse->add_option("--subnet", options_.subnet, "As for `up`")->type_name("CIDR");

  add_observers();
  add_entering();

  CLI::App* down =
      command(app_, "down", "End every machine of a cluster and remove all that it left on this box", Verb::down);
  down->add_flag("--keep-data", options_.keep_data, "Keep shared folders (homes) and the journal for the next `up`");

  add_chaos();
  add_simulate();
  add_clouds();

  CLI::App* completion = command(app_, "completion", "Print the completion script of a shell", Verb::completion);
  completion->add_option("shell", options_.shell, "Which shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("bash|zsh|fish");
  command(app_, "version", "Print the version", Verb::version)->group("");
}

void CommandLine::add_observers() {
  command(app_, "status", "How the cluster is: daemon, Slurm, pools, machines", Verb::status);

  CLI::App* nodes = command(app_, "nodes", "The nodes that are up or between states", Verb::nodes);
  nodes->add_flag("--all,-a", options_.all, "Sleeping nodes too");
  nodes->add_option("--pool", options_.pool, "Only this pool")->type_name("POOL");

  command(app_, "jobs", "Pending and active jobs", Verb::jobs);

  CLI::App* events = command(app_, "events", "What happened, oldest first", Verb::events);
  events->add_flag("--follow,-f", options_.follow, "Go on with what happens from now on");
  events->add_option("--node", options_.node, "Only this node")->type_name("NODE");
  events->add_option("--lines,-n", options_.lines, "The last so many (default: 50, at most 5000)")
      ->type_name("N")
      ->check(CLI::Range(1U, 1000000U));

  CLI::App* explain = command(app_, "explain", "Why a node is as it is, or why a job waits", Verb::explain);
  explain->add_option("what", options_.target, "A node's name or a job's id")->required()->type_name("NODE|JOB");
}

void CommandLine::add_entering() {
  CLI::App* exec = command(app_, "exec", "Run a program on a machine: exec login --user alice -- squeue", Verb::exec);
  exec->add_option("machine", options_.target, "controller, login, login:2, a node or an instance")
      ->required()
      ->type_name("MACHINE");
  exec->add_option("--user,-u", options_.user, "As this user (default: root)")->type_name("USER");
  exec->add_option("command", options_.words, "The program and its arguments, after --")->type_name("CMD");

  CLI::App* shell = command(app_, "shell", "A login shell on a machine", Verb::shell);
  shell->add_option("machine", options_.target, "Where (default: login)")->type_name("MACHINE");
  shell->add_option("--user,-u", options_.user, "As this user (default: the cluster file's first)")->type_name("USER");

  CLI::App* logs =
      command(app_, "logs", "The logs of a machine or of one of Slipway's and Slurm's daemons", Verb::logs);
  logs->add_option("what", options_.target, "controller, login, a node, an instance, host, daemon or slurmctld")
      ->required()
      ->type_name("WHAT");
  logs->add_option("log", options_.log, "Only this log of the machine, such as slurmd")->type_name("LOG");
  logs->add_flag("--follow,-f", options_.follow, "Go on with what is written from now on");
  logs->add_option("--lines,-n", options_.lines, "The last so many lines of each (default: 40)")
      ->type_name("N")
      ->check(CLI::Range(1U, 1000000U));
}

void CommandLine::add_chaos() {
  CLI::App* chaos = command(app_, "chaos", "Break machines on purpose, to see the cluster recover", Verb::none);
  chaos->require_subcommand(1);
  const auto on_machines = [&](const char* name, const char* description, Verb verb) {
    CLI::App* made = command(*chaos, name, description, verb);
    made->add_option("machines", options_.words, "Nodes (cpu-[0001-0003]), instances, controller, login")
        ->required()
        ->type_name("MACHINE");
    return made;
  };
  on_machines("kill", "A power cut: everything on the machine ends at once", Verb::chaos_kill);
  on_machines("freeze", "Stop every process; the network stays", Verb::chaos_freeze);
  on_machines("thaw", "Let frozen machines go on", Verb::chaos_thaw);
  on_machines("cut-off", "Take the machine off the network", Verb::chaos_cut_off);
  on_machines("reconnect", "Put it back on the network", Verb::chaos_reconnect);
  CLI::App* evict =
      on_machines("evict", "The cloud takes machines back: a notice first, then a power cut", Verb::chaos_evict);
  options_.notice = "30s";
  evict->add_option("--notice", options_.notice, "The time between: 30s (default), 2m; 0 for none")->type_name("TIME");
  CLI::App* boot = command(*chaos, "boot", "Trouble for machines that are launched from now on", Verb::chaos_boot);
  boot->add_option("--pool", options_.pool, "Only in this pool (default: every pool)")->type_name("POOL");
  boot->add_option("--delay", options_.delay, "They boot so much later: 500ms, 10s, 2m")->type_name("TIME");
  boot->add_option("--never", options_.never, "The next N never boot")->type_name("N");
  boot->add_option("--refuse", options_.refuse, "The next N are refused for lack of capacity")->type_name("N");
  add_capacity(*chaos);
  command(*chaos, "clear", "End the trouble that `chaos boot` and `chaos capacity` made", Verb::chaos_clear);
}

void CommandLine::add_capacity(CLI::App& chaos) {
  CLI::App* capacity = command(chaos, "capacity", "How many machines the pretended cloud has", Verb::chaos_capacity);
  capacity->add_option("limit", options_.capacity, "At most so many; unlimited ends the limit and every narrower one")
      ->required()
      ->type_name("N|unlimited");
  capacity->add_option("--pool", options_.pool, "Only of this pool (default: of any)")->type_name("POOL");
  capacity->add_option("--market", options_.market, "Only those bought so")
      ->check(CLI::IsMember({"spot", "on_demand"}))
      ->type_name("spot|on_demand");
  capacity->add_option("--machine", options_.machine, "Only of this machine type")->type_name("TYPE");
  capacity->add_option("--zone", options_.zone, "Only in this zone")->type_name("ZONE");
  std::vector<std::string> codes;
  std::string choices;
  for (ErrorCode code : machines::refusal_codes) {
    codes.emplace_back(to_string(code));
    choices += (choices.empty() ? "" : "|") + codes.back();
  }
  options_.error = to_string(ErrorCode::no_capacity);
  capacity->add_option("--error", options_.error, "What launches beyond it are told (default: no_capacity)")
      ->check(CLI::IsMember(codes))
      ->type_name(choices);
}

void CommandLine::add_simulate() {
  CLI::App* simulate =
      command(app_, "simulate", "Run whole clusters in virtual time, with random faults, and check every invariant",
              Verb::simulate);
  simulate->add_option("--seed", options_.seed, "The first seed (default: 1)")->type_name("S");
  simulate->add_option("--seeds", options_.seeds, "How many seeds (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}));
  simulate->add_option("--minutes", options_.minutes, "Minutes of trouble before all heals (default: the seed's)")
      ->type_name("M")
      ->check(CLI::Range(1U, 100'000U));
  simulate->add_option("--nodes", options_.node_count, "Nodes of all pools together (default: the seed's)")
      ->type_name("K")
      ->check(CLI::Range(1U, 100'000U));
  simulate->add_option("--file", options_.file, "A cluster file instead of a random cluster")->type_name("FILE");
  simulate->add_option("--script", options_.script, "Run a script instead of random faults and jobs")
      ->type_name("FILE");
  simulate->add_flag("--trace", options_.trace, "Print every transition");
  simulate->add_flag("--progress", options_.progress, "Say now and then how far it is");
}

void CommandLine::add_clouds() {
  CLI::App* doctor = command(app_, "doctor", "Check what a cluster file counts on in a cloud, before the first launch",
                             Verb::none);
  doctor->require_subcommand(1);
  CLI::App* doctor_azure =
      command(*doctor, "azure", "Identity, permissions, quotas, sizes, subnets and images", Verb::doctor_azure);
  doctor_azure->add_option("file", options_.file, "The cluster file")->required()->type_name("FILE");

  CLI::App* azure = command(app_, "azure", "What Azure needs to know of Slipway", Verb::none);
  azure->require_subcommand(1);
  CLI::App* role = command(*azure, "role", "Print the least role definition, for `az role definition create`",
                           Verb::azure_role);
  role->add_option("file", options_.file, "A cluster file: only what it needs, in its subscriptions")
      ->type_name("FILE");
}

// A word that stands where a command should, and the command that was probably meant.
std::string CommandLine::hint_for(const std::vector<std::string>& words) const {
  const CLI::App* level = &app_;
  for (const std::string& word : words) {
    if (word.empty() || word.front() == '-') continue;
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* sub : level->get_subcommands([](const CLI::App*) { return true; })) {
      if (sub->get_name() == word) next = sub;
      if (!sub->get_group().empty()) names.push_back(sub->get_name());
    }
    if (next != nullptr) {
      level = next;
      continue;
    }
    if (names.empty()) return "";
    const std::string near = nearest_word(word, names);
    return near.empty() ? "" : "\"" + word + "\" is not a command; did you mean \"" + near + "\"?\n";
  }
  return "";
}

Parsed CommandLine::parse(std::vector<std::string> words) {
  Parsed parsed;
  // What follows "--" is a command for a machine, to be passed on untouched.
  std::vector<std::string> rest;
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const bool has_rest = dashes != words.end();
  if (has_rest) {
    rest.assign(dashes + 1, words.end());
    words.erase(dashes, words.end());
  }
  const auto refuse = [&](const std::string& text) {
    parsed.stop = true;
    parsed.exit_status = wrong_usage;
    parsed.err = "slipway: " + text + "\n";
    return parsed;
  };
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app_.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int status = app_.exit(error, out, err);
    parsed.stop = true;
    parsed.out = out.str();
    parsed.err = err.str();
    if (status == 0) return parsed;
    parsed.exit_status = wrong_usage;
    const std::string hint = hint_for(words);
    parsed.err = "slipway: " + (hint.empty() ? parsed.err : hint);
    const auto* exec = app_.get_subcommand("exec");
    if (exec->parsed() && !has_rest) parsed.err += "Put -- before the command: slipway exec login -- ls -l\n";
    return parsed;
  }
  options_.words.insert(options_.words.end(), rest.begin(), rest.end());
  if (has_rest && options_.verb != Verb::exec) return refuse("only `exec` takes a command after --");
  if (options_.verb == Verb::exec && options_.words.empty()) {
    return refuse("exec needs a command: slipway exec " + options_.target + " -- hostname");
  }
  parsed.options = options_;
  return parsed;
}

CommandNode CommandLine::tree_of(const CLI::App& app) {
  CommandNode node;
  node.name = app.get_name();
  node.description = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    OptionNode found;
    found.description = option->get_description();
    found.type = option->get_items_expected_max() > 0 ? option->get_type_name() : "";
    if (option->get_positional()) {
      found.names.push_back(option->get_name(true));
      node.positionals.push_back(std::move(found));
      continue;
    }
    for (const std::string& name : option->get_lnames()) found.names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) found.names.push_back("-" + name);
    node.options.push_back(std::move(found));
  }
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!sub->get_group().empty()) node.commands.push_back(tree_of(*sub));
  }
  return node;
}

}  // namespace

Parsed parse_command_line(std::vector<std::string> words) {
  return CommandLine().parse(std::move(words));
}

CommandNode command_tree() {
  return CommandLine().tree();
}

}  // namespace slipway::cli
