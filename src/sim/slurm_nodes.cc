#include <bit>

#include "sim/slurm_state.h"

namespace slipway::sim {

using namespace model;

namespace {

constexpr uint32_t set_aside = node_drain | node_fail | node_invalid_reg;

// Nodes that power down come back; what is DOWN, drained or not heard may never.
bool is_usable(const SlurmNodeState& state) {
  const bool lost = state.has(node_not_responding) && (state.flags & (node_powering_up | node_powered_down)) == 0;
  return state.base != NodeBase::down && (state.flags & set_aside) == 0 && !lost;
}

bool is_free(const SlurmNodeState& state, JobId job) {
  constexpr uint32_t leaving = node_powering_down | node_power_down_requested | node_completing | node_reboot;
  return job == 0 && state.base == NodeBase::idle && is_usable(state) && (state.flags & leaving) == 0;
}

}  // namespace

void NodeSet::set(uint32_t index, bool in) {
  const uint64_t bit = uint64_t{1} << (index % 64);
  in ? words_[index / 64] |= bit : words_[index / 64] &= ~bit;
}

uint32_t NodeSet::next(uint32_t from, uint32_t to) const {
  while (from < to) {
    const uint64_t rest = words_[from / 64] >> (from % 64);
    if (rest != 0) return std::min(to, from + static_cast<uint32_t>(std::countr_zero(rest)));
    from = (from / 64 + 1) * 64;
  }
  return to;
}

void Slurm::State::set(uint32_t node, SlurmNodeState state) {
  engine::NodeView& view = views[node];
  NodeRecord& record = records[node];
  const bool differs = !(view.slurm == state);
  view.slurm = state;
  view.busy = state.base == NodeBase::allocated || state.base == NodeBase::mixed || state.has(node_completing);

  PoolNodes& pool = pools[view.pool];
  const bool free = is_free(state, record.job), asleep = state.has(node_powered_down);
  if (const bool is = free && !asleep; is != free_up.has(node)) {
    free_up.set(node, is);
    is ? ++pool.free_up : --pool.free_up;
  }
  if (const bool is = free && asleep; is != free_asleep.has(node)) {
    free_asleep.set(node, is);
    is ? ++pool.free_asleep : --pool.free_asleep;
  }
  if (const bool is = is_usable(state); is != record.usable) {
    record.usable = is;
    is ? ++pool.usable : --pool.usable;
  }
  if (wants_power(state)) {
    if (!record.in_power_list) {
      record.in_power_list = true;
      power_list.push_back(node);
    }
    arm_scan(timeline.now());
  }
  watch(node);
  if (differs) touched(node);
}

void Slurm::State::touched(uint32_t node) {
  mark(node);
  if (owner.on_node_state) owner.on_node_state(node);
}

void Slurm::State::mark(uint32_t node) {
  NodeRecord& record = records[node];
  if (!record.changed) {
    record.changed = true;
    changed.push_back(node);
  }
  unsaved(node);
}

void Slurm::State::reset_address(uint32_t node) {
  if (views[node].address == views[node].name.str()) return;
  views[node].address = views[node].name.str();
  mark(node);
}

void Slurm::State::back_in_service(uint32_t node) {
  if (options.release != Release::r22_05 || views[node].reason.empty()) return;
  views[node].reason.clear();
  touched(node);
}

}  // namespace slipway::sim
