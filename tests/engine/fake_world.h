// A provider, its machines with their agents, and a shell around decide(), beside fake_slurm.h; all in virtual time.
// One step is half a second. Every step checks what must hold at any time; what went wrong is in `violations`.
#pragma once

#include <functional>
#include <random>
#include <set>

#include "fake_slurm.h"

namespace slipway::engine::fake {

struct Machine {
  std::string id;
  std::string token;
  std::string address;
  model::InstanceState state = model::InstanceState::pending;
  int64_t launched_at = 0;
  int64_t boots_at = 0;  // the agent speaks then; -1: never
  int64_t end_at = -1;   // stopping until then
  int64_t gone_at = -1;
  bool dead = false;        // lost its power: the provider says gone
  bool cut_off = false;     // runs, but nobody hears it
  bool terminated = false;  // was asked for at least once
  AgentState agent = AgentState::none;
  int64_t agent_since = 0;
  int64_t connects_at = 0;  // after the daemon's restart
  int64_t last_heard = 0;
  std::string bound;
  int64_t slurmd_at = -1;  // starts then
  int64_t slurmd_started = -1;
  bool registered = false;
  bool ever_bound = false;

  bool live() const { return state == model::InstanceState::pending || state == model::InstanceState::running; }
};

enum class Kill { none, before_acting, midway, after_acting };

class World {
 public:
  explicit World(size_t node_count, uint64_t seed = 1) : slurm(node_count), random(seed) {
    spec.cluster = "test";
    Spec::Pool pool;
    pool.name = PoolName("cpu");
    pool.max = static_cast<uint32_t>(node_count);
    pool.idle_reclaim = Duration(20'000);
    pool.boot_timeout = Duration(20'000);
    pool.register_timeout = Duration(15'000);
    spec.pools.push_back(pool);
    spec.surplus_grace = Duration(10'000);
    spec.agent_silence = Duration(15'000);
    spec.reconnect_patience = Duration(3'000);
    spec.ghost_grace = Duration(10'000);
    spec.restart_every = Duration(8'000);
    spec.stuck_after = Duration(4'000);
  }

  Spec spec;
  Slurm slurm;
  Memory memory;
  std::vector<Machine> machines;
  std::vector<Note> notes;
  std::set<std::string> violations;
  std::mt19937_64 random;
  int64_t now = 1'000'000;
  size_t launched = 0;  // machines made, ever
  size_t rounds = 0;
  // Levers.
  Kill kill = Kill::none;   // the daemon dies in this step
  uint32_t never_boot = 0;  // of the next machines
  int64_t boot_time = 2'000;
  int64_t boot_spread = 3'000;
  std::function<std::optional<Error>()> refuse = [] { return std::nullopt; };
  bool listing_fails = false;
  bool slurm_fails = false;
  bool lose_binds = false;
  bool agents_fail = false;  // after they joined

  void step() {
    now += 500;
    deliver_launches();
    step_machines();
    slurm.tick(now);
    const View view = look();
    Plan plan = decide(view, spec, memory, at(now));
    ++rounds;
    check(view, plan);
    act(plan);
    kill = Kill::none;
  }
  // Steps until `done`, or false after `seconds`.
  bool run_until(const std::function<bool()>& done, int64_t seconds) {
    for (const int64_t end = now + seconds * 1000; now < end;) {
      if (done()) return true;
      step();
    }
    return done();
  }
  void run(int64_t seconds) {
    run_until([] { return false; }, seconds);
  }

  size_t existing() const {
    return static_cast<size_t>(std::count_if(machines.begin(), machines.end(),
                                             [](const Machine& m) { return m.state != model::InstanceState::gone; }));
  }
  bool quiet() const { return slurm.all_done() && slurm.asleep() && existing() == 0 && in_flight_.empty(); }
  size_t noted(const std::string& kind) const {
    return static_cast<size_t>(
        std::count_if(notes.begin(), notes.end(), [&](const Note& note) { return note.kind == kind; }));
  }
  Machine* machine_of(const std::string& node) {
    for (Machine& m : machines) {
      if (m.live() && !m.terminated && m.bound == node) return &m;
    }
    return nullptr;
  }
  int64_t uniform(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<uint64_t>(high - low + 1));
  }
  void power_cut(Machine& m) {
    m.dead = true;
    m.state = model::InstanceState::gone;
    m.gone_at = now;
    lose_slurmd(m);
  }
  void cut_off(Machine& m) {
    m.cut_off = true;
    lose_slurmd(m);
  }
  void restart_daemon() {
    memory = Memory();
    for (Machine& m : machines) m.connects_at = now + uniform(100, 5'000);
  }
  View look() const {
    View view;
    view.slurm_known = !slurm_fails;
    view.slurm_as_of = at(now);
    for (const auto& [name, node] : slurm.nodes) {
      NodeView seen;
      seen.name = NodeName(name);
      seen.pool = 0;
      seen.slurm = {node.base, node.flags};
      seen.address = node.address;
      seen.busy = node.job != 0;
      seen.last_busy = at(node.last_busy);
      seen.reason = node.reason;
      view.nodes.push_back(std::move(seen));
    }
    view.instances_complete = !listing_fails;
    view.instances_as_of = at(now);
    view.jobs_as_of = at(now);
    size_t index = 0;
    for (const Machine& m : machines) {
      if (m.state == model::InstanceState::gone && now - m.gone_at > 10'000) continue;
      if (listing_fails && index++ % 2 == 0) continue;  // half a listing
      view.instances.push_back(see(m));
    }
    for (const Job& job : slurm.jobs) {
      if (job.done || job.nodes.empty() || job.started_at >= 0) continue;
      JobView seen{.id = job.id};
      for (const std::string& name : job.nodes) seen.nodes.emplace_back(name);
      view.jobs.push_back(std::move(seen));
    }
    return view;
  }

 private:
  struct InFlight {
    std::string token;
    uint32_t count;
    uint64_t daemon;
  };
  std::vector<InFlight> in_flight_;
  uint64_t daemon_ = 0;
  uint64_t next_id_ = 0;

  InstanceView see(const Machine& m) const {
    InstanceView seen;
    seen.id = InstanceId(m.id);
    seen.pool = 0;
    seen.state = m.state;
    seen.address = m.address;
    seen.launch_token = m.token;
    seen.launched_at = at(m.launched_at);
    if (now < m.connects_at || m.agent == AgentState::none) return seen;
    seen.agent = m.agent;
    seen.agent_since = at(std::max(m.agent_since, m.connects_at));
    seen.bound = NodeName(m.bound);
    seen.slurmd_started = m.slurmd_started < 0 ? TimePoint{} : at(m.slurmd_started);
    if (m.cut_off) {
      if (m.last_heard < m.connects_at)
        return InstanceView{.id = seen.id,
                            .pool = 0,
                            .state = seen.state,
                            .address = seen.address,
                            .launch_token = seen.launch_token,
                            .launched_at = seen.launched_at};
      seen.agent = AgentState::silent;
      seen.agent_since = at(m.last_heard);
    }
    if (m.agent == AgentState::failed) seen.message = "prep script: exit status 1";
    return seen;
  }

  void lose_slurmd(Machine& m) {
    if (m.registered && slurm.nodes.contains(m.bound) && slurm.nodes[m.bound].address == m.address)
      slurm.nodes[m.bound].unheard_since = now;
    m.registered = false;
  }

  void deliver_launches() {
    std::vector<InFlight> due;
    std::swap(due, in_flight_);
    for (const InFlight& launch : due) {
      const bool mine = launch.daemon == daemon_;
      if (const std::optional<Error> error = refuse()) {
        if (mine) launch_failed(memory, spec, launch.token, *error, at(now));
        if (error->code != ErrorCode::outcome_unknown || random() % 2 == 0) continue;
      }
      size_t before = 0;
      for (const Machine& m : machines)
        before += m.token == launch.token && m.state != model::InstanceState::gone ? 1 : 0;
      if (before == 0) {
        for (uint32_t i = 0; i < launch.count; ++i) make(launch.token);
      }
      if (mine) launch_answered(memory, spec, launch.token, launch.count, {}, at(now));
    }
  }
  void make(const std::string& token) {
    Machine m;
    m.id = "i-" + std::to_string(100'000 + next_id_);
    m.address = "198.18.0." + std::to_string(next_id_);
    ++next_id_;
    m.token = token;
    m.launched_at = now;
    m.boots_at = now + boot_time + uniform(0, boot_spread);
    if (never_boot > 0) {
      --never_boot;
      m.boots_at = -1;
    }
    machines.push_back(std::move(m));
    ++launched;
  }

  void enter(Machine& m, AgentState state) {
    m.agent = state;
    m.agent_since = now;
  }
  void step_machines() {
    for (Machine& m : machines) {
      if (m.state == model::InstanceState::gone) continue;
      if (m.end_at >= 0 && now >= m.end_at) {
        lose_slurmd(m);
        m.state = model::InstanceState::gone;
        m.gone_at = now;
        continue;
      }
      if (m.state == model::InstanceState::pending) m.state = model::InstanceState::running;
      if (m.cut_off || m.state != model::InstanceState::running) continue;
      m.last_heard = now;
      if (m.agent == AgentState::none && m.boots_at >= 0 && now >= m.boots_at) {
        enter(m, AgentState::preparing);
      } else if (m.agent == AgentState::preparing && now - m.agent_since >= 1'000) {
        enter(m, agents_fail ? AgentState::failed : AgentState::waiting);
      } else if (m.agent == AgentState::starting && m.slurmd_at >= 0 && now >= m.slurmd_at) {
        m.slurmd_started = now;
        m.slurmd_at = -1;
        enter(m, AgentState::serving);
      }
      if (!slurm.nodes.contains(m.bound)) continue;
      if (m.agent == AgentState::serving && !m.registered) {
        m.registered = true;
        if (!slurm.register_node(m.bound, m.address, m.slurmd_started, now)) m.registered = false;
      } else if (m.registered && slurm.nodes[m.bound].has(model::node_powering_up)) {
        m.registered = false;  // resumed anew: what was registered no longer counts
      }
    }
  }

  Machine* find(const InstanceId& id) {
    for (Machine& m : machines) {
      if (m.id == id.str()) return &m;
    }
    return nullptr;
  }
  static bool hears(const Machine& m, int64_t time) {
    return m.state == model::InstanceState::running && !m.cut_off && time >= m.connects_at &&
           m.agent != AgentState::none;
  }

  void act(Plan& plan) {
    if (kill == Kill::before_acting) return restart_now();
    for (const Launch& launch : plan.launches) in_flight_.push_back({launch.token, launch.count, daemon_});
    for (const Bind& bind : plan.binds) {
      Machine* m = find(bind.instance);
      if (m == nullptr || !hears(*m, now) || lose_binds) continue;
      if (m->ever_bound && m->bound != bind.node.str()) violations.insert("a machine got a second name");
      m->bound = bind.node.str();
      m->ever_bound = true;
      m->slurmd_at = now + 300;
      enter(*m, AgentState::starting);
    }
    if (kill == Kill::midway) return restart_now();
    for (const Bind& bind : plan.binds) {
      if (!bind.address.empty() && slurm.nodes.contains(bind.node.str()))
        slurm.nodes[bind.node.str()].address = bind.address;
    }
    for (const Bind& bind : plan.restarts) {
      Machine* m = find(bind.instance);
      if (m == nullptr || !hears(*m, now)) continue;
      m->slurmd_at = now + 300;
      m->registered = false;
      enter(*m, AgentState::starting);
    }
    for (const Terminate& end : plan.terminations) {
      Machine* m = find(end.instance);
      if (m == nullptr || m->state == model::InstanceState::gone) continue;
      m->terminated = true;
      if (m->end_at < 0) m->end_at = now + uniform(500, 3'000);
      m->state = model::InstanceState::stopping;
    }
    for (const TellSlurm& tell : plan.tells) {
      for (const NodeName& name : tell.nodes) slurm.update(tell.what, name.str(), tell.reason, now);
    }
    for (Note& note : plan.notes) notes.push_back(std::move(note));
    if (kill == Kill::after_acting) restart_now();
  }
  void restart_now() {
    ++daemon_;
    restart_daemon();
  }

  // Its name is on its way to it, but Slurm forgot that it wanted that node: it serves nobody else until the grace is
  // over.
  bool promised(const Machine& m) const {
    return std::any_of(slurm.nodes.begin(), slurm.nodes.end(), [&](const auto& entry) {
      const auto it = memory.nodes.find(NodeName(entry.first));
      return it != memory.nodes.end() && it->second.bound.str() == m.id && !entry.second.has(model::node_powering_up);
    });
  }

  // What must hold in every round, whatever happened before.
  void check(const View& view, const Plan& plan) {
    std::set<std::string> names;
    for (const Machine& m : machines) {
      if (!m.live() || m.terminated || m.cut_off || m.bound.empty()) continue;
      if (!names.insert(m.bound).second) violations.insert("two machines have the name " + m.bound);
    }
    size_t wanted = 0;
    for (const auto& [name, node] : slurm.nodes) {
      if (node.has(model::node_powering_up) && !names.contains(name)) ++wanted;
    }
    size_t coming = 0;
    for (const InFlight& launch : in_flight_) coming += launch.count;
    for (const Machine& m : machines) {
      coming +=
          m.live() && !m.terminated && !m.cut_off && m.bound.empty() && m.agent != AgentState::failed && !promised(m)
              ? 1
              : 0;
    }
    for (const Bind& bind : plan.binds) {
      const auto it = slurm.nodes.find(bind.node.str());
      if (it == slurm.nodes.end() || !it->second.has(model::node_powering_up))
        violations.insert("bound a node that isn't wanted");
    }
    for (const Terminate& end : plan.terminations) {
      const Machine* m = find(end.instance);
      if (m == nullptr) continue;
      if (m->live() && m->boots_at < 0) coming -= std::min<size_t>(coming, 1);
      const auto it = slurm.nodes.find(m->bound);
      if (it == slurm.nodes.end() || !m->live() || m->terminated) continue;
      const Node& node = it->second;
      constexpr uint32_t not_up =
          model::node_powered_down | model::node_powering_up | model::node_powering_down | model::node_not_responding;
      if (node.job != 0 && node.base == model::NodeBase::allocated && (node.flags & not_up) == 0 &&
          node.address == m->address) {
        violations.insert("terminated " + m->id + " under a running job");
      }
    }
    for (const Launch& launch : plan.launches) {
      if (launch.token.empty() || launch.token.size() > 64) violations.insert("bad token");
      const bool replaced = !plan.terminations.empty();  // an overdue machine's successor is launched in the same round
      if (!replaced && coming + launch.count > wanted) {
        violations.insert("launched beyond the want: " + std::to_string(launch.count) + " with " +
                          std::to_string(coming) + " coming for " + std::to_string(wanted));
      }
    }
    if ((!view.slurm_known) &&
        (!plan.launches.empty() || !plan.terminations.empty() || !plan.binds.empty() || !plan.tells.empty())) {
      violations.insert("acted without knowing Slurm");
    }
    if (plan.situations.size() != view.nodes.size()) violations.insert("situations aren't parallel to nodes");
  }
};

}  // namespace slipway::engine::fake
