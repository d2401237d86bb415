#include "rehearse/site.h"

#include <algorithm>

#include "base/check.h"
#include "rehearse/site_impl.h"

namespace slipway::rehearse {

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::allocating:
      return "allocating";
    case Phase::starting:
      return "starting";
    case Phase::start_task:
      return "start_task";
    case Phase::running:
      return "running";
    case Phase::start_failed:
      return "start_failed";
    case Phase::unusable:
      return "unusable";
    case Phase::evicted:
      return "evicted";
    case Phase::leaving:
      return "leaving";
  }
  return "unusable";
}

Site::Site(Loop& loop, const Clock& clock, Floor& floor, uint64_t seed)
    : impl_(std::make_unique<Impl>(loop, clock, floor, seed)) {
  floor.watch([this, alive = impl_->living](const Floor::Facts& facts) {
    if (*alive) impl_->hear(facts);
  });
}

Site::~Site() {
  *impl_->living = false;
  impl_->loop.cancel(impl_->timer);
}

const Levers& Site::levers() const {
  return impl_->levers;
}

Levers& Site::levers() {
  return impl_->levers;
}

void Site::set_levers(Levers levers) {
  impl_->levers = std::move(levers);
  impl_->boots_of_lever.assign(impl_->levers.boots.size(), 0);
}

Grant Site::take(std::shared_ptr<const Order> order, uint32_t count) {
  SLIPWAY_CHECK(order && order->name);
  Impl& all = *impl_;
  Grant grant;
  const uint32_t given = all.usage.room(all.levers, *order, count, grant.shortfalls);
  if (given == 0) return grant;
  all.usage.add(*order, given);
  all.slots.reserve(all.slots.size() + given);
  auto& group = all.groups[order->group].machines;
  const TimePoint now = all.clock.now();
  grant.machines.reserve(given);
  for (uint32_t i = 0; i < given; ++i) {
    const MachineKey key = all.next_key++;
    Impl::Slot& slot = all.slots[key];
    slot.machine.key = key;
    slot.machine.name = order->name(key);
    slot.machine.order = order;
    slot.machine.asked_at = now;
    slot.machine.since = now;
    all.advance_at(slot, now + all.draw(all.levers.allocate));
    group.push_back(key);
    grant.machines.push_back(key);
  }
  all.arm();
  return grant;
}

void Site::release(const std::vector<MachineKey>& machines, bool power_cut) {
  Impl& all = *impl_;
  std::vector<MachineKey> ending;
  for (const MachineKey key : machines) {
    Impl::Slot* slot = all.find(key);
    if (!slot || slot->machine.phase == Phase::leaving) continue;
    if (slot->machine.phase == Phase::allocating) {
      all.erase(*slot);
      continue;
    }
    slot->take_turn = 0;
    all.set_phase(*slot, Phase::leaving);
    all.advance_at(*slot, all.clock.now() + all.draw(all.levers.release));
    if (slot->on_floor) ending.push_back(key);
  }
  if (!ending.empty()) all.floor.end(ending, power_cut);
  all.arm();
}

void Site::reboot(MachineKey machine, bool /*fresh_disk*/) {
  Impl& all = *impl_;
  Impl::Slot* slot = all.find(machine);
  if (!slot || slot->machine.phase == Phase::allocating || slot->machine.phase == Phase::leaving ||
      slot->machine.phase == Phase::evicted) {
    return;
  }
  if (slot->on_floor) all.floor.end({machine}, false);
  slot->on_floor = false;
  slot->pid = 0;
  slot->machine.exit_status = 0;
  all.set_phase(*slot, Phase::starting);
  all.advance_at(*slot, all.clock.now() + all.draw(all.levers.boot));
  all.arm();
}

void Site::evict(const std::vector<MachineKey>& machines, Duration notice) {
  Impl& all = *impl_;
  const TimePoint at = all.clock.now() + notice;
  for (const MachineKey key : machines) {
    Impl::Slot* slot = all.find(key);
    if (!slot || slot->machine.phase == Phase::allocating || slot->machine.phase == Phase::leaving ||
        slot->machine.phase == Phase::evicted) {
      continue;
    }
    if (notice <= Duration(0)) {
      all.take_away(*slot);
      continue;
    }
    if (slot->machine.event_id.empty()) {
      slot->machine.event_id = all.new_event_id();
      all.by_event[slot->machine.event_id] = key;
    }
    slot->machine.evict_at = at;
    slot->take_turn = all.appoint(key, at);
    all.tell(*slot);
  }
  if (!all.taken.empty()) all.floor.end(std::exchange(all.taken, {}), true);
  all.arm();
}

void Site::return_evicted(const std::string& group) {
  Impl& all = *impl_;
  for (const MachineKey key : of_group(group)) {
    Impl::Slot* slot = all.find(key);
    if (slot->machine.phase != Phase::evicted) continue;
    std::vector<Shortfall> ignored;
    if (all.usage.room(all.levers, *slot->machine.order, 1, ignored) == 0) continue;
    all.usage.add(*slot->machine.order, 1);
    slot->counted = true;
    all.set_phase(*slot, Phase::starting);
    all.advance_at(*slot, all.clock.now() + all.draw(all.levers.boot));
  }
  all.arm();
}

void Site::acknowledge(const std::string& event_id) {
  auto it = impl_->by_event.find(event_id);
  if (it != impl_->by_event.end()) evict({it->second}, Duration(0));
}

void Site::vanish(const std::vector<MachineKey>& machines) {
  Impl& all = *impl_;
  std::vector<MachineKey> ending;
  for (const MachineKey key : machines) {
    Impl::Slot* slot = all.find(key);
    if (!slot) continue;
    if (slot->on_floor) ending.push_back(key);
    all.erase(*slot);
  }
  if (!ending.empty()) all.floor.end(ending, true);
}

const Machine* Site::find(MachineKey machine) const {
  const Impl::Slot* slot = impl_->find(machine);
  return slot ? &slot->machine : nullptr;
}

const Machine* Site::find_by_address(const std::string& address) const {
  auto it = impl_->by_address.find(address);
  return it == impl_->by_address.end() ? nullptr : find(it->second);
}

const std::vector<MachineKey>& Site::of_group(const std::string& group) const {
  static const std::vector<MachineKey> none;
  auto it = impl_->groups.find(group);
  if (it == impl_->groups.end()) return none;
  auto& machines = it->second.machines;
  if (auto& gone = it->second.gone; !gone.empty()) {
    std::sort(gone.begin(), gone.end());
    std::erase_if(machines, [&](MachineKey key) { return std::binary_search(gone.begin(), gone.end(), key); });
    gone.clear();
  }
  return machines;
}

std::vector<std::string> Site::groups() const {
  std::vector<std::string> names;
  for (const auto& [name, group] : impl_->groups) names.push_back(name);
  std::sort(names.begin(), names.end());
  return names;
}

uint32_t Site::cores_used(const std::string& quota_scope, const std::string& family,
                          std::optional<model::Market> market) const {
  return static_cast<uint32_t>(std::min<uint64_t>(UINT32_MAX, impl_->usage.cores(quota_scope, family, market)));
}

void Site::watch(std::function<void(const Machine&, bool exists)> changed) {
  impl_->watchers.push_back(std::move(changed));
}

int Site::pid_of(MachineKey machine) const {
  const Impl::Slot* slot = impl_->find(machine);
  return slot ? slot->pid : 0;
}

}  // namespace slipway::rehearse
