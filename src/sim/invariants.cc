#include "sim/invariants.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/world.h"

namespace slipway::sim {

using engine::AgentState;

namespace {

constexpr Duration look_takes{15'000};  // Slurm's truth is older in no daemon's eyes that may act
constexpr Duration twins_noticed{300'000};
constexpr Duration minute{60'000};
constexpr uint32_t calls_free = 20;  // launch calls of a pool in a minute without a reason
constexpr Duration jobs_looked_at{30'000};
constexpr Duration holds_for_nothing{240'000};
constexpr Duration reclaim_grace{300'000};
constexpr Duration notice_in_time{20'000};
constexpr Duration warm_boots_within{600'000};
constexpr double budget_slack = 2;
constexpr Duration restarts_counted_for{300'000};
constexpr uint32_t restarts_longest = 20;
constexpr uint32_t unwell = model::node_not_responding | model::node_powering_down | model::node_powered_down |
                            model::node_fail | model::node_invalid_reg;

bool is_wanted(model::SlurmNodeState state) {
  return engine::power_of(state) == engine::Power::powering_up;
}
bool is_well(model::SlurmNodeState state) {
  return state.base != model::NodeBase::down && state.base != model::NodeBase::error && (state.flags & unwell) == 0;
}

}  // namespace

Invariants::Invariants(World& world, bool on) : world_(world), on_(on) {
  pools_.resize(world.spec.pools.size());
  runs_since_.resize(world.slurm.nodes().size());
  changed_at_.resize(world.slurm.nodes().size());
  promised_to_.assign(world.slurm.nodes().size(), nobody);
  call_tokens_ = world.spec.accounts.front().burst;
  call_tokens_at_ = world.now();
}

void Invariants::broken(const char* rule, std::string text, About about) {
  if (!on_ || first_) return;
  first_ = Violation{rule, std::move(text), world_.elapsed(), about};
  if (world_.trace.on()) world_.tell(about, "VIOLATED " + first_->rule + ": " + first_->text);
}

Invariants::Machine& Invariants::at(uint32_t machine) {
  if (machine >= machines_.size()) machines_.resize(machine + 1);
  return machines_[machine];
}

uint32_t Invariants::recent(std::vector<TimePoint>& times, TimePoint now) {
  std::erase_if(times, [now](TimePoint at) { return at + minute < now; });
  return static_cast<uint32_t>(times.size());
}

void Invariants::fault() {
  last_fault_ = world_.now();
}

// --- daemons ---

void Invariants::daemon_began(uint32_t) {
  last_fault_ = world_.now();
  std::fill(promised_to_.begin(), promised_to_.end(), nobody);
  call_tokens_ += world_.spec.accounts.front().burst;  // what was taken from it was forgotten
}

void Invariants::daemon_ended(uint32_t) {
  last_fault_ = world_.now();
  // What it was about to hear of, and what the next one can't see yet, may be asked for once more.
  for (const auto& [token, launch] : std::exchange(in_flight_, {})) {
    justify(launch.first, launch.second);
    pools_[launch.first].lost += launch.second;
  }
  const auto& machines = world_.cloud.machines();
  for (size_t i = machines.size(); i > 0 && i + 1000 > machines.size(); --i) {
    const auto& machine = machines[i - 1];
    if (machine.ended_at != TimePoint{} || machine.visible_at <= world_.now()) continue;
    justify(machine.pool);
    ++pools_[machine.pool].lost;
  }
}

void Invariants::decided(const engine::View& view, const engine::Plan& plan, bool needless) {
  if (!on_) return;
  const bool acts = !plan.launches.empty() || !plan.withdrawals.empty() || !plan.binds.empty() ||
                    !plan.restarts.empty() || !plan.terminations.empty() || !plan.tells.empty() ||
                    !plan.job_tells.empty();
  if (!acts) return;
  if (needless) {
    std::string what = "a round without anything new or due acts:";
    if (!plan.launches.empty()) what += " launches";
    if (!plan.withdrawals.empty()) what += " withdraws";
    if (!plan.binds.empty()) what += " binds " + plan.binds.front().node.str();
    if (!plan.restarts.empty()) what += " restarts " + plan.restarts.front().node.str();
    if (!plan.terminations.empty()) what += " terminates " + plan.terminations.front().instance.str();
    for (const auto& tell : plan.tells) {
      what += " tells " + tell.nodes.front().str() + " " + std::to_string(static_cast<int>(tell.what));
    }
    for (const auto& tell : plan.job_tells) what += " tells job " + std::to_string(tell.jobs.front());
    return broken("needless", what, {});
  }
  if (!plan.launches.empty() && !view.instances_complete) broken("unknown", "launches on an incomplete listing", {});
  ending_.clear();
  for (const auto& end : plan.terminations) {
    const uint32_t machine = world_.cloud.index_of(end.instance);
    if (machine == nobody) continue;
    ending_.push_back(machine);
    given_up(machine);
  }
  for (const engine::Bind& bind : plan.binds) {
    const uint32_t node = world_.slurm.index_of(bind.node);
    if (node >= view.nodes.size() || !is_wanted(view.nodes[node].slurm)) {
      broken("unknown", "gives " + bind.instance.str() + " the name " + bind.node.str() + ", which isn't wanted",
             {.node = node});
    }
  }
}

void Invariants::call_made() {
  const model::ApiBudget& budget = world_.spec.accounts.front();
  if (budget.per_second <= 0) return;
  const double passed = static_cast<double>((world_.now() - call_tokens_at_).count()) / 1000.0;
  const double full = std::max<double>(budget.burst, call_tokens_);
  call_tokens_ = std::min(full, call_tokens_ + passed * budget.per_second) - 1;
  call_tokens_at_ = world_.now();
  if (call_tokens_ < -budget_slack) broken("budget", "more calls than the account's budget", {});
}

void Invariants::launch_sent(const engine::Launch& launch) {
  Pool& pool = pools_[launch.pool];
  const auto& spec = world_.spec.pools[launch.pool];
  // A job that is placed by itself is launched by itself.
  if (!launch.placement.empty() && pool.placements.insert(launch.placement).second) {
    pool.reasons.push_back(world_.now());
  }
  pool.calls.push_back(world_.now());
  in_flight_[launch.token] = {launch.pool, launch.count};
  const uint32_t calls = recent(pool.calls, world_.now());
  const uint32_t reasons = recent(pool.reasons, world_.now());
  const size_t limit = calls_free + 2 * spec.ways.size() + 2 * reasons;
  if (calls > limit) {
    broken("hammering",
           std::to_string(calls) + " launch calls of pool " + spec.name.str() + " in a minute, for " +
               std::to_string(reasons) + " reasons",
           {});
  }
  if (spec.spares > 0) justify(launch.pool, static_cast<uint64_t>(std::ceil(spec.spares * launch.count)));
}

void Invariants::launch_heard(engine::PoolIndex pool, const std::string& token, uint32_t count, bool heard) {
  if (in_flight_.erase(token) == 0 || heard) return;
  justify(pool, count);
  pools_[pool].lost += count;
}

void Invariants::refusal_heard(engine::PoolIndex pool) {
  // A probe, later. It is no reason for one more call by itself: pauses see to that.
  if (pool < pools_.size()) ++pools_[pool].justified;
}

void Invariants::justify(engine::PoolIndex pool, uint64_t machines) {
  pools_[pool].justified += machines;
  pools_[pool].reasons.push_back(world_.now());
  if (pools_[pool].reasons.size() > 4096) recent(pools_[pool].reasons, world_.now());
}

void Invariants::bind_sent(uint32_t node, uint32_t machine) {
  const auto is_known_there = [&](uint32_t other) {
    if (other == nobody || other == machine) return false;
    const auto& agent = world_.agents.machine(other);
    return agent.alive && agent.connected && !agent.cut_from_daemon && agent.said.state != AgentState::failed &&
           at(other).terminate_sent == TimePoint{} &&
           std::find(ending_.begin(), ending_.end(), other) == ending_.end() &&
           (agent.node == node || agent.node == nobody);
  };
  if (is_known_there(promised_to_[node])) {
    broken("two machines",
           world_.node_name(node) + " is given to " + world_.machine_name(machine) + " while " +
               world_.machine_name(promised_to_[node]) + " has been given it",
           {.node = node, .machine = machine});
  }
  for (const uint32_t other : world_.agents.holders_of(node)) {
    if (is_known_there(other) && world_.now() > world_.agents.machine(other).arrives_at + look_takes) {
      broken("two machines",
             world_.node_name(node) + " is given to " + world_.machine_name(machine) + " while " +
                 world_.machine_name(other) + " says that it is it",
             {.node = node, .machine = machine});
    }
  }
  promised_to_[node] = machine;
}

// From the decision on: its successor may be asked for before its own end is, and the daemon may die in between.
void Invariants::given_up(uint32_t machine) {
  Machine& m = at(machine);
  const auto& owned = world_.cloud.machines()[machine];
  if (std::exchange(m.given_up, true) || owned.ended_at != TimePoint{}) return;
  const auto& agent = world_.agents.machine(machine);
  const bool unusable = agent.said.state != AgentState::waiting && agent.said.state != AgentState::serving;
  const bool wanted = agent.node != nobody && is_wanted(world_.slurm.nodes()[agent.node].slurm);
  if (unusable || wanted || agent.cut_from_daemon || !agent.connected) justify(owned.pool);
  not_good(machine);
}

void Invariants::terminate_sent(uint32_t machine) {
  Machine& m = at(machine);
  const bool first = m.terminate_sent == TimePoint{};
  if (first) m.terminate_sent = world_.now();
  const auto& agent = world_.agents.machine(machine);
  const auto& owned = world_.cloud.machines()[machine];
  if (owned.ended_at != TimePoint{}) return;
  const uint32_t node = agent.node;
  if (!first || node == nobody) return;
  const auto& seen = world_.slurm.nodes()[node];
  const TimePoint now = world_.now();
  const bool runs = world_.agents.server_of(node) == machine && world_.slurm.answers() && world_.slurm.runs_job(node) &&
                    runs_since_[node] != TimePoint{} && runs_since_[node] + look_takes < now;
  const bool well = is_well(seen.slurm) && changed_at_[node] + look_takes < now;
  const bool heard = !agent.cut_from_daemon && !agent.cut_from_slurmctld;
  if (runs && well && heard && !m.evicting && agent.said.state == AgentState::serving) {
    broken("theft", world_.machine_name(machine) + " is terminated while a job runs on " + seen.name.str(),
           {.node = node, .machine = machine});
  }
  // A machine that nobody needed for too long, although nothing was wrong.
  const auto& spec = world_.spec.pools[owned.pool];
  const bool warm = spec.warm.usual.count > 0 || spec.warm.usual.share > 0 || !spec.warm.hours.empty();
  const TimePoint needed = std::max({m.needed_until, runs_since_[node], owned.running_at});
  if (warm || !world_.spec.reclaim_exclude.empty() || last_fault_ + minute > needed || world_.faults.active()) return;
  const Duration limit = spec.idle_reclaim + spec.billing_period + reclaim_grace;
  if (now - needed > limit && agent.said.state == AgentState::serving) {
    broken("idle money", world_.machine_name(machine) + " was kept for " + to_short(now - needed) + " for nobody",
           {.node = node, .machine = machine});
  }
}

// --- machines ---

void Invariants::machine_made(uint32_t machine) {
  Machine& m = at(machine);
  m.needed_until = world_.now();
  const auto& made = world_.cloud.machines()[machine];
  Pool& pool = pools_[made.pool];
  const auto& spec = world_.spec.pools[made.pool];
  if (made.instance.launch_token.empty()) {  // the provider put it in an evicted one's place by itself
    justify(made.pool);
    ++pool.lost;
  }
  if (++pool.launched > pool.justified) {
    broken("unasked",
           "pool " + spec.name.str() + " made its machine number " + std::to_string(pool.launched) + ", and only " +
               std::to_string(pool.justified) + " were ever called for",
           {.machine = machine});
  }
  const double most = spec.max + std::ceil(spec.spares * spec.max);
  if (++pool.good > most + static_cast<double>(pool.lost)) {
    broken("pool max",
           "pool " + spec.name.str() + " has " + std::to_string(pool.good) + " machines, its max is " +
               std::to_string(spec.max),
           {.machine = machine});
  }
}

void Invariants::not_good(uint32_t machine) {
  Machine& m = at(machine);
  if (!m.good) return;
  m.good = false;
  --pools_[world_.cloud.machines()[machine].pool].good;
}

void Invariants::machine_ended(uint32_t machine) {
  Machine& m = at(machine);
  if (m.ended) return;
  m.ended = true;
  // Who was told in time that it will be taken has kept new jobs off it.
  const uint32_t node = world_.agents.machine(machine).node;
  const auto& owned = world_.cloud.machines()[machine];
  const bool in_time = m.evicting && owned.instance.evict_at >= m.noticed_at + notice_in_time &&
                       world_.now() >= m.noticed_at + notice_in_time;
  if (in_time && last_fault_ < m.noticed_at && node != nobody && world_.agents.server_of(node) == machine &&
      world_.agents.machine(machine).connected && world_.slurm.answers() && world_.daemon_reaches_slurm &&
      world_.holder() != nullptr && !world_.holder()->frozen() && world_.holder()->view().instances_complete) {
    const model::SlurmNodeState state = world_.slurm.nodes()[node].slurm;
    if (engine::power_of(state) == engine::Power::up && is_well(state) && !state.has(model::node_drain) &&
        !state.has(model::node_power_down_requested)) {
      broken(
          "eviction",
          world_.machine_name(machine) + " was taken as announced, and " + world_.node_name(node) + " still took jobs",
          {.node = node, .machine = machine});
    }
  }
  if (m.terminate_sent == TimePoint{}) justify(world_.cloud.machines()[machine].pool);
  not_good(machine);
}

void Invariants::eviction_noticed(uint32_t machine) {
  at(machine).evicting = true;
  // The machine that comes in its place may first serve another node that waits, and is then had anew.
  ++pools_[world_.cloud.machines()[machine].pool].justified;
  at(machine).noticed_at = world_.now();
  justify(world_.cloud.machines()[machine].pool);
  not_good(machine);
}

void Invariants::job_moved(JobId job) {
  const auto found = world_.slurm.all_jobs().find(job);
  if (found == world_.slurm.all_jobs().end()) return;
  // It may need machines of another market than those that come for its nodes, wherever Slurm places it.
  for (Pool& pool : pools_) pool.justified += found->second.request.nodes;
}

void Invariants::agent_failed(uint32_t machine) {
  not_good(machine);
}

void Invariants::name_taken(uint32_t, uint32_t node) {
  if (world_.agents.holders_of(node).size() < 2) return;
  world_.timeline.after(twins_noticed, [this, node] { look_for_twins(node); });
}

void Invariants::look_for_twins(uint32_t node) {
  std::vector<uint32_t> twins;
  for (const uint32_t machine : world_.agents.holders_of(node)) {
    const auto& agent = world_.agents.machine(machine);
    if (agent.alive && agent.connected && !agent.cut_from_daemon) twins.push_back(machine);
  }
  if (twins.size() < 2) return;
  if (last_fault_ + twins_noticed > world_.now()) {
    world_.timeline.after(twins_noticed, [this, node] { look_for_twins(node); });
    return;
  }
  broken(
      "two machines",
      world_.machine_name(twins[0]) + " and " + world_.machine_name(twins[1]) + " are both " + world_.node_name(node),
      {.node = node, .machine = twins[1]});
}

// --- Slurm ---

void Invariants::node_changed(uint32_t node, model::SlurmNodeState before, model::SlurmNodeState after) {
  changed_at_[node] = world_.now();
  const auto& seen = world_.slurm.nodes()[node];
  if (is_wanted(after) && !is_wanted(before)) justify(seen.pool);
  if (is_wanted(before) && !is_wanted(after)) {
    const uint32_t machine = world_.agents.server_of(node);
    if (machine != nobody) at(machine).needed_until = world_.now();
  }
}

void Invariants::job_changed(const Job& job) {
  const bool runs = job.state == JobState::running;
  for (const uint32_t node : job.nodes) {
    runs_since_[node] = runs ? world_.now() : TimePoint{};
    const uint32_t machine = world_.agents.server_of(node);
    if (machine != nobody) at(machine).needed_until = world_.now();
    // Machines that stand elsewhere are of no use to it.
    const engine::PoolIndex pool = world_.slurm.nodes()[node].pool;
    const bool together = world_.spec.pools[pool].placement == model::Placement::per_job;
    if (together && job.state == JobState::configuring && job.nodes.size() > 1) justify(pool);
  }
  look_for_loop(job);
  const bool waits =
      job.state == JobState::configuring && job.request.nodes > 1 && job.request.batch && job.request.requeue;
  if (!waits) {
    incomplete_.erase(job.id);
    return;
  }
  incomplete_[job.id] = TimePoint{};
  if (std::exchange(looking_at_jobs_, true)) return;
  world_.timeline.after(jobs_looked_at, [this] { look_at_jobs(); });
}

// Slurm starts a job again and again where nothing changed.
void Invariants::look_for_loop(const Job& job) {
  if (job.state != JobState::pending || job.restarts == 0) return;
  Restarts& seen = restarts_[job.id];
  if (seen.since + restarts_counted_for < world_.now()) seen = {world_.now(), job.restarts};
  if (job.restarts - seen.then > restarts_longest) {
    broken("requeue loop",
           "job " + std::to_string(job.id) + " was started " + std::to_string(restarts_longest) + " times in " +
               to_short(world_.now() - seen.since),
           {.node = job.nodes.empty() ? nobody : job.nodes.front(), .job = job.id});
  }
}

// A machine that never boots is waited for so long.
Duration Invariants::longest_boot() const {
  Duration longest{0};
  for (const auto& pool : world_.spec.pools) longest = std::max(longest, pool.boot_timeout);
  return longest;
}

// A job that holds machines although none of those it misses is on its way.
void Invariants::look_at_jobs() {
  looking_at_jobs_ = !incomplete_.empty();
  if (!looking_at_jobs_) return;
  const Daemon* holder = world_.holder();
  if (holder == nullptr || holder->frozen() || !world_.slurm.answers()) fault();  // nobody could do anything
  std::vector<uint32_t> coming(pools_.size(), 0);
  const auto& machines = world_.cloud.machines();
  for (uint32_t m = 0; m < machines.size() && m < machines_.size(); ++m) {
    if (!machines_[m].ended && machines_[m].good && world_.agents.machine(m).node == nobody) ++coming[machines[m].pool];
  }
  for (auto& [id, since] : incomplete_) {
    const Job& job = world_.slurm.all_jobs().at(id);
    uint32_t have = 0;
    bool hopeful = false;
    for (const uint32_t node : job.nodes) {
      const bool has = !world_.agents.holders_of(node).empty();
      have += has ? 1 : 0;
      hopeful |= !has && coming[world_.slurm.nodes()[node].pool] > 0;
    }
    if (have == 0 || have == job.nodes.size() || hopeful) {
      since = TimePoint{};
    } else if (since == TimePoint{} || last_fault_ > since) {
      since = world_.now();
    } else if (world_.now() - since > holds_for_nothing + longest_boot()) {
      broken("atomic",
             "job " + std::to_string(id) + " holds " + std::to_string(have) + " machines and misses " +
                 std::to_string(job.nodes.size() - have) + " that nobody launches",
             {.node = job.nodes.front(), .job = id});
    }
  }
  world_.timeline.after(jobs_looked_at, [this] { look_at_jobs(); });
}

// --- at the end ---

void Invariants::all_jobs_done() {
  for (const auto& [id, job] : world_.slurm.all_jobs()) {
    if (job.state == JobState::done || job.state == JobState::failed || job.state == JobState::cancelled) continue;
    broken("progress", "job " + std::to_string(id) + " has not ended",
           {.node = job.nodes.empty() ? nobody : job.nodes.front(), .job = id});
  }
}

void Invariants::nothing_left() {
  uint32_t warm = 0;
  for (const auto& pool : world_.spec.pools) {
    uint32_t most = pool.warm.usual.count;
    for (const auto& hours : pool.warm.hours) most = std::max(most, hours.level.count);
    warm += std::min(most, pool.max);
  }
  const auto& machines = world_.cloud.machines();
  uint32_t exist = 0;
  uint32_t last = nobody;
  for (uint32_t m = 0; m < machines.size(); ++m) {
    if (machines[m].ended_at != TimePoint{}) continue;
    ++exist;
    last = m;
  }
  if (exist > warm + world_.spec.reclaim_exclude.size()) {
    broken("leak", std::to_string(exist) + " machines exist, " + std::to_string(warm) + " are kept warm",
           {.node = world_.agents.machine(last).node, .machine = last});
  }
  const auto& nodes = world_.slurm.nodes();
  uint32_t booting = 0;
  for (uint32_t n = 0; n < nodes.size(); ++n) {
    const model::SlurmNodeState state = nodes[n].slurm;
    // A calendar may just have asked for it, or stopped asking.
    const bool moves = is_wanted(state) || state.has(model::node_powering_down);
    if (moves && changed_at_[n] + warm_boots_within > world_.now() && ++booting <= warm) continue;
    const bool served = world_.agents.server_of(n) != nobody && is_well(state);
    const bool asleep = state.has(model::node_powered_down) && state.base == model::NodeBase::idle &&
                        !state.has(model::node_powering_up) && !state.has(model::node_powering_down);
    const bool drained = state.has(model::node_drain) && nodes[n].reason.starts_with(engine::our_reason);
    if (drained || (!asleep && !served)) {
      broken("leak", nodes[n].name.str() + (drained ? " is still drained: " + nodes[n].reason : " does not sleep"),
             {.node = n});
    }
  }
}

}  // namespace slipway::sim
