// What becomes of a site's machines by themselves: appointments, boots, and what their floor tells.
#include <algorithm>
#include <array>
#include <cstdio>

#include "base/log.h"
#include "rehearse/site_impl.h"

namespace slipway::rehearse {

// Time and chance.

Duration Site::Impl::draw(const Span& span) {
  const auto least = span.least.count();
  const auto most = std::max(least, span.most.count());
  if (least == most) return Duration(least);
  return Duration(std::uniform_int_distribution<int64_t>(least, most)(random));
}

std::string Site::Impl::new_event_id() {
  const uint64_t a = random();
  const uint64_t b = random();
  std::array<char, 37> text{};
  std::snprintf(text.data(), text.size(), "%08X-%04X-4%03X-%04X-%012llX", static_cast<unsigned>(a >> 32),
                static_cast<unsigned>(a >> 16 & 0xffff), static_cast<unsigned>(a & 0xfff),
                static_cast<unsigned>(0x8000 | (b >> 48 & 0x3fff)),
                static_cast<unsigned long long>(b & 0xffff'ffff'ffff));
  return text.data();
}

Site::Impl::Trouble Site::Impl::draw_trouble(const Order& order) {
  Trouble trouble;
  for (size_t i = 0; i < levers.boots.size(); ++i) {
    const BootLever& lever = levers.boots[i];
    if (!order.group.ends_with(lever.group)) continue;
    const uint64_t number = ++boots_of_lever[i];
    auto falls = [number](uint32_t every) { return every > 0 && number % every == 0; };
    trouble.never |= falls(lever.never_every);
    trouble.unusable |= falls(lever.unusable_every);
    trouble.fails |= falls(lever.start_task_fails_every);
    trouble.silent |= falls(lever.silent_every);
  }
  return trouble;
}

uint64_t Site::Impl::appoint(MachineKey key, TimePoint at) {
  appointments.push({at, ++last_turn, key});
  return last_turn;
}

void Site::Impl::advance_at(Slot& slot, TimePoint at) {
  slot.due = at;
  slot.due_turn = appoint(slot.machine.key, at);
}

void Site::Impl::arm() {
  if (appointments.empty()) return;
  const TimePoint at = appointments.top().at;
  if (timer != Loop::TimerId::none && timer_at <= at) return;
  loop.cancel(timer);
  timer_at = at;
  timer = loop.after(std::max(Duration(0), at - clock.now()), [this] {
    timer = Loop::TimerId::none;
    run_due();
  });
}

void Site::Impl::run_due() {
  const TimePoint now = clock.now();
  while (!appointments.empty() && appointments.top().at <= now) {
    const Appointment due = appointments.top();
    appointments.pop();
    Slot* slot = find(due.machine);
    if (!slot) continue;
    if (slot->take_turn == due.turn) {
      take_away(*slot);
    } else if (slot->due_turn == due.turn) {
      slot->due_turn = 0;
      advance(*slot);
    }
  }
  if (!taken.empty()) floor.end(std::exchange(taken, {}), true);
  if (!boots.empty()) floor.boot(std::exchange(boots, {}));
  arm();
}

// Telling.

void Site::Impl::tell_later() {
  if (telling) return;
  telling = true;
  loop.after(Duration(0), [this, alive = living] {
    if (*alive) tell_now();
  });
}

void Site::Impl::tell(Slot& slot) {
  if (slot.told) return;
  slot.told = true;
  changed.push_back(slot.machine.key);
  tell_later();
}

void Site::Impl::tell_now() {
  telling = false;
  const auto now_changed = std::exchange(changed, {});
  const auto now_gone = std::exchange(gone, {});
  for (const MachineKey key : now_changed) {
    if (Slot* slot = find(key)) slot->told = false;
  }
  // Watchers may change machines, and be added to.
  for (size_t i = 0; i < watchers.size(); ++i) {
    const auto watcher = watchers[i];
    for (const Machine& machine : now_gone) watcher(machine, false);
    for (const MachineKey key : now_changed) {
      if (Slot* slot = find(key)) watcher(Machine(slot->machine), true);
    }
  }
}

// A machine's life.

void Site::Impl::set_phase(Slot& slot, Phase phase) {
  slot.machine.phase = phase;
  slot.machine.since = clock.now();
  slot.due_turn = 0;
  tell(slot);
}

void Site::Impl::set_address(Slot& slot, const std::string& address) {
  if (slot.machine.address == address) return;
  auto it = by_address.find(slot.machine.address);
  if (it != by_address.end() && it->second == slot.machine.key) by_address.erase(it);
  slot.machine.address = address;
  if (!address.empty()) by_address[address] = slot.machine.key;
  tell(slot);
}

void Site::Impl::uncount(Slot& slot) {
  if (!slot.counted) return;
  slot.counted = false;
  usage.remove(*slot.machine.order, 1);
}

void Site::Impl::erase(Slot& slot) {
  uncount(slot);
  const MachineKey key = slot.machine.key;
  auto address = by_address.find(slot.machine.address);
  if (address != by_address.end() && address->second == key) by_address.erase(address);
  by_event.erase(slot.machine.event_id);
  auto group = groups.find(slot.machine.order->group);
  group->second.gone.push_back(key);
  if (group->second.gone.size() == group->second.machines.size()) groups.erase(group);
  gone.push_back(std::move(slot.machine));
  slots.erase(key);
  tell_later();
}

void Site::Impl::advance(Slot& slot) {
  switch (slot.machine.phase) {
    case Phase::allocating:
      set_phase(slot, Phase::starting);
      advance_at(slot, clock.now() + draw(levers.boot));
      return;
    case Phase::starting:
      make_boot(slot);
      return;
    case Phase::leaving:
      slot.may_go = true;
      if (!slot.on_floor) erase(slot);
      return;
    default:
      return;
  }
}

void Site::Impl::make_boot(Slot& slot) {
  ++slot.machine.boots;
  slot.trouble = draw_trouble(*slot.machine.order);
  if (slot.trouble.unusable) {
    set_phase(slot, Phase::unusable);
    return;
  }
  slot.on_floor = true;
  boots.push_back(boot_of(slot));
}

Floor::Boot Site::Impl::boot_of(const Slot& slot) const {
  const Machine& machine = slot.machine;
  Floor::Boot boot;
  boot.key = machine.key;
  boot.boots = machine.boots;
  boot.group = machine.order->group;
  boot.name = machine.name;
  boot.address = machine.address;
  if (machine.order->recipe) boot.recipe = machine.order->recipe(machine);
  boot.never = slot.trouble.never;
  boot.silent = slot.trouble.silent;
  boot.fails = slot.trouble.fails;
  return boot;
}

void Site::Impl::take_away(Slot& slot) {
  if (slot.on_floor) taken.push_back(slot.machine.key);
  slot.on_floor = false;
  slot.pid = 0;
  slot.take_turn = 0;
  by_event.erase(slot.machine.event_id);
  slot.machine.event_id.clear();
  slot.machine.evict_at = {};
  uncount(slot);
  set_phase(slot, Phase::evicted);
}

// What the floor says of a boot. Facts of earlier boots are old news.
void Site::Impl::hear(const Floor::Facts& facts) {
  Slot* slot = find(facts.key);
  if (!slot || !slot->on_floor || facts.boots != slot->machine.boots) return;
  Machine& machine = slot->machine;
  slot->pid = facts.pid;
  if (!facts.end.empty()) {
    slot->on_floor = false;
    slot->pid = 0;
    if (machine.phase == Phase::leaving) {
      if (slot->may_go) erase(*slot);
    } else if (facts.end == "evicted") {
      take_away(*slot);
    } else if (machine.phase != Phase::unusable) {
      log_warning("simulated_machine_unusable", {{"machine", machine.name}, {"end", facts.end}});
      set_phase(*slot, Phase::unusable);
    }
    return;
  }
  if (!facts.address.empty()) set_address(*slot, facts.address);
  if (slot->trouble.silent) {
    if (machine.phase == Phase::starting && facts.exists) set_phase(*slot, Phase::running);
    return;
  }
  if (machine.phase == Phase::starting && facts.start_task_begun) set_phase(*slot, Phase::start_task);
  if (machine.phase == Phase::start_task && facts.start_task_status) {
    machine.exit_status = *facts.start_task_status;
    set_phase(*slot, machine.exit_status == 0 ? Phase::running : Phase::start_failed);
  }
}

}  // namespace slipway::rehearse
