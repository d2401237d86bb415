#include "sim/world.h"

#include <algorithm>

namespace slipway::sim {

namespace {

constexpr Duration hook_delay{10};
constexpr Duration hook_delay_longest{30'000};
constexpr Duration hook_gives_up{30'000};
constexpr Duration hook_retries{1'000};
constexpr Duration lease_tried_every{1'000};

engine::Spec spec_of(const WorldOptions& options) {
  engine::Spec spec = engine::make_spec(options.cluster);
  spec.consistency_delay = options.cloud.consistency;
  if (options.cloud.character == Character::batch) spec.launch_delay = options.cloud.late_error.longest;
  if (!options.cluster.launch_window && options.cloud.character != Character::local) {
    spec.launch_window = {Duration(1'000), Duration(5'000)};
  }
  spec.accounts = {options.cluster.api.value_or(options.cloud.api)};
  for (auto& pool : spec.pools) pool.account = 0;
  return spec;
}

std::vector<PartitionSpec> partitions_of(const WorldOptions& options) {
  std::vector<PartitionSpec> partitions;
  for (const auto& partition : options.cluster.partitions) {
    PartitionSpec& made = partitions.emplace_back();
    made.name = partition.name.str();
    for (const auto& name : partition.pools) {
      for (uint32_t p = 0; p < options.cluster.pools.size(); ++p) {
        if (options.cluster.pools[p].name == name) made.pools.push_back(p);
      }
    }
  }
  return partitions;
}

std::string text_of(model::SlurmNodeState state) {
  static constexpr const char* bases[] = {"UNKNOWN", "DOWN", "ERROR", "IDLE", "ALLOCATED", "MIXED", "FUTURE"};
  static constexpr std::pair<model::NodeFlag, const char*> flags[] = {
      {model::node_drain, "DRAIN"},
      {model::node_completing, "COMPLETING"},
      {model::node_not_responding, "NOT_RESPONDING"},
      {model::node_fail, "FAIL"},
      {model::node_powered_down, "POWERED_DOWN"},
      {model::node_powering_up, "POWERING_UP"},
      {model::node_powering_down, "POWERING_DOWN"},
      {model::node_power_down_requested, "POWER_DOWN"},
      {model::node_power_up_requested, "POWER_UP"},
  };
  std::string text = bases[static_cast<size_t>(state.base)];
  for (const auto& [flag, name] : flags) {
    if (state.has(flag)) text += std::string("+") + name;
  }
  return text;
}

const char* text_of(JobState state) {
  switch (state) {
    case JobState::pending:
      return "waits";
    case JobState::configuring:
      return "waits for its nodes";
    case JobState::running:
      return "runs";
    case JobState::completing:
      return "completes";
    case JobState::done:
      return "is done";
    case JobState::failed:
      return "failed";
    case JobState::cancelled:
      return "is cancelled";
  }
  return "";
}

}  // namespace

World::World(WorldOptions world_options)
    : options(std::move(world_options)),
      spec(spec_of(options)),
      timeline(world_begins),
      random(options.seed),
      slurm(timeline, random.fork(), spec.pools, partitions_of(options), options.slurm),
      cloud(timeline, random.fork(), spec.pools, options.cloud),
      invariants(*this, options.check),
      agents(*this, random.fork(), options.agents),
      users(*this, random.fork()),
      faults(*this, random.fork()),
      hooks_(random.fork()) {
  if (options.trace) trace.turn_on();
  boots.resize(spec.pools.size());
  for (const auto& node : slurm.nodes()) states_.push_back(node.slurm);
  slurm.on_hook = [this](const slurm::Hint& hint) { on_hook(hint); };
  slurm.on_node_state = [this](uint32_t node) { on_node_state(node); };
  slurm.on_job_state = [this](const Job& job) { on_job_state(job); };
  cloud.on_booted = [this](uint32_t machine) {
    note_new_machines();
    ++cloud_version;
    const Duration delay = boot_delays_[machine];
    if (delay == Duration(0)) return agents.booted(machine);
    if (delay < Duration(0)) return;
    timeline.after(delay, [this, machine] {
      if (cloud.machines()[machine].ended_at == TimePoint{}) agents.booted(machine);
    });
  };
  cloud.on_reboot = [this](uint32_t machine) { agents.rebooting(machine); };
  cloud.on_ended = [this](uint32_t machine) {
    note_new_machines();
    ++cloud_version;
    if (trace.on()) tell({.node = agents.machine(machine).node, .machine = machine}, machine_name(machine) + " ended");
    invariants.machine_ended(machine);
    agents.ended(machine);
    const TimePoint vanishes = cloud.machines()[machine].vanish_at;
    if (vanishes > now()) timeline.at(vanishes, [this] { ++cloud_version; });
  };
  cloud.on_notice = [this](uint32_t machine) {
    ++cloud_version;
    if (trace.on()) tell({.machine = machine}, machine_name(machine) + " will be taken by the provider");
    invariants.eviction_noticed(machine);
    agents.noticed_eviction(machine);
  };
  for (uint32_t d = 0; d < options.daemons; ++d) daemons.push_back(std::make_unique<Daemon>(*this, d, random.fork()));
  for (auto& daemon : daemons) daemon->start();
}

World::~World() = default;

void World::run_until(TimePoint end) {
  while (!timeline.empty() && timeline.next_at() <= end) {
    if (invariants.violated()) return;
    timeline.step();
  }
  if (!invariants.violated()) timeline.run_until(end);
}

bool World::jobs_done() const {
  const auto& jobs = slurm.all_jobs();
  return std::all_of(jobs.begin(), jobs.end(), [](const auto& entry) {
    const JobState state = entry.second.state;
    return state == JobState::done || state == JobState::failed || state == JobState::cancelled;
  });
}

// --- the lease ---

Daemon* World::holder() {
  if (lease.holder >= daemons.size()) return nullptr;
  Daemon& daemon = *daemons[lease.holder];
  return daemon.running() && daemon.holds_lease() ? &daemon : nullptr;
}

void World::holder_began(uint32_t daemon) {
  if (trace.on()) {
    tell({}, "slipwayd " + std::to_string(daemon + 1) + " holds the lease, epoch " + std::to_string(lease.epoch));
  }
  agents.daemon_ended();
  agents.daemon_began();
  // Those that another one answered until now find this one.
  for (Prolog& prolog : prologs_) {
    if (prolog.silent_since == TimePoint{}) prolog.silent_since = now();
  }
  look_after_prologs();
}

void World::holder_ended() {
  agents.daemon_ended();
  holder_frozen();
}

void World::holder_frozen() {
  for (Prolog& prolog : prologs_) {
    if (prolog.silent_since == TimePoint{}) prolog.silent_since = now();
  }
  look_after_prologs();
  wake_the_others();
}

void World::wake_the_others() {
  for (auto& daemon : daemons) {
    if (daemon->number() == lease.holder) continue;
    const TimePoint at =
        std::max(now(), lease.renewed_at + lease_valid) + hooks_.between(Duration(0), lease_tried_every);
    timeline.at(at, [other = daemon.get()] { other->look_for_lease(); });
  }
}

// --- slurmctld's programs ---

void World::on_hook(const slurm::Hint& hint) {
  if (hint.kind != slurm::HintKind::job_start) {
    if (hooks_.chance(lose_hook)) return;
    deliver_hint(hint);
    if (hooks_.chance(repeat_hook)) deliver_hint(hint);
    return;
  }
  std::erase_if(prologs_, [&](const Prolog& prolog) { return prolog.job == hint.job; });
  prologs_.push_back({hint.job, hint.nodes, TimePoint{}});
  if (holder() == nullptr) {  // without a daemon it ends at once
    timeline.after(hook_delay, [this, job = hint.job] { prolog_ends(job); });
    return;
  }
  if (holder()->frozen()) {
    prologs_.back().silent_since = now();
    look_after_prologs();
  }
  deliver_hint(hint);
}

void World::deliver_hint(const slurm::Hint& hint) {
  Duration delay = hook_delay;
  if (hooks_.chance(delay_hook)) delay = hooks_.between(hook_delay, hook_delay_longest);
  timeline.after(delay, [this, hint] {
    // The prolog of a job that was requeued meanwhile is gone, and a late word of it with it.
    const bool gone = hint.kind == slurm::HintKind::job_start &&
                      std::none_of(prologs_.begin(), prologs_.end(), [&](const Prolog& prolog) {
                        return prolog.job == hint.job && prolog.nodes == hint.nodes;
                      });
    if (gone) return;
    if (Daemon* daemon = holder()) daemon->on_hint(hint);
  });
}

// Prologs whose daemon says nothing try again, and give up in the end.
void World::look_after_prologs() {
  if (prologs_looked_after_) return;
  const bool any = std::any_of(prologs_.begin(), prologs_.end(),
                               [](const Prolog& prolog) { return prolog.silent_since != TimePoint{}; });
  if (!any) return;
  prologs_looked_after_ = true;
  timeline.after(hook_retries, [this] {
    prologs_looked_after_ = false;
    Daemon* daemon = holder();
    std::vector<JobId> over;
    for (Prolog& prolog : prologs_) {
      if (prolog.silent_since == TimePoint{}) continue;
      if (daemon != nullptr && !daemon->frozen()) {
        prolog.silent_since = TimePoint{};
        slurm::Hint hint;
        hint.kind = slurm::HintKind::job_start;
        hint.job = prolog.job;
        hint.nodes = prolog.nodes;
        daemon->on_hint(hint);
      } else if (now() >= prolog.silent_since + hook_gives_up) {
        over.push_back(prolog.job);
      }
    }
    for (const JobId job : over) prolog_ends(job);
    look_after_prologs();
  });
}

void World::prolog_ends(JobId job) {
  if (std::erase_if(prologs_, [job](const Prolog& prolog) { return prolog.job == job; }) == 0) return;
  slurm.start_job(job);
}

// --- what happens ---

void World::update(const slurm::NodeUpdate& update) {
  if (trace.on() && update.change != slurm::NodeChange::bind) {
    static constexpr const char* names[] = {"BIND",     "DOWN",   "POWER_DOWN", "POWER_DOWN_FORCE",
                                            "POWER_UP", "RESUME", "DRAIN",      "UNDRAIN"};
    for (const NodeName& name : update.nodes) {
      tell({.node = slurm.index_of(name)}, name.str() + " is told " + names[static_cast<size_t>(update.change)] +
                                               (update.reason.empty() ? "" : " (" + update.reason + ")") +
                                               (update.jobs_may_restart ? " at once" : ""));
    }
  }
  const Result<void> done = slurm.update(update);
  if (!done && trace.on()) tell({}, "slurmctld refuses: " + done.error().message);
  nodes_changed = true;
}

void World::on_node_state(uint32_t node) {
  nodes_changed = true;
  const model::SlurmNodeState before = states_[node];
  const model::SlurmNodeState after = slurm.nodes()[node].slurm;
  if (before == after) return;
  states_[node] = after;
  if (trace.on()) tell({.node = node}, node_name(node) + " " + text_of(before) + " → " + text_of(after));
  invariants.node_changed(node, before, after);
  if (on_node) on_node(node);
}

void World::on_job_state(const Job& job) {
  jobs_changed = true;
  if (job.state != JobState::configuring) {
    const auto closed = std::erase_if(prologs_, [&](const Prolog& prolog) { return prolog.job == job.id; });
    if (Daemon* daemon = closed > 0 ? holder() : nullptr) daemon->on_prolog_closed(job.id);
  }
  if (trace.on()) {
    std::string text = "job " + std::to_string(job.id) + " " + text_of(job.state);
    if (job.state == JobState::pending) text += ": " + std::to_string(job.request.nodes) + " nodes";
    for (size_t i = 0; i < job.nodes.size() && i < 8; ++i) text += (i == 0 ? ": " : ", ") + node_name(job.nodes[i]);
    if (job.nodes.size() > 8) text += ", …";
    tell({.node = job.nodes.empty() ? nobody : job.nodes.front(), .job = job.id}, text);
  }
  invariants.job_changed(job);
  if (on_job) on_job(job);
}

void World::note_new_machines() {
  const auto& machines = cloud.machines();
  for (; machines_noted_ < machines.size(); ++machines_noted_) {
    const auto machine = static_cast<uint32_t>(machines_noted_);
    const Machine& made = machines[machine];
    ++cloud_version;
    Boots& lever = boots[made.pool];
    boot_delays_.push_back(lever.never > 0 ? Duration(-1) : lever.later);
    if (lever.never > 0) --lever.never;
    for (const TimePoint at : {made.visible_at, made.running_at}) {
      if (at > now()) timeline.at(at, [this] { ++cloud_version; });
    }
    if (trace.on()) {
      const model::Instance& instance = made.instance;
      tell({.machine = machine}, instance.id.str() + " is made for " + instance.pool.str() + " (" +
                                     std::string(to_string(instance.market)) + ", " + instance.offer.machine +
                                     ", zone " + instance.offer.zone + ") " + instance.launch_token);
    }
    invariants.machine_made(machine);
  }
}

void World::slurm_stops(bool lose_unsaved) {
  if (!slurm.answers()) return;
  if (trace.on()) tell({}, lose_unsaved ? "slurmctld is killed" : "slurmctld stops");
  prologs_.clear();
  slurm.stop(lose_unsaved);
  nodes_changed = jobs_changed = true;
}

void World::slurm_starts() {
  if (slurm.answers()) return;
  if (trace.on()) tell({}, "slurmctld starts");
  slurm.start();
  nodes_changed = jobs_changed = true;
}

void World::slurm_fails_over() {
  if (trace.on()) tell({}, "slurmctld fails over");
  prologs_.clear();
  slurm.fail_over();
  nodes_changed = jobs_changed = true;
}

}  // namespace slipway::sim
