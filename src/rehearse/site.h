// A simulated cloud's machine hall, in words that no cloud owns: capacity, quotas, machines that come, fail and are
// taken. The faces of clouds (azure/) put their APIs in front of it; underneath, machines are either real (the machine
// host's, with a real start task, agent and slurmd) or virtual (a row in a table), by the Floor that it is given.
//
// On the loop's thread. Machines of a group are kept in the order of their making.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "model/offer.h"
#include "rehearse/floor.h"
#include "rehearse/levers.h"

namespace slipway::rehearse {

enum class Phase : uint8_t {
  allocating,    // asked for; counts against capacity and quota, exists for nobody
  starting,      // exists and boots
  start_task,    // runs its start task
  running,       // its start task succeeded
  start_failed,  // its start task ended with another status than 0
  unusable,      // it never came up, or ended by itself
  evicted,       // taken by the cloud; it may come back (return_evicted) or be released
  leaving,
};
std::string_view to_string(Phase phase);

struct Machine;

struct Order {
  std::string group;  // "batch/<account>/<pool>", "vmss/<subscription>/<resource group>/<name>"
  std::string size;
  std::string zone;  // empty: any
  model::Market market = model::Market::on_demand;
  std::string quota_scope;  // a Batch account's name, or a region
  std::string family;
  uint32_t cores = 1;
  std::function<std::string(MachineKey)> name;   // in its cloud's words
  std::function<Recipe(const Machine&)> recipe;  // asked at each boot
};

struct Machine {
  MachineKey key = 0;
  std::string name;
  std::shared_ptr<const Order> order;
  Phase phase = Phase::allocating;
  TimePoint asked_at{};
  TimePoint since{};     // of the phase
  std::string address;   // empty until it boots
  int exit_status = 0;   // of its start task
  TimePoint evict_at{};  // notice was given; epoch: none
  std::string event_id;  // of the notice
  uint32_t boots = 0;
};

struct Shortfall {
  ErrorCode code = ErrorCode::no_capacity;  // or quota
  uint32_t count = 0;
  std::string limit;  // what is reached, for the error's text: "family standardHBrsv3Family, 120 of 120 cores"
};

struct Grant {
  std::vector<MachineKey> machines;  // allocating
  std::vector<Shortfall> shortfalls;
};

class Site {
 public:
  Site(Loop& loop, const Clock& clock, Floor& floor, uint64_t seed);
  ~Site();
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;

  const Levers& levers() const;
  Levers& levers();                // for Gate::pass, which counts replies down
  void set_levers(Levers levers);  // machines that exist already stay

  // As many as capacity and quotas have room for now; the rest is told, each limit with what it cost.
  Grant take(std::shared_ptr<const Order> order, uint32_t count);
  // `power_cut`: without the machine's own shutdown. Unknown keys are ignored. Gone after Levers::release and not
  // before the floor's machine ended; those that are still allocating at once.
  void release(const std::vector<MachineKey>& machines, bool power_cut = false);
  // `fresh_disk` makes no difference to the floors there are: their machines always boot from the image.
  void reboot(MachineKey machine, bool fresh_disk);
  // The cloud takes them after `notice`; with 0 at once and without a word. They become `evicted`, and free their
  // capacity. Those that don't exist yet, are leaving or evicted already are left alone.
  void evict(const std::vector<MachineKey>& machines, Duration notice);
  // Boots evicted machines again, as far as there is room; Batch does so by itself.
  void return_evicted(const std::string& group);
  // A notice was acknowledged: the machine is taken now. Unknown ids are ignored.
  void acknowledge(const std::string& event_id);
  // Behind everybody's back: gone at once, not even leaving.
  void vanish(const std::vector<MachineKey>& machines);

  const Machine* find(MachineKey machine) const;
  const Machine* find_by_address(const std::string& address) const;
  const std::vector<MachineKey>& of_group(const std::string& group) const;  // valid until the next call of anything
  std::vector<std::string> groups() const;                                  // that have machines
  uint32_t cores_used(const std::string& quota_scope, const std::string& family,
                      std::optional<model::Market> market) const;  // empty and unset: any

  // Called after each change of a machine, from the loop, never from inside another call; changes of one turn are told
  // once. A gone one is told once with exists == false: find() doesn't know it any more. Every watcher is called.
  // New machines that are allocating aren't told: take() did.
  void watch(std::function<void(const Machine&, bool exists)> changed);
  // The Floor's pid of a machine; 0: none.
  int pid_of(MachineKey machine) const;

  // All machines, as JSON; to be loaded by a new Site with the same floor before anything else is done with it.
  std::string save() const;
  // `order_of` gives a saved order its functions back; null: its group isn't there any more, and the machine goes.
  // bad_config: the text isn't from save().
  Result<void> load(std::string_view json, const std::function<std::shared_ptr<const Order>(Order saved)>& order_of);

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway::rehearse
