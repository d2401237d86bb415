// BatchFleet itself (batch_fleet.h), for its two halves: the looks (batch_fleet.cc), and what is done to a pool after
// one (batch_care.cc).
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cloud/azure/batch_api.h"
#include "cloud/azure/batch_plan.h"
#include "cloud/azure/batch_settings.h"
#include "cloud/azure/fleet.h"

namespace slipway::cloud::azure {

// One Batch pool.
struct BatchOne {
  BatchSettings settings;
  // Guarded by the fleet's mutex:
  BatchWish wish;
  BatchCounts coming{};          // on the way at the last look
  std::optional<Error> refusal;  // why it can't be used
  // Of list() alone:
  bool had_nodes = true;
  bool knows_nodes = false;  // the last look that could be had listed some
  uint32_t unsure = 0;       // changes in a row whose answers were lost
  TimePoint mend_not_before{};
  TimePoint step_not_before{};
  std::map<std::string, std::string> start_errors;  // what failed start tasks said, by node

  const PoolName& pool() const { return settings.pool->name; }
  model::Offer offer() const { return {settings.pool->machines.empty() ? "" : settings.machine, ""}; }
};

struct BatchLook {
  Listing listing;
  std::chrono::steady_clock::time_point deadline;
  std::optional<Error> throttled;  // nothing more is asked

  Duration left() const { return std::chrono::duration_cast<Duration>(deadline - std::chrono::steady_clock::now()); }
};

class BatchFleet final : public Fleet {
 public:
  BatchFleet(FleetContext context, std::shared_ptr<Rest> rest, std::vector<PoolName> pools,
             std::vector<BatchSettings> settings)
      : context_(std::move(context)),
        api_(batch_url(settings.front().azure(), context_.endpoints), std::move(rest)),
        pools_(std::move(pools)) {
    for (BatchSettings& one : settings) {
      all_.emplace_back();
      all_.back().settings = std::move(one);
    }
  }

  const std::vector<PoolName>& pools() const override { return pools_; }

  Capabilities capabilities() const override;
  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration /*timeout*/) override;
  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration /*timeout*/) override;
  Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration /*timeout*/) override;
  Result<Listing> list(Duration timeout) override;

 private:
  BatchOne* find(const PoolName& pool, const std::string& machine);

  // --- what goes wrong ---

  void rest(const Error& error) { quiet_until_ = context_.clock.now() + error.retry_after.value_or(Duration(5'000)); }

  // The account doesn't answer: what was wanted of it is told as failed, so that the engine can want it elsewhere.
  Result<Listing> unreachable(Error error, BatchLook& look);
  PoolTrouble trouble_of(const BatchOne& one, model::Market market, uint32_t count, std::string token,
                         Error error) const;

  // Precondition: mutex_ is held.
  void drop_wants(BatchOne& one, const Error& error, BatchLook& look);

  // Told once, and whenever the reason changes; launches are refused with it meanwhile.
  void refuse(BatchOne& one, std::optional<Error> error, BatchLook& look);

  // --- a look ---

  void look_at(BatchOne& one, const BatchPoolView* pool, BatchLook& look);
  Result<std::vector<BatchNodeView>> nodes_of(BatchOne& one, const BatchPoolView& pool, BatchLook& look);

  // What failed start tasks said is asked once for all that failed since, since it would make every listing longer.
  void explain(BatchOne& one, std::vector<BatchNodeView>& nodes, BatchLook& look);
  void tell_nodes(const BatchOne& one, const std::vector<BatchNodeView>& nodes, BatchLook& look) const;
  void tell_coming(BatchOne& one, const BatchPoolView& pool, const std::vector<BatchNodeView>& nodes, BatchLook& look);

  // --- making and correcting pools ---

  Result<std::string> node_agent(const BatchOne& one, BatchLook& look);
  Result<BatchApi::Taken> create(const BatchOne& one, const BatchCounts& targets, BatchLook& look);

  // The wants that are there already become its first targets.
  void make(BatchOne& one, BatchLook& look);
  // After several lost answers. Precondition: mutex_ is held.
  void give_up(BatchOne& one, BatchLook& look);
  void cannot(BatchOne& one, const char* what, Error error, BatchLook& look);

  // True when the pool isn't what the file asks, or was just changed: no further step with this look.
  bool correct(BatchOne& one, const BatchPoolView& pool, const BatchOwnership& ownership,
               const std::vector<BatchNodeView>& nodes, BatchLook& look);

  // --- steps ---

  void take(BatchOne& one, const BatchPoolView& pool, const BatchStep& step, BatchLook& look);
  void resize(BatchOne& one, const BatchPoolView& pool, BatchCounts targets, BatchLook& look);
  void stop(BatchOne& one, const BatchPoolView& pool, const BatchCounts& goal, BatchLook& look);
  void remove(BatchOne& one, const BatchPoolView& pool, const std::vector<std::string>& nodes, BatchLook& look);
  void not_done(BatchOne& one, const char* what, const Error& error, BatchLook& look);

  const FleetContext context_;
  BatchApi api_;
  const std::vector<PoolName> pools_;

  std::timed_mutex drive_;   // one look at a time
  TimePoint quiet_until_{};  // guarded by drive_

  mutable std::mutex mutex_;   // never held while Azure is asked
  std::vector<BatchOne> all_;  // in the file's order
  std::optional<Error> down_;  // the last look failed, so
};

}  // namespace slipway::cloud::azure
