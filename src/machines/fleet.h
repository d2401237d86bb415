// The machines of one cluster: launches, watches, ends and remembers them. On the machine host's loop; nothing here
// blocks for long.
//
// A launch is written down whole and answered; then the machines start one after another, a few at a time, between
// other requests. Crash windows: machines/host.h.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "base/result.h"
#include "machines/boot.h"
#include "machines/capacity.h"
#include "machines/client.h"
#include "machines/host.h"
#include "machines/network.h"
#include "machines/record.h"

namespace slipway::machines {

class Fleet {
 public:
  Fleet(const Clock& clock, Loop& loop, Network& network, const HostOptions& options);
  ~Fleet();
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Finds the machines that an earlier host left running, and those that ended meanwhile.
  void adopt();

  Result<LaunchResult> launch(const MachineSpec& spec, uint32_t count, const std::string& token,
                              const LaunchTerms& terms);
  std::vector<Machine> list() const;
  void terminate(const std::vector<std::string>& ids);
  void kill(const std::vector<std::string>& ids);
  Result<void> freeze(const std::vector<std::string>& ids, bool frozen);
  Result<void> cut_off(const std::vector<std::string>& ids, bool cut);
  Result<void> evict(const std::vector<std::string>& ids, Duration notice);
  void set_trouble(const BootTrouble& trouble);
  Result<void> set_capacity(const CapacityLimit& limit);
  Result<void> clear_trouble();

  // Ends every machine; `done` is called when the last process is gone. No launches afterwards.
  void end_all(Loop::Callback done);

 private:
  struct LaunchPlan {
    MachineSpec spec;
    std::shared_ptr<const RootPlan> root;
    std::string master_key;  // hex
  };
  struct Entry {
    Record record;
    Ipv4 address = 0;
    std::shared_ptr<const LaunchPlan> launch;  // until it has started
    Duration delay{0};
    bool never = false;
    Fd process;
    Fd line;              // until the agent runs
    std::string failure;  // what came over the line
    Loop::TimerId deadline = Loop::TimerId::none;
    Loop::TimerId eviction = Loop::TimerId::none;
  };

  Result<std::shared_ptr<const LaunchPlan>> plan_launch(const MachineSpec& spec) const;
  uint32_t room_for(uint32_t count, std::optional<Error>& full) const;
  Fill fill_launch(const MachineSpec& spec, uint32_t count, const LaunchTerms& terms);
  uint32_t count_of(const CapacityLimit& limit) const;
  // One machine of the launch, written down and queued; `own` is given back when that fails.
  Result<std::string> record_machine(const std::shared_ptr<const LaunchPlan>& plan, const std::string& token,
                                     const LaunchTerms& terms, const model::Offer& offer, Ipv4 own);
  Result<Ipv4> take_address(const std::string& wanted);
  std::vector<std::string> ids_of_token(const std::string& token) const;
  uint32_t take_refusals(const MachineSpec& spec, uint32_t most);
  BootTrouble take_boot_trouble(const MachineSpec& spec);

  void start_next();
  Result<void> start(Entry& entry);
  void started(const std::string& id);
  void watch(Entry& entry);
  void ended(const std::string& id);
  void gone(Entry& entry, std::string end);
  void signal(Entry& entry, int number, const char* ending);
  void end_at_once(Entry& entry, const char* ending);
  void await_eviction(Entry& entry);
  void save(const Entry& entry);
  void forget(Ipv4 address);
  void prune();
  Entry* find(const std::string& id);
  size_t alive() const { return entries_.size() - gone_count_; }

  const Clock& clock_;
  Loop& loop_;
  Network& network_;
  HostOptions options_;
  AddressPool addresses_;
  Counter counter_;
  std::map<std::string, Entry> entries_;  // by id; gone ones stay for a minute
  size_t gone_count_ = 0;
  std::deque<std::string> queue_;  // to be started, in the order of launch
  size_t booting_ = 0;
  bool start_pending_ = false;
  std::deque<std::string> gone_folders_;  // the oldest first
  std::vector<BootTrouble> troubles_;
  std::vector<CapacityLimit> limits_;
  std::set<Ipv4> forgotten_;  // addresses of machines that ended, still in the bridge's neighbour table
  Loop::Callback on_empty_;
  // Callbacks that are under way when this ends find out by it.
  std::shared_ptr<bool> living_ = std::make_shared<bool>(true);
};

}  // namespace slipway::machines
