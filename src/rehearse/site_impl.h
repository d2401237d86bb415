// What a Site is inside; for site.cc, site_life.cc and site_state.cc only.
#pragma once

#include <queue>
#include <random>
#include <unordered_map>

#include "rehearse/site.h"
#include "rehearse/usage.h"

namespace slipway::rehearse {

struct Site::Impl {
  struct Trouble {
    bool never = false;
    bool silent = false;
    bool fails = false;
    bool unusable = false;
  };
  struct Slot {
    Machine machine;
    Trouble trouble;        // of its last boot
    bool counted = true;    // against capacity and quota
    bool on_floor = false;  // a boot of it is there, or was begun
    bool may_go = false;    // leaving: Levers::release is over
    bool told = false;      // it is in `changed`
    int pid = 0;
    TimePoint due{};        // its phase ends then by itself; with due_turn
    uint64_t due_turn = 0;  // of the appointment that counts; 0: none
    uint64_t take_turn = 0;
  };
  // One queue for all machines, one timer of the loop for its head: a timer a machine would cost more than the machine.
  struct Appointment {
    TimePoint at;
    uint64_t turn = 0;  // appointments at one time are kept in the order of their making
    MachineKey machine = 0;
    bool operator>(const Appointment& other) const { return std::tie(at, turn) > std::tie(other.at, other.turn); }
  };
  struct Group {
    std::vector<MachineKey> machines;  // ascending, with those of `gone`
    std::vector<MachineKey> gone;      // taken out when somebody looks
  };

  Impl(Loop& on, const Clock& time, Floor& below, uint64_t seed) : loop(on), clock(time), floor(below), random(seed) {}

  Slot* find(MachineKey key) {
    auto it = slots.find(key);
    return it == slots.end() ? nullptr : &it->second;
  }
  Duration draw(const Span& span);
  std::string new_event_id();
  Trouble draw_trouble(const Order& order);

  void set_phase(Slot& slot, Phase phase);
  void tell(Slot& slot);
  void tell_later();
  void tell_now();
  uint64_t appoint(MachineKey key, TimePoint at);
  void advance_at(Slot& slot, TimePoint at);
  void arm();
  void run_due();
  void advance(Slot& slot);
  void make_boot(Slot& slot);
  Floor::Boot boot_of(const Slot& slot) const;
  void take_away(Slot& slot);
  void erase(Slot& slot);
  void set_address(Slot& slot, const std::string& address);
  void hear(const Floor::Facts& facts);
  void uncount(Slot& slot);

  Loop& loop;
  const Clock& clock;
  Floor& floor;
  std::mt19937_64 random;
  Levers levers;
  std::vector<uint64_t> boots_of_lever;  // beside levers.boots
  Usage usage;
  MachineKey next_key = 1;
  std::unordered_map<MachineKey, Slot> slots;
  std::unordered_map<std::string, Group> groups;
  std::unordered_map<std::string, MachineKey> by_address;
  std::unordered_map<std::string, MachineKey> by_event;
  std::priority_queue<Appointment, std::vector<Appointment>, std::greater<>> appointments;
  uint64_t last_turn = 0;
  Loop::TimerId timer = Loop::TimerId::none;
  TimePoint timer_at{};
  std::vector<Floor::Boot> boots;  // of this turn
  std::vector<MachineKey> taken;   // of this turn: their power is cut
  std::vector<std::function<void(const Machine&, bool)>> watchers;
  std::vector<MachineKey> changed;
  std::vector<Machine> gone;
  bool telling = false;
  // Callbacks of the loop that come after its end find out by it.
  std::shared_ptr<bool> living = std::make_shared<bool>(true);
};

}  // namespace slipway::rehearse
