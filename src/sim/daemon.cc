#include "sim/daemon.h"

#include <algorithm>
#include <utility>

#include "sim/latency.h"
#include "sim/world.h"

namespace slipway::sim {

using engine::AgentState;

namespace {

constexpr uint32_t none = UINT32_MAX;
constexpr Duration provider_back_off_max{10'000};
constexpr Duration no_budget{1'000};
constexpr Duration suspect_again[] = {Duration(60), Duration(200), Duration(600), Duration(1'500)};
constexpr Duration quick_look{150};
constexpr int quick_looks_max = 20;
constexpr Duration bind_lull{200};
constexpr Duration bind_patience{1'000};
constexpr size_t commands_max = 64;
constexpr Duration hook_word{5};

// The daemon's own small decisions, as src/daemon/ makes them.
bool is_between(engine::Situation situation) {
  switch (situation) {
    case engine::Situation::not_ours:
    case engine::Situation::asleep:
    case engine::Situation::serving:
    case engine::Situation::idle_kept:
    case engine::Situation::set_aside:
      return false;
    default:
      return true;
  }
}

bool ends_waiting(model::SlurmNodeState state) {
  const bool down = state.base == model::NodeBase::down || state.base == model::NodeBase::error;
  if (down) return true;  // the job has lost it, or is about to
  // POWER_UP isn't among them: it stays with a node that came up before slurmctld looked at the request.
  constexpr uint32_t not_yet =
      model::node_powered_down | model::node_powering_up | model::node_powering_down | model::node_not_responding;
  return (state.flags & not_yet) == 0;
}

Duration unhurried(Duration quick, Duration slow, Duration quiet_for) {
  return std::clamp(quiet_for / 10, quick, slow);
}

slurm::NodeChange change_of(engine::Tell tell) {
  switch (tell) {
    case engine::Tell::hold:
    case engine::Tell::hold_resumed:
    case engine::Tell::down:
      return slurm::NodeChange::down;
    case engine::Tell::power_down:
      return slurm::NodeChange::power_down;
    case engine::Tell::power_up:
      return slurm::NodeChange::power_up;
    case engine::Tell::resume:
      return slurm::NodeChange::resume;
    case engine::Tell::drain:
      return slurm::NodeChange::drain;
  }
  return slurm::NodeChange::resume;
}

slurm::JobChange change_of(engine::TellJob tell) {
  switch (tell) {
    case engine::TellJob::signal:
      return slurm::JobChange::signal;
    case engine::TellJob::requeue:
      return slurm::JobChange::requeue;
    case engine::TellJob::comment:
      return slurm::JobChange::comment;
  }
  return slurm::JobChange::comment;
}

bool same(const engine::InstanceView& seen, const model::Instance& now) {
  return seen.id == now.id && seen.state == now.state && seen.evict_at == now.evict_at &&
         seen.trouble == now.trouble.has_value() && seen.address == now.address;
}

bool does_something(const engine::Plan& plan) {
  return !plan.binds.empty() || !plan.restarts.empty() || !plan.launches.empty() || !plan.terminations.empty() ||
         !plan.tells.empty() || !plan.job_tells.empty();
}

}  // namespace

Daemon::Daemon(World& world, uint32_t number, Random random) : world_(world), number_(number), random_(random) {
  life_ = number;
}

TimePoint Daemon::clock() const {
  return world_.now() + clock_error_;
}

// --- life ---

void Daemon::start() {
  if (running_) return;
  running_ = true;
  life_ += 16;  // never one of another daemon's
  clock_error_ = world_.clock_error;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " starts");
  look_for_lease();
}

void Daemon::look_for_lease() {
  if (!running_ || frozen_ || holds_) return;
  World::Lease& lease = world_.lease;
  const bool mine = lease.holder == number_;
  // Who holds it and runs renews it; what is left of it counts from the last time.
  if (lease.holder != nobody && !mine) {
    const Daemon& other = *world_.daemons[lease.holder];
    const bool renewed = other.running_ && other.holds_ && !other.frozen_;
    if (renewed || world_.now() < lease.renewed_at + World::lease_valid) return;
  }
  lease.holder = number_;
  lease.renewed_at = world_.now();
  epoch_ = ++lease.epoch;
  holds_ = true;
  valid_until_ = TimePoint::max();  // it renews it, unless it is frozen
  begin();
}

bool Daemon::keeps_lease() {
  if (holds_ && world_.lease.epoch == epoch_ && world_.now() < valid_until_) return true;
  if (running_) {
    if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " lost its lease and ends");
    kill(world_.options.daemon.restart);
  }
  return false;
}

void Daemon::begin() {
  view_ = engine::View{};
  view_.utc_offset = world_.options.utc_offset;
  memory_ = engine::Memory{};
  listed_ = false;
  everything_ = true;
  machine_of_.clear();
  instance_of_.clear();
  known_.clear();
  seen_nodes_.clear();
  prologs_.clear();
  commands_.clear();
  command_in_flight_ = false;
  binds_.clear();
  slurm_poller_ = Poller{.timer = slurm_poller_.timer + 1};
  provider_poller_ = Poller{.timer = provider_poller_.timer + 1};
  jobs_wanted_ = false;
  provider_failures_ = 0;
  suspicion_ = 99;
  quick_looks_ = 0;
  launches_in_flight_ = 0;
  ++look_timer_;
  ++round_timer_;
  ++bind_timer_;
  round_due_ = TimePoint::max();
  changed_at_ = clock();
  moment_ = clock();
  slurm_decided_ = TimePoint{};
  provider_decided_ = TimePoint{};
  look_again_ = TimePoint{};
  dirty_ = true;
  between_ = false;
  world_.jobs_changed = true;
  world_.holder_began(number_);
  world_.invariants.daemon_began(number_);
  ask_slurm_now();
  ask_provider_now();
}

void Daemon::kill(Duration back_in) {
  if (!running_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " ends");
  const bool held = holds_ && world_.lease.epoch == epoch_;
  running_ = false;
  holds_ = false;
  frozen_ = false;
  fuse_ = none;
  backlog_.clear();
  ++slurm_poller_.timer;
  ++provider_poller_.timer;
  ++look_timer_;
  ++round_timer_;
  ++bind_timer_;
  ++restarts_;
  world_.invariants.daemon_ended(number_);
  if (held) {
    world_.lease.renewed_at = world_.now() - random_.between(Duration(0), World::lease_renewed_every);
    world_.holder_ended();
  }
  world_.timeline.after(back_in, [this, restart = restarts_] {
    if (restarts_ == restart) start();
  });
}

void Daemon::blow_fuse_in(uint32_t steps, Duration time, bool kills) {
  fuse_ = steps;
  fuse_time_ = time;
  fuse_kills_ = kills;
}

void Daemon::freeze(Duration time) {
  if (!running_ || frozen_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " freezes");
  frozen_ = true;
  if (holds_ && world_.lease.epoch == epoch_) {
    world_.lease.renewed_at = world_.now() - random_.between(Duration(0), World::lease_renewed_every);
    valid_until_ = world_.lease.renewed_at + World::lease_valid - World::lease_margin;
    world_.holder_frozen();
  }
  world_.timeline.after(time, [this, life = life_] {
    if (life == life_) thaw();
  });
}

void Daemon::thaw() {
  if (!running_ || !frozen_) return;
  if (world_.trace.on()) world_.tell({}, "slipwayd " + std::to_string(number_ + 1) + " thaws");
  frozen_ = false;
  if (!holds_) return look_for_lease();
  auto backlog = std::exchange(backlog_, {});
  for (auto& [life, what] : backlog) {
    if (!running_ || !keeps_lease()) return;
    in_this_life(life, std::move(what));
  }
  if (!running_ || !keeps_lease() || frozen_) return;
  valid_until_ = TimePoint::max();
  after_look();
}

void Daemon::in_this_life(uint64_t life, std::function<void()> what) {
  if (!running_ || life != life_) return;
  if (frozen_) {
    backlog_.emplace_back(life, std::move(what));
  } else {
    what();
  }
}

// --- looking at Slurm ---

void Daemon::on_hint(const slurm::Hint& hint) {
  in_this_life(life_, [this, hint] {
    if (!holds_) return;
    if (hint.kind == slurm::HintKind::job_start) {
      std::erase_if(prologs_, [&](const Waiting& one) { return one.job == hint.job; });
      prologs_.push_back({hint.job, hint.nodes, clock()});
      something_to_see_ = true;
    }
    ask_slurm_now();
  });
}

void Daemon::on_prolog_closed(JobId job) {
  in_this_life(life_, [this, job] { std::erase_if(prologs_, [job](const Waiting& one) { return one.job == job; }); });
}

void Daemon::ask_slurm_now() {
  if (!holds_) return;
  Poller& poller = slurm_poller_;
  if (poller.in_flight) {
    poller.again = true;
    return;
  }
  ++poller.timer;
  poller.due = TimePoint::max();
  poller.in_flight = true;
  ask_slurm();
}

void Daemon::ask_slurm_within(Duration delay) {
  Poller& poller = slurm_poller_;
  const TimePoint at = world_.now() + delay;
  if (poller.due <= at) return;
  poller.due = at;
  world_.timeline.at(at, [this, timer = ++poller.timer] {
    if (timer == slurm_poller_.timer) in_this_life(life_, [this] { ask_slurm_now(); });
  });
}

void Daemon::slurm_finished() {
  slurm_poller_.in_flight = false;
  if (std::exchange(slurm_poller_.again, false)) ask_slurm_now();
}

void Daemon::ask_slurm() {
  const bool reached = world_.daemon_reaches_slurm;
  if (!reached || !world_.slurm.answers()) {
    const Duration patience =
        reached ? draw_latency(random_, world_.options.daemon.slurm_command) : world_.options.daemon.slurm_timeout;
    world_.timeline.after(patience, [this, life = life_] {
      in_this_life(life, [this] {
        view_.slurm_known = false;
        everything_ = true;
        slurm_finished();
        ask_slurm_within(world_.options.daemon.slurm_quick);
      });
    });
    return;
  }
  const TimePoint as_of = clock();
  if (!everything_ && !world_.nodes_changed && !world_.jobs_changed && !something_to_see_) {
    view_.slurm_as_of = as_of;
    if (jobs_wanted_) view_.jobs_as_of = as_of;
    slurm_finished();
    after_look();
    return;
  }
  something_to_see_ = false;
  seen_nodes_.clear();
  const auto changed = world_.take_changed_nodes();
  world_.nodes_changed = false;
  const auto& nodes = world_.slurm.nodes();
  if (everything_) {
    for (uint32_t i = 0; i < nodes.size(); ++i) seen_nodes_.emplace_back(i, nodes[i]);
  } else {
    for (const uint32_t i : changed) seen_nodes_.emplace_back(i, nodes[i]);
  }
  world_.timeline.after(draw_latency(random_, world_.options.daemon.slurm_command),
                        [this, life = life_, as_of] { in_this_life(life, [this, as_of] { slurm_answered(as_of); }); });
}

void Daemon::slurm_answered(TimePoint as_of) {
  const bool all = view_.nodes.size() != world_.slurm.nodes().size();
  if (all) view_.nodes.resize(world_.slurm.nodes().size());
  if (everything_) everything_ = false;
  if (!seen_nodes_.empty() || !view_.slurm_known) dirty_ = true;
  for (auto& [index, node] : seen_nodes_) view_.nodes[index] = std::move(node);
  seen_nodes_.clear();
  if (!view_.slurm_known) view_.slurm_since = as_of;
  view_.slurm_known = true;
  view_.slurm_as_of = as_of;
  if (std::exchange(world_.jobs_changed, false)) copy_jobs();
  if (jobs_wanted_) view_.jobs_as_of = as_of;
  check_prologs();
  if (quick_looks_ > 0) --quick_looks_;
  const uint64_t life = life_;
  slurm_finished();
  if (running_ && life == life_) after_look();
}

void Daemon::copy_jobs() {
  dirty_ = true;
  if (!jobs_wanted_) {
    view_.jobs = world_.slurm.starting_jobs();
    view_.pending.clear();
    return;
  }
  view_.jobs = world_.slurm.jobs();
  view_.pending = world_.slurm.pending();
}

// Says "go" to the jobs whose nodes are ready in a look that began after their prolog.
void Daemon::check_prologs() {
  std::erase_if(prologs_, [&](const Waiting& one) {
    if (view_.slurm_as_of < one.since) {
      something_to_see_ = true;  // this look proves nothing for it
      return false;
    }
    for (const NodeName& name : one.nodes) {
      const uint32_t node = world_.slurm.index_of(name);
      if (node < view_.nodes.size() && !ends_waiting(view_.nodes[node].slurm)) return false;
    }
    world_.timeline.after(hook_word, [world = &world_, job = one.job] { world->prolog_ends(job); });
    return true;
  });
}

// --- looking at the provider ---

void Daemon::ask_provider_now() {
  if (!holds_) return;
  Poller& poller = provider_poller_;
  if (poller.in_flight) {
    poller.again = true;
    return;
  }
  ++poller.timer;
  poller.due = TimePoint::max();
  poller.in_flight = true;
  ask_provider();
}

void Daemon::ask_provider_within(Duration delay) {
  Poller& poller = provider_poller_;
  const TimePoint at = world_.now() + delay;
  if (poller.due <= at) return;
  poller.due = at;
  world_.timeline.at(at, [this, timer = ++poller.timer] {
    if (timer == provider_poller_.timer) in_this_life(life_, [this] { ask_provider_now(); });
  });
}

void Daemon::provider_finished() {
  provider_poller_.in_flight = false;
  if (std::exchange(provider_poller_.again, false)) ask_provider_now();
}

void Daemon::ask_provider() {
  const TimePoint asked = clock();
  if (world_.options.skip_looks && listed_ && view_.instances_complete && listed_version_ == world_.cloud_version) {
    view_.instances_as_of = asked;
    provider_finished();
    after_look();
    return;
  }
  if (!engine::take_call(memory_, world_.spec, 0, asked)) {
    provider_poller_.in_flight = false;
    provider_poller_.again = false;
    ask_provider_within(no_budget);
    return;
  }
  world_.invariants.call_made();
  world_.cloud.list([this, life = life_, asked, version = world_.cloud_version](Result<cloud::Listing> listing) {
    in_this_life(life, [this, asked, version, listing = std::move(listing)]() mutable {
      provider_answered(asked, version, std::move(listing));
    });
  });
}

void Daemon::provider_answered(TimePoint asked, uint64_t version, Result<cloud::Listing> listing) {
  const DaemonOptions& options = world_.options.daemon;
  if (!listing) {
    if (listing.error().code == ErrorCode::throttled) engine::throttled(memory_, 0, listing.error(), clock());
    dirty_ |= view_.instances_complete;
    view_.instances_complete = false;
    const Duration wait = options.provider_quick * (1 << std::min(provider_failures_++, 8));
    provider_finished();
    ask_provider_within(std::min(listing.error().retry_after.value_or(wait), provider_back_off_max));
    after_look();
    return;
  }
  provider_failures_ = 0;
  heed_troubles(listing->troubles);
  listed_version_ = version;
  auto& now = listing->instances;
  bool same_as_before = now.size() == view_.instances.size() && listing->complete == view_.instances_complete;
  for (size_t i = 0; same_as_before && i < now.size(); ++i) same_as_before = same(view_.instances[i], now[i]);
  // What it is true of, by the clock of who asked.
  view_.instances_as_of = asked;
  view_.instances_complete = listing->complete;
  listed_ |= listing->complete;
  if (!same_as_before) {
    dirty_ = true;
    changed_at_ = clock();
    take_instances(now);
  }
  for (size_t i = 0; i < machine_of_.size(); ++i) {
    if (machine_of_[i] < known_.size() && known_[machine_of_[i]].connected && !known_[machine_of_[i]].welcomed) {
      admit(machine_of_[i]);
    }
  }
  provider_finished();
  after_look();
}

void Daemon::take_instances(std::vector<model::Instance>& now) {
  world_.note_new_machines();
  view_.instances.clear();
  machine_of_.clear();
  std::fill(instance_of_.begin(), instance_of_.end(), none);
  for (model::Instance& instance : now) {
    const uint32_t machine = world_.cloud.index_of(instance.id);
    engine::InstanceView& view = view_.instances.emplace_back();
    view.id = std::move(instance.id);
    view.pool = world_.cloud.machines()[machine].pool;
    view.state = instance.state;
    view.address = std::move(instance.address);
    view.launch_token = std::move(instance.launch_token);
    view.launched_at = instance.launched_at;
    view.market = instance.market;
    view.offer = std::move(instance.offer);
    view.placement = std::move(instance.placement);
    view.evict_at = instance.evict_at;
    view.trouble = instance.trouble.has_value();
    if (instance.trouble) view.message = instance.trouble->message;
    Known& agent = known(machine);
    if (view.state == model::InstanceState::gone) agent = Known{};
    machine_of_.push_back(machine);
    instance_of_[machine] = static_cast<uint32_t>(machine_of_.size() - 1);
    see_agent(machine);
  }
}

void Daemon::heed_troubles(const std::vector<cloud::PoolTrouble>& troubles) {
  for (const cloud::PoolTrouble& trouble : troubles) {
    engine::Trouble heard;
    for (engine::PoolIndex p = 0; p < world_.spec.pools.size(); ++p) {
      if (world_.spec.pools[p].name == trouble.pool) heard.pool = p;
    }
    heard.token = trouble.launch_token;
    heard.market = trouble.market;
    heard.offer = trouble.offer;
    heard.count = trouble.count;
    heard.error = trouble.error;
    if (world_.trace.on()) {
      world_.tell({}, trouble.pool.str() + " in trouble: " + trouble.error.message + ", " +
                          std::to_string(trouble.count) + " machines " + trouble.launch_token);
    }
    engine::trouble_reported(memory_, world_.spec, heard, clock());
    world_.invariants.refusal_heard(heard.pool);
    dirty_ = true;
  }
}

// --- agents ---

Daemon::Known& Daemon::known(uint32_t machine) {
  if (machine >= known_.size()) known_.resize(machine + 1);
  if (machine >= instance_of_.size()) instance_of_.resize(machine + 1, none);
  return known_[machine];
}

void Daemon::see_agent(uint32_t machine) {
  const Known& agent = known(machine);
  const uint32_t index = instance_of_[machine];
  if (index == none || !agent.heard) return;
  engine::InstanceView& view = view_.instances[index];
  view.agent = agent.silent ? AgentState::silent : agent.said.state;
  view.bound = agent.said.node == none ? NodeName() : view_name(agent.said.node);
  view.agent_since = agent.since;
  view.slurmd_started = agent.said.slurmd_started;
  if (agent.said.evict_at != TimePoint{}) view.evict_at = agent.said.evict_at;
  if (agent.said.failed_prep) view.message = "prep script: exit status 1";
  dirty_ = true;
}

const NodeName& Daemon::view_name(uint32_t node) const {
  return world_.slurm.nodes()[node].name;
}

void Daemon::on_connect(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    agent.connected = true;
    agent.welcomed = false;
    agent.silent = false;
    admit(machine);
  });
}

void Daemon::admit(uint32_t machine) {
  Known& agent = known(machine);
  const uint32_t index = instance_of_[machine];
  if (index == none || view_.instances[index].state == model::InstanceState::gone) {
    if (provider_failures_ == 0) ask_provider_within(world_.options.daemon.provider_quick);
    return;
  }
  agent.welcomed = true;
  world_.timeline.after(draw_latency(random_, world_.options.agents.message),
                        [agents = &world_.agents, machine, life = life_] { agents->welcome(machine, life); });
}

void Daemon::on_report(uint32_t machine, const AgentReport& report) {
  in_this_life(life_, [this, machine, report] {
    Known& agent = known(machine);
    const bool same_phase = agent.heard && !agent.silent && agent.said.state == report.state;
    const bool first = !agent.heard;
    if (!same_phase) agent.since = clock();
    agent.heard = true;
    agent.silent = false;
    agent.said = report;
    if (report.state != AgentState::waiting && report.node != none) agent.assigned = report.node;
    const bool resend = report.state == AgentState::waiting && report.node == none && agent.assigned != none && !first;
    if (resend) {
      // The binding may have been lost with an earlier connection.
      const auto remembered = memory_.nodes.find(view_name(agent.assigned));
      const bool meant = remembered != memory_.nodes.end() && world_.cloud.machines().size() > machine &&
                         remembered->second.bound == world_.cloud.machines()[machine].instance.id;
      if (meant) send_name(agent.assigned, machine);
    }
    see_agent(machine);
    if (report.state == AgentState::serving && !prologs_.empty()) {
      quick_looks_ = quick_looks_max;
      something_to_see_ = true;
      ask_slurm_within(quick_look);
    }
    ask_round(world_.options.daemon.gather);
  });
}

void Daemon::send_name(uint32_t node, uint32_t machine) {
  known(machine).assigned = node;
  if (!known(machine).connected || world_.agents.options.loses_binds) return;
  world_.timeline.after(draw_latency(random_, world_.options.agents.message),
                        [agents = &world_.agents, machine, node, epoch = epoch_, life = life_] {
                          agents->bind(machine, node, epoch, life);
                        });
}

void Daemon::on_connection_lost(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    if (!agent.connected) return;
    agent.connected = false;
    agent.welcomed = false;
    agent.silent = true;
    agent.since = clock();
    see_agent(machine);
    suspect(machine);
  });
}

void Daemon::on_silence(uint32_t machine) {
  in_this_life(life_, [this, machine] {
    Known& agent = known(machine);
    if (!agent.heard || agent.silent) return;
    agent.silent = true;
    agent.since = clock();
    see_agent(machine);
    ask_round(world_.options.daemon.gather);
  });
}

void Daemon::suspect(uint32_t machine) {
  ask_round(world_.options.daemon.gather);
  const uint32_t index = instance_of_[machine];
  if (index == none || !(view_.instances[index].state == model::InstanceState::pending ||
                         view_.instances[index].state == model::InstanceState::running)) {
    return;
  }
  ask_provider_now();
  suspicion_ = 0;
  look_closer();
}

void Daemon::look_closer() {
  if (suspicion_ >= std::size(suspect_again)) return;
  world_.timeline.after(suspect_again[suspicion_++], [this, life = life_] {
    in_this_life(life, [this] {
      ask_provider_now();
      look_closer();
    });
  });
}

// --- deciding ---

void Daemon::ask_round(Duration within) {
  const TimePoint due = world_.now() + within;
  if (round_due_ <= due) return;
  round_due_ = due;
  world_.timeline.at(due, [this, timer = ++round_timer_] {
    if (timer != round_timer_) return;
    round_due_ = TimePoint::max();
    in_this_life(life_, [this] { round(); });
  });
}

bool Daemon::is_due() const {
  if (dirty_) return true;
  if (look_again_ != TimePoint{} && clock() >= look_again_) return true;
  const auto younger = [&](TimePoint as_of, TimePoint decided) { return as_of > decided && decided < moment_; };
  return younger(view_.slurm_as_of, slurm_decided_) || younger(view_.instances_as_of, provider_decided_);
}

void Daemon::after_look() {
  if (!holds_) return;
  if (!view_.slurm_known || !listed_) {
    ask_provider_within(world_.options.daemon.provider_slow);
    ask_slurm_within(world_.options.daemon.slurm_quick);
  } else if (is_due()) {
    round();
  } else if (world_.options.daemon.doubt > 0 && random_.chance(world_.options.daemon.doubt)) {
    engine::Plan plan = decide();
    world_.invariants.decided(view_, plan, true);
    set_pace();
  } else {
    set_pace();
  }
}

engine::Plan Daemon::decide() {
  ++rounds_;
  if (world_.options.decide) return world_.options.decide(view_, world_.spec, memory_, clock());
  return engine::decide(view_, world_.spec, memory_, clock());
}

void Daemon::round() {
  if (!holds_ || !view_.slurm_known || !listed_) return after_look();
  if (!keeps_lease()) return;
  const TimePoint now = clock();
  const bool caused = dirty_ || (look_again_ != TimePoint{} && now >= look_again_);
  engine::Plan plan = decide();
  world_.invariants.decided(view_, plan, false);
  const bool acted = does_something(plan);
  if (caused || acted) moment_ = now;
  dirty_ = false;
  slurm_decided_ = view_.slurm_as_of;
  provider_decided_ = view_.instances_as_of;
  look_again_ = plan.look_again;
  between_ = std::any_of(plan.situations.begin(), plan.situations.end(), is_between);
  if (acted || !plan.notes.empty()) changed_at_ = now;
  if (plan.jobs_wanted != jobs_wanted_) {
    jobs_wanted_ = plan.jobs_wanted;
    world_.jobs_changed = true;
    if (jobs_wanted_) ask_slurm_now();
  }
  if (world_.trace.on()) tell_notes(plan);
  if (acted) {
    const uint64_t life = life_;
    execute(std::move(plan), 0);
    if (!running_ || life_ != life || frozen_) return;
  }
  set_pace();
  ++look_timer_;
  if (look_again_ > now && look_again_ - now < world_.options.daemon.slurm_slow) {
    // What is decided then must rest on a fresh look at Slurm.
    world_.timeline.after(std::max(look_again_ - now, Duration(20)), [this, timer = look_timer_] {
      if (timer == look_timer_) in_this_life(life_, [this] { ask_slurm_now(); });
    });
  }
}

void Daemon::set_pace() {
  const DaemonOptions& options = world_.options.daemon;
  const Duration quiet = clock() - changed_at_;
  if (!prologs_.empty() && quick_looks_ > 0) {
    something_to_see_ = true;
    ask_slurm_within(quick_look);
  }
  ask_slurm_within(between_ ? unhurried(options.slurm_quick, options.slurm_slow, quiet) : options.slurm_slow);
  const bool busy = between_ || is_anything_moving() || !view_.instances_complete;
  ask_provider_within(busy ? unhurried(options.provider_quick, options.provider_slow, quiet) : options.provider_slow);
}

bool Daemon::is_anything_moving() const {
  if (launches_in_flight_ > 0 || !memory_.launches.empty()) return true;
  return std::any_of(view_.instances.begin(), view_.instances.end(), [](const engine::InstanceView& instance) {
    return instance.state == model::InstanceState::pending || instance.state == model::InstanceState::stopping ||
           (instance.state == model::InstanceState::running && instance.bound.empty());
  });
}

void Daemon::tell_notes(const engine::Plan& plan) {
  for (const engine::Note& note : plan.notes) {
    About about;
    if (!note.node.empty()) about.node = world_.slurm.index_of(note.node);
    if (!note.instance.empty()) about.machine = world_.cloud.index_of(note.instance);
    about.job = note.job;
    world_.tell(about, "decide: " + note.kind + ": " + note.message);
  }
}

// --- acting ---

bool Daemon::step(engine::Plan& plan, size_t position) {
  if (!keeps_lease()) return false;
  if (fuse_ == none) return true;
  if (fuse_-- > 0) return true;
  fuse_ = none;
  world_.invariants.fault();
  if (fuse_kills_) {
    kill(fuse_time_);
    return false;
  }
  // It goes on with this very step after the thaw.
  freeze(fuse_time_);
  auto rest = std::make_shared<engine::Plan>(std::move(plan));
  backlog_.emplace_back(life_, [this, rest, position] { execute(std::move(*rest), position); });
  return false;
}

// What somebody waits for goes first: names, then machines, then what only tidies up.
void Daemon::execute(engine::Plan plan, size_t from) {
  size_t position = 0;
  const auto due = [&] { return position++ >= from; };
  for (const auto& bind : plan.binds) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    const uint32_t node = world_.slurm.index_of(bind.node);
    const uint32_t machine = world_.cloud.index_of(bind.instance);
    if (node == none || machine == none) continue;
    if (world_.trace.on()) {
      world_.tell({.node = node, .machine = machine}, bind.node.str() + " is given to " + bind.instance.str());
    }
    world_.invariants.bind_sent(node, machine);
    send_name(node, machine);
    queue_bind(node, machine, bind.address);
  }
  for (const auto& restart : plan.restarts) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    const uint32_t node = world_.slurm.index_of(restart.node);
    const uint32_t machine = world_.cloud.index_of(restart.instance);
    if (node == none || machine == none) continue;
    send_name(node, machine);
  }
  if (!plan.terminations.empty() && due()) {
    if (!step(plan, position - 1)) return;
    terminate(plan.terminations);
  }
  for (const auto& one : plan.launches) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    launch(one);
  }
  for (const auto& tell : plan.tells) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    slurm::NodeUpdate update;
    update.change = change_of(tell.what);
    update.nodes = tell.nodes;
    update.reason = tell.reason;
    update.jobs_may_restart = tell.jobs_may_restart;
    queue(std::move(update));
  }
  for (const auto& tell : plan.job_tells) {
    if (!due()) continue;
    if (!step(plan, position - 1)) return;
    slurm::JobUpdate update;
    update.change = change_of(tell.what);
    if (tell.what == engine::TellJob::requeue) {
      for (const JobId job : tell.jobs) world_.invariants.job_moved(job);
    }
    update.jobs = tell.jobs;
    update.text = tell.text;
    queue(std::move(update));
  }
}

void Daemon::launch(const engine::Launch& launch) {
  if (launch.pool >= world_.spec.pools.size() || launch.count == 0) return;
  cloud::LaunchRequest request;
  request.pool = world_.spec.pools[launch.pool].name;
  request.count = launch.count;
  request.minimum = launch.minimum;
  request.token = launch.token;
  request.market = launch.market;
  request.offers = launch.offers;
  request.placement = launch.placement;
  ++launches_in_flight_;
  world_.invariants.launch_sent(launch);
  world_.invariants.call_made();
  if (world_.trace.on()) {
    std::string text = request.pool.str() + ": asks for " + std::to_string(launch.count) + " (" +
                       std::string(to_string(launch.market));
    for (const auto& offer : launch.offers) text += ", " + offer.machine + "/" + offer.zone;
    world_.tell({}, text + ") " + launch.token);
  }
  world_.cloud.launch(request, [this, life = life_, pool = launch.pool, token = launch.token,
                                count = launch.count](Result<cloud::LaunchReceipt> receipt) {
    const bool heard = running_ && life == life_;
    world_.note_new_machines();
    world_.invariants.launch_heard(pool, token, count,
                                   heard && (receipt || receipt.error().code != ErrorCode::outcome_unknown));
    ++world_.cloud_version;
    in_this_life(life,
                 [this, pool, token, count, receipt = std::move(receipt)] { launched(pool, token, count, receipt); });
  });
}

void Daemon::launched(engine::PoolIndex pool, const std::string& token, uint32_t count,
                      const Result<cloud::LaunchReceipt>& receipt) {
  --launches_in_flight_;
  if (!receipt) {
    if (world_.trace.on()) world_.tell({}, "refused: " + receipt.error().message + " " + token);
    world_.invariants.refusal_heard(pool);
    engine::launch_failed(memory_, world_.spec, token, receipt.error(), clock());
  } else {
    std::vector<engine::Refusal> refusals;
    for (const auto& refusal : receipt->refusals) refusals.push_back({refusal.offer, refusal.error});
    if (receipt->accepted < count || !receipt->refusals.empty()) world_.invariants.refusal_heard(pool);
    // A receipt without a machine is a refusal like any other; one that says no reason must not be repeated at once.
    if (receipt->accepted == 0 && refusals.empty()) {
      engine::launch_failed(memory_, world_.spec, token,
                            Error{ErrorCode::transient, "the provider accepted none and gave no reason"}, clock());
    } else {
      engine::launch_answered(memory_, world_.spec, token, receipt->accepted, refusals, clock());
    }
  }
  dirty_ = true;
  ask_provider_now();
}

void Daemon::terminate(const std::vector<engine::Terminate>& ends) {
  std::vector<InstanceId> ids;
  ids.reserve(ends.size());
  for (const auto& one : ends) {
    const uint32_t machine = world_.cloud.index_of(one.instance);
    if (machine == none) continue;
    known(machine).assigned = none;
    world_.invariants.terminate_sent(machine);
    if (known(machine).connected) {
      world_.timeline.after(
          draw_latency(random_, world_.options.agents.message),
          [agents = &world_.agents, machine, epoch = epoch_, life = life_] { agents->leave(machine, epoch, life); });
    }
    if (world_.trace.on()) {
      world_.tell({.node = world_.agents.machine(machine).node, .machine = machine},
                  one.instance.str() + " shall end: " + one.reason);
    }
    ids.push_back(one.instance);
  }
  world_.invariants.call_made();
  world_.cloud.terminate(ids, [this, life = life_](Result<std::vector<InstanceId>> refused) {
    ++world_.cloud_version;
    const bool throttled = !refused && refused.error().code == ErrorCode::throttled;
    const Error error = throttled ? refused.error() : Error{};
    in_this_life(life, [this, throttled, error] {
      if (throttled) engine::throttled(memory_, 0, error, clock());
      ask_provider_now();
    });
  });
}

void Daemon::queue_bind(uint32_t node, uint32_t machine, const std::string& address) {
  if (address.empty()) return;
  if (binds_.empty()) first_bind_at_ = world_.now();
  binds_[node] = {machine, address};
  world_.timeline.at(std::min(world_.now() + bind_lull, first_bind_at_ + bind_patience), [this, timer = ++bind_timer_] {
    if (timer == bind_timer_) in_this_life(life_, [this] { flush_binds(); });
  });
}

void Daemon::flush_binds() {
  slurm::NodeUpdate update;
  update.change = slurm::NodeChange::bind;
  for (auto& [node, bind] : binds_) {
    const NodeName& name = view_name(node);
    const auto remembered = memory_.nodes.find(name);
    if (remembered == memory_.nodes.end() || remembered->second.bound.str() != world_.machine_name(bind.first))
      continue;
    update.nodes.push_back(name);
    update.addresses.push_back(std::move(bind.second));
    update.hostnames.push_back(name.str());
  }
  binds_.clear();
  if (update.nodes.empty()) return;
  queue(std::move(update));
}

void Daemon::queue(Command command) {
  if (auto* update = std::get_if<slurm::NodeUpdate>(&command)) {
    if (update->nodes.empty()) return;
    if (update->change != slurm::NodeChange::power_up && update->change != slurm::NodeChange::bind) {
      for (const NodeName& name : update->nodes) binds_.erase(world_.slurm.index_of(name));
    }
    const bool waits_already = std::any_of(commands_.begin(), commands_.end(), [&](const Command& other) {
      const auto* one = std::get_if<slurm::NodeUpdate>(&other);
      return one != nullptr && one->change == update->change && one->nodes == update->nodes &&
             one->reason == update->reason;
    });
    if (waits_already) return;
  }
  if (commands_.size() >= commands_max) return;
  commands_.push_back(std::move(command));
  next_command();
}

// One at a time and in order. A command that runs goes on when the daemon dies.
void Daemon::next_command() {
  if (command_in_flight_ || commands_.empty()) return;
  command_in_flight_ = true;
  auto command = std::make_shared<Command>(std::move(commands_.front()));
  commands_.pop_front();
  const bool reached = world_.daemon_reaches_slurm;
  const Duration takes =
      reached ? draw_latency(random_, world_.options.daemon.slurm_command) : world_.options.daemon.slurm_timeout;
  world_.timeline.after(takes, [this, life = life_, command, reached] {
    bool bind = false;
    if (const auto* update = std::get_if<slurm::NodeUpdate>(command.get())) {
      bind = update->change == slurm::NodeChange::bind;
      if (reached) world_.update(*update);
    } else if (reached) {
      (void)world_.slurm.update(std::get<slurm::JobUpdate>(*command));
      world_.jobs_changed = true;
    }
    in_this_life(life, [this, bind] {
      command_in_flight_ = false;
      something_to_see_ = true;
      if (!bind) ask_slurm_now();
      next_command();
    });
  });
}

}  // namespace slipway::sim
