// Who has whom: joins Slurm's nodes with the provider's instances, from what agents say, what was decided here and what
// Slurm's NodeAddr tells.
#include <algorithm>

#include "engine/round.h"

namespace slipway::engine {
namespace {

using model::InstanceState;

bool sleeps(const NodeView& node) {
  constexpr uint32_t asleep = model::node_cloud | model::node_powered_down;
  if (node.slurm.flags == asleep && node.slurm.base == model::NodeBase::idle) return true;  // nearly always
  return power_of(node.slurm) == Power::down && health_of(node.slurm) != Health::down;
}

// Better first: alive, then the one whose address Slurm has, then serving, then older.
bool better(const Round& round, const Work& work, uint32_t a, uint32_t b) {
  const InstanceView& first = round.view.instances[a];
  const InstanceView& second = round.view.instances[b];
  const auto rank = [&](const InstanceView& instance, uint32_t index) {
    const bool live = is_live(instance) && !round.seats[index].doomed;
    const bool addressed = !instance.address.empty() && instance.address == round.node(work).address;
    return (live ? 4 : 0) + (addressed ? 2 : 0) + (instance.agent == AgentState::serving ? 1 : 0);
  };
  const int first_rank = rank(first, a);
  const int second_rank = rank(second, b);
  if (first_rank != second_rank) return first_rank > second_rank;
  if (first.launched_at != second.launched_at) return first.launched_at < second.launched_at;
  return first.id < second.id;
}

void claim(Round& round, uint32_t work_index, uint32_t instance) {
  Work& work = round.works[work_index];
  Seat& seat = round.seats[instance];
  if (work.instance == nothing) {
    work.instance = instance;
    seat.work = work_index;
    return;
  }
  if (work.instance == instance) return;
  if (better(round, work, instance, work.instance)) {
    round.seats[work.instance].work = nothing;
    round.seats[work.instance].usurped = true;
    work.instance = instance;
    seat.work = work_index;
  } else {
    seat.usurped = true;
  }
}

bool add_work(Round& round, uint32_t index) {
  const NodeView& node = round.view.nodes[index];
  auto*& hint = round.memory.hints.entries[index];
  if (hint == nullptr || hint->first != node.name) hint = &*round.memory.nodes.try_emplace(node.name).first;
  NodeMemory& memory = hint->second;
  if (memory.round == round.memory.round) {  // the same name twice
    hint = nullptr;
    round.plan.situations[index] = Situation::held;
    return false;
  }
  memory.round = round.memory.round;
  memory.work = static_cast<uint32_t>(round.works.size());
  memory.pool = node.pool;
  Work work;
  work.node = index;
  work.memory = &memory;
  work.before = memory.situation;
  work.facts.power = power_of(node.slurm);
  work.facts.health = health_of(node.slurm);
  if (work.facts.power == Power::powering_up) ++round.powering_up;
  round.works.push_back(work);
  // Listings hardly change from round to round: look first where its machine was, and hash only what moved.
  const uint32_t place = memory.instance_hint;
  if (place < round.view.instances.size() && round.seats[place].work == nothing &&
      round.view.instances[place].bound == node.name) {
    claim(round, memory.work, place);
  }
  return true;
}

void collect_nodes(Round& round) {
  const std::vector<NodeView>& nodes = round.view.nodes;
  auto& hints = round.memory.hints.entries;
  hints.resize(nodes.size(), nullptr);
  for (uint32_t i = 0; i < nodes.size(); ++i) {
    const NodeView& node = nodes[i];
    const bool ours = round.known_pool(node.pool);
    if (ours && !sleeps(node)) {
      add_work(round, i);
      continue;
    }
    round.plan.situations[i] = ours ? Situation::asleep : Situation::not_ours;
    if (ours && !node.slurm.has(model::node_drain)) ++round.pools[node.pool].usable;
    if (ours && node.slurm.has(model::node_drain) && is_drain(node.reason)) round.pools[node.pool].any_drained = true;
    hints[i] = nullptr;  // its entry is forgotten at the end of the round, if there is one
  }
}

// What agents say. Returns the claims on names that aren't in the table.
std::vector<std::pair<std::string_view, uint32_t>> claims_of_agents(Round& round) {
  std::vector<std::pair<std::string_view, uint32_t>> unresolved;
  const std::vector<InstanceView>& instances = round.view.instances;
  for (uint32_t i = 0; i < instances.size(); ++i) {
    const InstanceView& instance = instances[i];
    if (round.known_pool(instance.pool)) {
      PoolRound& pool = round.pools[instance.pool];
      if (is_live(instance) && !round.seats[i].doomed) ++pool.live;
    }
    if (instance.launch_token.empty()) round.untokened.push_back(i);
    if (instance.evict_at != TimePoint{}) round.evicting.push_back(i);
    if (instance.bound.empty()) {
      round.any_nameless |= instance.agent == AgentState::none || instance.agent == AgentState::silent;
      continue;
    }
    if (round.seats[i].work != nothing) continue;
    const auto it = round.memory.nodes.find(instance.bound);
    if (it != round.memory.nodes.end() && it->second.round == round.memory.round) {
      claim(round, it->second.work, i);
    } else if (instance.state != InstanceState::gone) {
      unresolved.emplace_back(instance.bound.str(), i);
    }
  }
  return unresolved;
}

// Names that sleep in Slurm's eyes although an instance has them: they get a place in the table too. Walks the sleeping
// nodes only when there are such names.
void claims_on_sleepers(Round& round, std::vector<std::pair<std::string_view, uint32_t>> claims) {
  if (round.memory.nodes.size() > round.works.size()) {
    for (auto& [name, memory] : round.memory.nodes) {
      if (memory.round == round.memory.round || memory.bound.empty()) continue;
      const uint32_t instance = round.find_instance(memory.bound, memory.instance_hint);
      if (instance == nothing) continue;
      const InstanceView& seen = round.view.instances[instance];
      if (seen.bound.empty() && is_live(seen)) claims.emplace_back(name.str(), instance);
    }
  }
  if (claims.empty()) return;
  std::sort(claims.begin(), claims.end());
  const auto by_name = [](const std::pair<std::string_view, uint32_t>& claim, std::string_view name) {
    return claim.first < name;
  };
  const std::string_view first = claims.front().first;
  const std::string_view last = claims.back().first;
  for (uint32_t i = 0; i < round.view.nodes.size(); ++i) {
    if (round.plan.situations[i] != Situation::asleep) continue;
    const std::string_view name = round.view.nodes[i].name.str();
    if (name < first || name > last) continue;
    auto it = std::lower_bound(claims.begin(), claims.end(), name, by_name);
    if (it == claims.end() || it->first != name || !add_work(round, i)) continue;
    const auto work = static_cast<uint32_t>(round.works.size() - 1);
    for (; it != claims.end() && it->first == name; ++it) claim(round, work, it->second);
  }
}

// What was decided here and not yet said by the agent.
void claims_of_memory(Round& round) {
  for (uint32_t w = 0; w < round.works.size(); ++w) {
    Work& work = round.works[w];
    const InstanceId& bound = work.memory->bound;
    if (bound.empty() || (work.instance != nothing && round.instance(work).id == bound)) continue;
    const uint32_t instance = round.find_instance(bound, work.memory->instance_hint);
    if (instance == nothing) continue;  // vanished: gather_facts() looks into it
    Seat& seat = round.seats[instance];
    if (!round.view.instances[instance].bound.empty() || seat.work != nothing || seat.usurped) continue;
    claim(round, w, instance);
  }
}

bool anonymous(const Round& round, uint32_t index) {
  const InstanceView& instance = round.view.instances[index];
  const Seat& seat = round.seats[index];
  return seat.work == nothing && !seat.usurped && instance.bound.empty() && instance.state != InstanceState::gone &&
         (instance.agent == AgentState::none || instance.agent == AgentState::silent);
}

// What Slurm's NodeAddr tells of instances that don't speak.
void claims_by_address(Round& round) {
  if (!round.any_nameless) return;
  const bool after_restart = round.now < round.memory.first_round + round.spec.settle;
  std::unordered_map<std::string_view, uint32_t> by_address;
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    if (anonymous(round, i) && !round.view.instances[i].address.empty())
      by_address.emplace(round.view.instances[i].address, i);
  }
  if (!by_address.empty()) {
    for (uint32_t w = 0; w < round.works.size(); ++w) {
      const Work& work = round.works[w];
      if (work.instance != nothing || !work.memory->bound.empty() || work.facts.power == Power::down) continue;
      const auto it = by_address.find(round.node(work).address);
      if (it != by_address.end() && round.seats[it->second].work == nothing) claim(round, w, it->second);
    }
  }
  if (!after_restart) return;
  for (uint32_t i = 0; i < round.view.instances.size(); ++i) {
    const InstanceView& instance = round.view.instances[i];
    if (round.known_pool(instance.pool) && instance.state == InstanceState::running &&
        instance.agent == AgentState::none && anonymous(round, i) && instance.launched_at < round.memory.first_round) {
      round.pools[instance.pool].unheard = true;
    }
  }
}

// Jobs' nodes mostly follow each other as the nodes do: `guess` is tried before the hash.
uint32_t find_work(const Round& round, const NodeName& name, uint32_t guess) {
  if (guess < round.works.size() && round.node(round.works[guess]).name == name) return guess;
  const auto it = round.memory.nodes.find(name);
  return it == round.memory.nodes.end() || it->second.round != round.memory.round ? nothing : it->second.work;
}

}  // namespace

bool is_live(const InstanceView& instance) {
  return instance.state == InstanceState::pending || instance.state == InstanceState::running;
}

void join_both_ends(Round& round) {
  round.plan.situations.resize(round.view.nodes.size(), Situation::held);
  round.seats.resize(round.view.instances.size());
  for (auto it = round.memory.instances.begin(); it != round.memory.instances.end();) {
    const uint32_t index = round.find_instance(it->first, it->second.place);
    if (index == nothing) {
      // Forgotten only when a listing made after we asked for its end no longer has it.
      const bool over = round.view.instances_complete && round.view.instances_as_of >= it->second.terminate_at;
      it = over ? round.memory.instances.erase(it) : std::next(it);
      continue;
    }
    it->second.place = index;
    round.seats[index].memory = &it->second;
    round.seats[index].doomed = it->second.terminate_at != TimePoint{};
    ++it;
  }
  const auto awake = static_cast<size_t>(std::count_if(round.view.nodes.begin(), round.view.nodes.end(),
                                                       [](const NodeView& node) { return !sleeps(node); }));
  round.works.reserve(awake);
  if (awake > 2 * round.memory.nodes.size()) round.memory.nodes.reserve(awake);
  collect_nodes(round);
  claims_on_sleepers(round, claims_of_agents(round));
  claims_of_memory(round);
  claims_by_address(round);
  uint32_t next = 0;
  for (uint32_t place = 0; place < round.view.jobs.size(); ++place) {
    const JobView& job = round.view.jobs[place];
    for (const NodeName& name : job.nodes) {
      const uint32_t w = find_work(round, name, next);
      if (w == nothing) continue;
      next = w + 1;
      if (round.works[w].job == 0) {
        round.works[w].job = job.id;
        round.works[w].job_place = place;
      }
      round.job_works.push_back({w, place});
    }
  }
}

}  // namespace slipway::engine
