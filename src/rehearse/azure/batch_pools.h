// Batch pools: made, resized, emptied, deleted. Allocation goes the service's way: a resize takes what there is, waits
// for the rest as long as it may, and tells in resizeErrors what it couldn't get once the pool is steady again.
//
// No HTTP and no authentication here; those who call have checked. On the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "rehearse/azure/batch_state.h"
#include "rehearse/azure/core.h"

namespace boost::json {
class array;
}

namespace slipway::rehearse::azure {

class BatchPools {
 public:
  explicit BatchPools(Core& core);
  ~BatchPools();
  BatchPools(const BatchPools&) = delete;
  BatchPools& operator=(const BatchPools&) = delete;

  BatchPool* find(std::string_view account, std::string_view id);
  std::vector<BatchPool*> of_account(std::string_view account);  // by id
  BatchPool* of_group(const std::string& group);

  // The pool has no nodes yet; resize() follows. Precondition: the machine type is known and there is no such pool.
  BatchPool& add(std::string account, std::string id, std::shared_ptr<boost::json::object> settings);
  void changed(BatchPool& pool);  // a new etag

  // Precondition of these: the pool is steady (but stop), and not being deleted.
  void resize(BatchPool& pool, PerMarket<uint32_t> target);
  void remove_nodes(BatchPool& pool, const std::vector<MachineKey>& nodes);
  void stop(BatchPool& pool);
  void remove(BatchPool& pool);
  void restart(BatchPool& pool, MachineKey node, BatchNode::Restart how);

  boost::json::array save() const;
  Result<void> load(const boost::json::array& saved);
  std::shared_ptr<const Order> order_of(const Order& saved);

 private:
  void machine_changed(const Machine& machine, bool exists);
  void begin_resize(BatchPool& pool);
  void release(BatchPool& pool, const std::vector<MachineKey>& nodes);
  std::vector<MachineKey> victims(const BatchPool& pool, model::Market market, uint32_t count) const;
  void take_missing(BatchPool& pool);
  uint32_t quota_room(const BatchPool& pool, model::Market market) const;
  void settle(BatchPool& pool);
  void finish(BatchPool& pool);
  void tick(BatchPool& pool);
  void set_phase(BatchPool& pool, MachineKey key, BatchNode& node, Phase phase);
  void count(BatchPool& pool, const BatchNode& node, int by);
  std::shared_ptr<const Order> make_order(const BatchPool& pool, model::Market market);
  Recipe recipe(const Machine& machine);
  void adopt(BatchPool& pool);
  void return_evicted();
  void return_later();
  std::string group_of(const BatchPool& pool) const { return "batch/" + pool.account + "/" + pool.id; }

  Core& core_;
  std::map<std::string, std::unique_ptr<BatchPool>> pools_;  // by group, in lower case
  Loop::TimerId returning_ = Loop::TimerId::none;
  Alive alive_ = std::make_shared<char>();
};

}  // namespace slipway::rehearse::azure
