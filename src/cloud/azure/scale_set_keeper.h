// One scale set: looks at it, and keeps it as the cluster file and the daemon want it.
//
// What it must get right, whoever dies when:
//   - A launch raises sku.capacity once, on the condition (If-Match) that the set is as it was when we looked. The
//     capacity is Azure's memory of what is wanted: after a restart, capacity minus machines while an operation runs
//     are the machines on their way, and nobody orders them twice.
//   - A capacity above the number of machines with no operation running is what an allocation that failed leaves
//     behind. The next rise would bring those machines too, so it is put down to what there is, on the condition that
//     nothing changed since the machines were counted, and never while some are being deleted or the list of them
//     may lag behind.
//   - Lowering a capacity lets Azure choose who goes. We only ever lower it to the number of machines; machines that
//     are to go are named. That is why machines on their way aren't taken back (withdraw): a flexible set shows
//     each as a VM within seconds, and then it can be named.
//   - Launch tokens are remembered while this process lives: new VMs are credited to the oldest launch that misses
//     some. After a restart instances have no token, and the engine copes.
//
// Thread-safe. Changes to one set are made one at a time; looking waits for no change.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloud/azure/fleet.h"
#include "cloud/azure/scale_set_calls.h"
#include "cloud/azure/scale_set_model.h"

namespace slipway::cloud::azure {

inline constexpr Duration scale_set_consistency{3'000};  // between what was done and what listings show

class ScaleSetKeeper {
 public:
  ScaleSetKeeper(FleetContext context, const model::Pool& pool, ScaleSetSpec spec, const ScaleSetCalls& calls);

  const ScaleSetSpec& spec() const { return spec_; }

  Result<LaunchReceipt> launch(const LaunchRequest& request, const Deadline& deadline);
  // Adds the set's machines and troubles to `listing`. `seen`: the set as a listing of the group showed it; null: it
  // isn't there, and is made.
  void look(const ScaleSetView* seen, Listing& listing, const Deadline& deadline);
  // The names that couldn't be deleted now. Unknown ones are gone already.
  Result<std::vector<std::string>> remove(const std::vector<std::string>& names, const Deadline& deadline);
  bool has(const std::string& vm) const;
  MachineFacts facts(const std::string& vm) const;

 private:
  struct Vm {
    VmView view;
    std::string token;
    std::string placement;
    TimePoint first_seen{};
    TimePoint deleting_until{};  // its deletion was asked for; asked again after that
    std::optional<Error> lost;   // it won't come back, and why; it stays so while it is deleted
  };
  struct Launch {
    std::string token;
    std::string placement;
    uint32_t missing = 0;
    uint32_t count = 0;
    uint32_t target = 0;   // the capacity that it asked for
    std::string etag;      // of the set before
    bool unknown = false;  // the answer was lost
    std::set<std::string> vms;
  };
  enum class What : uint8_t { grow, remove, settings };
  struct Operation {
    What what = What::grow;
    Pending pending;
    TimePoint due{};
    std::vector<std::string> vms;
  };

  enum class Fate : uint8_t { pending, running, stopping, evicted, failed, stopped };
  static Fate fate_of(const VmView& vm);
  static std::optional<Error> loss_of(const VmView& vm);  // what ended it, if it has ended
  model::Instance instance_of(const Vm& vm) const;        // state_ held

  Result<void> usable(const ScaleSetView& view) const;
  bool has_machines() const;  // or waits for some
  void none_left(Listing& listing, const Deadline& deadline);
  void follow(bool all, const Deadline& deadline);
  void take_in(std::vector<VmView> vms, Listing& listing);
  void add_on_the_way(const ScaleSetView* seen, Listing& listing) const;
  void tell(Listing& listing, const std::string& token, uint32_t count, const Error& error) const;
  void tell_once(Listing& listing, const Error& error);
  void clear_away(const Deadline& deadline);
  void settle(const ScaleSetView& seen, Listing& listing, const Deadline& deadline);
  void correct(const ScaleSetView& seen, Listing& listing, const Deadline& deadline);
  void make(Listing& listing, const Deadline& deadline);
  Result<ScaleSetCalls::Changed> make_with(uint32_t capacity, const Deadline& deadline);
  Result<std::vector<std::string>> remove_locked(std::vector<std::string> names, const Deadline& deadline);
  Result<uint32_t> base_of(const ScaleSetView& view, const Deadline& deadline);
  void remember(What what, const ScaleSetCalls::Changed& changed, std::vector<std::string> vms = {});
  bool quiet() const;  // no operation of ours runs, and the last change is long enough ago to show
  // state_ held:
  uint32_t staying() const;  // machines that are known and not being deleted
  bool countable() const;    // what ended or vanished is long enough ago for a listing to show all there is

  const FleetContext context_;
  const model::Pool& pool_;
  const ScaleSetSpec spec_;
  const ScaleSetCalls& calls_;

  std::mutex change_;         // held while the set is changed
  mutable std::mutex state_;  // of all below; never held during a call
  std::map<std::string, Vm> vms_;
  bool listed_ = false;           // vms_ is what Azure said
  bool changed_ = false;          // since vms_ was read
  std::vector<Launch> launches_;  // in the order of their making
  std::vector<Operation> operations_;
  std::optional<Error> failure_;  // of the last operation that was to bring machines
  TimePoint changed_at_{};
  TimePoint countable_at_{};  // a listing before that may still lack machines
  TimePoint repair_at_{};     // not before that
  std::string told_;          // the last trouble of the set itself
};

}  // namespace slipway::cloud::azure
