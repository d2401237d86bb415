// A provider with a character, and levers for everything that goes wrong; its machines boot, and die, in virtual time.
//   local  exact: machines are listed as soon as they are made;
//   ec2    a launch fills its offers in order and names its machines; listings lag behind;
//   batch  a launch resizes a pool, which does one thing at a time and knows no minimum; receipts name no machine,
//          listings no launch; what could not be had appears later, as trouble of the pool and market.
// Every call is answered once, by callback, never before it returns; it takes effect at some moment of its latency, so
// machines exist, and may be listed, before the launch is answered. Shortages are Refusals in a receipt, which may have
// accepted none; a call fails only as a whole. Machines that are gone are listed for a minute, with trouble unless
// their end was asked for; batch lists none that it was asked to remove.
//
// Nothing looks whether something is due: what happens to a machine is drawn when it is made. A listing costs
// O(machines that it may show). The Timeline's events belong to the Cloud: it must outlive them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloud/provider.h"
#include "engine/view.h"
#include "sim/timeline.h"

namespace slipway::sim {

enum class Character : uint8_t { local, ec2, batch };

struct Latency {  // of one kind of call or step: log-normal-like around the median, never beyond the longest
  Duration median{0};
  Duration longest{0};
};

struct CloudOptions {
  Character character = Character::local;
  Latency call;                   // of each API call
  Latency boot;                   // launch to a running machine with its agent's first word
  Duration consistency{0};        // a new machine is missing from listings for at most so long
  Latency late_error;             // batch: a shortage shows so much later
  model::ApiBudget api;           // calls beyond it are throttled
  uint32_t terminate_max = 1000;  // batch: a call removes no more, and only from pools that aren't being resized
  uint32_t quota = UINT32_MAX;    // machines of a machine type and market, in all zones and pools
  Latency stop;                   // a termination to a machine that is gone; in between it is stopping and billed
  Duration restore{0};  // batch: an evicted machine comes back, as a new one, so much later if there is room; 0: never
  uint32_t addresses = 100'000;  // at least so many are used before one is used again
};

// What may go wrong, all of it off at first. Probabilities are per machine or per call. An end that was drawn doesn't
// happen once its fault is off.
struct CloudFaults {
  double lose_reply = 0;       // the call takes effect, its answer is lost (outcome_unknown; listings: transient)
  double refuse_call = 0;      // transient failure, no effect
  double partial_listing = 0;  // incomplete, half of the machines missing
  double never_boots = 0;
  double boots_late = 0;     // ten times as long
  double boots_twice = 0;    // the machine reboots by itself after its agent's first word
  double dies = 0;           // an hour, any machine
  double evicts = 0;         // an hour, spot machines
  Duration notice{120'000};  // before an eviction; 0: none
};

// A machine, as its owner, the cloud, knows it.
struct Machine {
  model::Instance instance;
  engine::PoolIndex pool = engine::no_pool;
  TimePoint visible_at{};  // in listings from then on
  TimePoint running_at{};
  TimePoint ended_at{};   // epoch: it exists and is billed
  TimePoint vanish_at{};  // not in listings from then on; epoch: it exists
  bool booted = false;    // its agent may speak
  uint32_t boots = 0;
};

class Cloud {
 public:
  Cloud(Timeline& timeline, Random random, const std::vector<engine::Spec::Pool>& pools, CloudOptions options);
  ~Cloud();

  // --- the API. Callbacks come later, one each, also for failures. ---
  void launch(const cloud::LaunchRequest& request, std::function<void(Result<cloud::LaunchReceipt>)> answer);
  void list(std::function<void(Result<cloud::Listing>)> answer);
  void terminate(const std::vector<InstanceId>& instances, std::function<void(Result<std::vector<InstanceId>>)> answer);
  void withdraw(const PoolName& pool, model::Market market, uint32_t count,
                std::function<void(Result<uint32_t>)> answer);
  cloud::Capabilities capabilities() const;

  // --- levers ---
  CloudFaults faults;
  // How many machines there is room for, of an offer in a market; an empty part of the offer means each: each has so
  // much room. The last that was set for an offer holds. UINT32_MAX: no limit.
  void set_capacity(model::Market market, const model::Offer& offer, uint32_t machines);
  void set_error(const model::Offer& offer, std::optional<Error> error);  // every launch there fails so
  // The daemon's calls get no answer: transient, or outcome_unknown for those that were under way.
  void set_reachable(bool reachable);
  void kill(uint32_t machine);                    // nothing happens to one that is gone
  void evict(uint32_t machine, Duration notice);  // nothing happens to one that leaves or was told already

  // --- for the world ---
  std::function<void(uint32_t machine)> on_booted;  // its agent starts (again)
  std::function<void(uint32_t machine)> on_reboot;  // all that runs on it ends; on_booted follows
  std::function<void(uint32_t machine)> on_ended;   // whatever the reason
  std::function<void(uint32_t machine)> on_notice;  // of an eviction, on the machine itself
  const std::vector<Machine>& machines() const;     // all that ever were, by number
  uint32_t index_of(const InstanceId& id) const;    // UINT32_MAX: none
  uint32_t billed() const;                          // exist now
  uint64_t calls() const;                           // of the API, ever
  uint64_t throttled_calls() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace slipway::sim
