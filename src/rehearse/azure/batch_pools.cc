#include "rehearse/azure/batch_pools.h"

#include <boost/json.hpp>

#include <algorithm>

#include "catalog/catalog.h"
#include "http/digest.h"
#include "rehearse/azure/command_line.h"
#include "rehearse/azure/json_access.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr Duration tick_period = std::chrono::seconds(1);
constexpr Duration return_period = std::chrono::seconds(2);
constexpr uint32_t cores_default = 100'000;

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

const char* kind_of(model::Market market) {
  return market == model::Market::spot ? "low priority" : "dedicated";
}

ResizeFault fault_of(const Shortfall& shortfall, model::Market market, bool time_out) {
  const bool spot = market == model::Market::spot;
  if (shortfall.code == ErrorCode::quota) {
    if (!spot && shortfall.limit.find("family ") != std::string::npos) {
      return {"AccountVMSeriesCoreQuotaReached",
              "The specified account has reached VM series core quota",
              {{"Message", shortfall.limit}}};
    }
    return {spot ? "AccountLowPriorityCoreQuotaReached" : "AccountCoreQuotaReached",
            std::string("The specified account has reached ") + (spot ? "low priority core quota" : "core quota"),
            {{"Message", shortfall.limit}}};
  }
  if (time_out) {
    return {"AllocationTimedout",
            std::string("Desired number of ") + kind_of(market) +
                " nodes could not be allocated as the resize timeout was reached",
            {}};
  }
  return {
      "AllocationFailed",
      std::string("Desired number of ") + kind_of(market) + " nodes could not be allocated",
      {{"Message", "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. " +
                       shortfall.limit}}};
}

int doom_order(Phase phase) {  // whom a shrinking pool loses first
  switch (phase) {
    case Phase::evicted:
      return 0;
    case Phase::unusable:
      return 1;
    case Phase::start_failed:
      return 2;
    case Phase::allocating:
    case Phase::starting:
    case Phase::start_task:
      return 3;
    case Phase::running:
    case Phase::leaving:
      break;
  }
  return 4;
}

}  // namespace

BatchPools::BatchPools(Core& core) : core_(core) {
  core_.site.watch([this, watching = Watching(alive_)](const Machine& machine, bool exists) {
    if (!watching.expired()) machine_changed(machine, exists);
  });
}

BatchPools::~BatchPools() {
  core_.loop.cancel(returning_);
  for (auto& [group, pool] : pools_) core_.loop.cancel(pool->timer);
}

BatchPool* BatchPools::of_group(const std::string& group) {
  const auto found = pools_.find(lower(group));
  return found == pools_.end() ? nullptr : found->second.get();
}

BatchPool* BatchPools::find(std::string_view account, std::string_view id) {
  return of_group("batch/" + std::string(account) + "/" + std::string(id));
}

std::vector<BatchPool*> BatchPools::of_account(std::string_view account) {
  const std::string prefix = lower("batch/" + std::string(account) + "/");
  std::vector<BatchPool*> out;
  for (auto at = pools_.lower_bound(prefix); at != pools_.end() && at->first.starts_with(prefix); ++at) {
    out.push_back(at->second.get());
  }
  return out;
}

BatchPool& BatchPools::add(std::string account, std::string id, std::shared_ptr<json::object> settings) {
  auto pool = std::make_unique<BatchPool>();
  pool->account = std::move(account);
  pool->id = std::move(id);
  pool->settings = std::move(settings);
  pool->created = pool->state_since = pool->allocation_since = core_.clock.now();
  for (const model::Market market : both_markets) pool->orders[index_of(market)] = make_order(*pool, market);
  changed(*pool);
  BatchPool& added = *pool;
  pools_[lower(group_of(added))] = std::move(pool);
  return added;
}

void BatchPools::changed(BatchPool& pool) {
  pool.etag = core_.etag();
  pool.modified = core_.clock.now();
}

std::shared_ptr<const Order> BatchPools::make_order(const BatchPool& pool, model::Market market) {
  auto order = std::make_shared<Order>();
  order->group = group_of(pool);
  order->size = text_at(*pool.settings, "vmSize");
  order->market = market;
  order->quota_scope = pool.account;
  if (const auto* type = catalog::find(model::ProviderKind::azure, order->size)) {
    order->family = type->family;
    order->cores = std::max(1U, type->cores);
  }
  const char* end = market == model::Market::spot ? "_p" : "_d";
  order->name = [seed = order->group + core_.uuid(), end](MachineKey key) {
    return "tvmps_" + hex(http::sha256(seed + std::to_string(key))) + end;
  };
  order->recipe = [this, watching = Watching(alive_)](const Machine& machine) {
    return watching.expired() ? Recipe{} : recipe(machine);
  };
  return order;
}

Recipe BatchPools::recipe(const Machine& machine) {
  Recipe out{.image = core_.world.machine_image, .command = "", .environment = {}};
  const BatchPool* pool = of_group(machine.order->group);
  if (pool == nullptr) return out;
  const std::string root = "/mnt/batch/tasks";
  const auto url = core_.batch_urls.find(pool->account);
  out.environment = {{"AZ_BATCH_ACCOUNT_NAME", pool->account},
                     {"AZ_BATCH_ACCOUNT_URL", url == core_.batch_urls.end() ? "" : url->second + "/"},
                     {"AZ_BATCH_POOL_ID", pool->id},
                     {"AZ_BATCH_NODE_ID", machine.name},
                     {"AZ_BATCH_NODE_IS_DEDICATED", machine.order->market == model::Market::spot ? "false" : "true"},
                     {"AZ_BATCH_NODE_ROOT_DIR", root},
                     {"AZ_BATCH_NODE_SHARED_DIR", root + "/shared"},
                     {"AZ_BATCH_NODE_STARTUP_DIR", root + "/startup"},
                     {"AZ_BATCH_NODE_MOUNTS_DIR", root + "/fsmounts"},
                     {"AZ_BATCH_TASK_DIR", root + "/startup"},
                     {"AZ_BATCH_TASK_WORKING_DIR", root + "/startup/wd"}};
  const json::object* task = object_at(*pool->settings, "startTask");
  if (task == nullptr) return out;
  // A start task's own settings come last: they may not replace Batch's.
  if (const json::value* list = at_path(*task, "environmentSettings"); list != nullptr && list->is_array()) {
    for (const json::value& one : list->get_array()) {
      const std::string name = text_at(one.get_object(), "name");
      if (!name.starts_with("AZ_BATCH_")) out.environment.emplace_back(name, text_at(one.get_object(), "value"));
    }
  }
  const bool elevated = text_at(*task, "userIdentity.autoUser.elevationLevel") == "admin";
  out.command = as_shell_command(text_at(*task, "commandLine"), elevated);
  return out;
}

void BatchPools::count(BatchPool& pool, const BatchNode& node, int by) {
  const auto add = [by](uint32_t& number) { number += static_cast<uint32_t>(by); };
  if (node.phase == Phase::allocating) {
    add(pool.allocating);
    return;
  }
  add(pool.current[index_of(node.market)]);
  if (node.phase == Phase::leaving) add(pool.leaving);
  if (node.phase == Phase::evicted) add(pool.evicted);
}

void BatchPools::set_phase(BatchPool& pool, MachineKey key, BatchNode& node, Phase phase) {
  if (node.phase == phase) return;
  count(pool, node, -1);
  if (node.phase == Phase::allocating) {
    if (const Machine* machine = core_.site.find(key)) node.name = machine->name;
    pool.by_name[node.name] = key;
  }
  if (node.phase == Phase::evicted || phase == Phase::running || phase == Phase::start_failed) {
    node.restart = BatchNode::Restart::none;
  }
  node.phase = phase;
  count(pool, node, 1);
}

void BatchPools::machine_changed(const Machine& machine, bool exists) {
  BatchPool* pool = machine.order == nullptr ? nullptr : of_group(machine.order->group);
  if (pool == nullptr) return;
  const auto found = pool->nodes.find(machine.key);
  if (found == pool->nodes.end()) return;
  if (exists) {
    set_phase(*pool, machine.key, found->second, machine.phase);
    if (machine.phase == Phase::evicted) return_later();
  } else {
    count(*pool, found->second, -1);
    pool->by_name.erase(found->second.name);
    pool->nodes.erase(found);
  }
  if (pool->deleting && pool->nodes.empty()) {
    core_.loop.cancel(pool->timer);
    pools_.erase(lower(group_of(*pool)));
    return;
  }
  settle(*pool);
}

// Batch brings preempted nodes back by itself when there is capacity.
void BatchPools::return_evicted() {
  returning_ = Loop::TimerId::none;
  std::vector<std::string> groups;
  for (const auto& [key, pool] : pools_) {
    if (pool->evicted > 0 && !pool->deleting) groups.push_back(group_of(*pool));
  }
  for (const std::string& group : groups) core_.site.return_evicted(group);
  if (!groups.empty()) return_later();
}

void BatchPools::return_later() {
  if (returning_ != Loop::TimerId::none) return;
  returning_ = core_.loop.after(return_period, [this] { return_evicted(); });
}

void BatchPools::begin_resize(BatchPool& pool) {
  pool.allocation = Allocation::resizing;
  pool.allocation_since = pool.resize_began = core_.clock.now();
  pool.faults.clear();
  pool.missing = {};
  pool.obstacle = {};
  changed(pool);
}

std::vector<MachineKey> BatchPools::victims(const BatchPool& pool, model::Market market, uint32_t count) const {
  std::vector<std::pair<int, MachineKey>> candidates;
  for (const auto& [key, node] : pool.nodes) {
    if (node.market != market || node.phase == Phase::leaving || node.phase == Phase::allocating) continue;
    candidates.emplace_back(doom_order(node.phase), key);
  }
  // The newest first among equals.
  std::sort(candidates.begin(), candidates.end(), [](const auto& left, const auto& right) {
    return left.first != right.first ? left.first < right.first : left.second > right.second;
  });
  std::vector<MachineKey> out;
  for (size_t i = 0; i < std::min<size_t>(count, candidates.size()); ++i) out.push_back(candidates[i].second);
  return out;
}

void BatchPools::release(BatchPool& pool, const std::vector<MachineKey>& nodes) {
  for (const MachineKey key : nodes) {
    if (const auto found = pool.nodes.find(key);
        found != pool.nodes.end() && found->second.phase != Phase::allocating) {
      set_phase(pool, key, found->second, Phase::leaving);
    }
  }
  if (!nodes.empty()) core_.site.release(nodes);
}

void BatchPools::resize(BatchPool& pool, PerMarket<uint32_t> target) {
  begin_resize(pool);
  pool.target = target;
  for (const model::Market market : both_markets) {
    const uint32_t now = pool.current[index_of(market)];
    const uint32_t wanted = target[index_of(market)];
    if (wanted < now) release(pool, victims(pool, market, now - wanted));
    if (wanted > now) pool.missing[index_of(market)] = wanted - now;
  }
  take_missing(pool);
  tick(pool);
}

uint32_t BatchPools::quota_room(const BatchPool& pool, model::Market market) const {
  const BatchAccount* account = core_.account(pool.account);
  if (account == nullptr) return UINT32_MAX;
  const uint32_t given = market == model::Market::spot ? account->low_priority_cores : account->dedicated_cores;
  const uint32_t quota = given == 0 ? cores_default : given;
  const uint32_t used = core_.site.cores_used(pool.account, "", market);
  return used >= quota ? 0 : (quota - used) / pool.orders[index_of(market)]->cores;
}

void BatchPools::take_missing(BatchPool& pool) {
  for (const model::Market market : both_markets) {
    uint32_t& missing = pool.missing[index_of(market)];
    if (missing == 0) continue;
    auto& obstacle = pool.obstacle[index_of(market)];
    const uint32_t room = std::min(missing, quota_room(pool, market));
    obstacle.reset();
    if (room < missing) {
      obstacle =
          fault_of({ErrorCode::quota, missing - room, "the Batch account's quota of cores is reached"}, market, false);
    }
    const Grant grant = core_.site.take(pool.orders[index_of(market)], room);
    for (const MachineKey key : grant.machines) {
      const BatchNode& node = pool.nodes[key] = {.name = "", .market = market};
      count(pool, node, 1);
    }
    missing -= std::min<uint32_t>(missing, static_cast<uint32_t>(grant.machines.size()));
    if (!grant.shortfalls.empty()) {
      obstacle = fault_of(grant.shortfalls.front(), market, core_.site.levers().time_out);
    }
  }
}

// While a pool isn't steady: every second, and at once from the loop, so that a resize is always seen to go on first.
void BatchPools::tick(BatchPool& pool) {
  core_.loop.cancel(pool.timer);
  const Duration elapsed = core_.clock.now() - pool.resize_began;
  const Duration wait = elapsed < Duration(1) ? Duration(1) : tick_period;
  pool.timer = core_.loop.after(wait, [this, group = group_of(pool)] {
    BatchPool* again = of_group(group);
    if (again == nullptr) return;
    again->timer = Loop::TimerId::none;
    const bool lacks = again->missing[0] + again->missing[1] > 0;
    // While it may still wait for capacity it asks again.
    if (again->allocation == Allocation::resizing && lacks && core_.site.levers().timed_out_after > Duration(0)) {
      take_missing(*again);
    }
    settle(*again);
    if (again->allocation != Allocation::steady && again->timer == Loop::TimerId::none) tick(*again);
  });
}

void BatchPools::settle(BatchPool& pool) {
  if (pool.allocation == Allocation::steady || pool.leaving > 0) return;
  const Duration elapsed = core_.clock.now() - pool.resize_began;
  if (elapsed < Duration(1)) return;
  if (pool.allocating > 0) {
    if (pool.allocation == Allocation::resizing && elapsed >= pool.resize_timeout) {
      std::vector<MachineKey> late;
      for (const auto& [key, node] : pool.nodes) {
        if (node.phase != Phase::allocating) continue;
        late.push_back(key);
        ++pool.missing[index_of(node.market)];
        pool.obstacle[index_of(node.market)] = fault_of({}, node.market, true);
      }
      core_.site.release(late);
    }
    return;
  }
  const bool lacks = pool.missing[0] + pool.missing[1] > 0;
  if (lacks && pool.allocation == Allocation::resizing) {
    const Levers& levers = core_.site.levers();
    const Duration patience = levers.timed_out_after > Duration(0) ? levers.timed_out_after : levers.allocate.most;
    if (elapsed < std::min(patience, pool.resize_timeout)) return;
  }
  finish(pool);
}

void BatchPools::finish(BatchPool& pool) {
  for (const model::Market market : both_markets) {
    const uint32_t missing = pool.missing[index_of(market)];
    if (missing == 0) continue;
    if (pool.allocation == Allocation::stopping) {
      pool.faults.push_back({"ResizeStopped",
                             std::string("Desired number of ") + kind_of(market) +
                                 " nodes could not be allocated due to a stop resize operation",
                             {}});
    } else if (const auto& obstacle = pool.obstacle[index_of(market)]) {
      pool.faults.push_back(*obstacle);
    }
  }
  pool.allocation = Allocation::steady;
  pool.allocation_since = core_.clock.now();
  pool.missing = {};
  core_.loop.cancel(pool.timer);
  pool.timer = Loop::TimerId::none;
  changed(pool);
}

void BatchPools::stop(BatchPool& pool) {
  pool.allocation = Allocation::stopping;
  pool.allocation_since = core_.clock.now();
  std::vector<MachineKey> waiting;
  for (const auto& [key, node] : pool.nodes) {
    if (node.phase != Phase::allocating) continue;
    waiting.push_back(key);
    ++pool.missing[index_of(node.market)];
  }
  changed(pool);
  if (!waiting.empty()) core_.site.release(waiting);
  pool.resize_began = core_.clock.now();
  tick(pool);
}

void BatchPools::remove_nodes(BatchPool& pool, const std::vector<MachineKey>& nodes) {
  begin_resize(pool);
  for (const MachineKey key : nodes) {
    uint32_t& target = pool.target[index_of(pool.nodes.at(key).market)];
    if (target > 0) --target;
  }
  release(pool, nodes);
  tick(pool);
}

void BatchPools::remove(BatchPool& pool) {
  pool.deleting = true;
  pool.state_since = core_.clock.now();
  pool.target = {};
  changed(pool);
  std::vector<MachineKey> all;
  for (const auto& [key, node] : pool.nodes) all.push_back(key);
  if (all.empty()) {
    // Asynchronous all the same: who asks at once sees it being deleted.
    core_.loop.after(Duration(1), [this, group = group_of(pool)] {
      if (BatchPool* gone = of_group(group); gone != nullptr && gone->deleting && gone->nodes.empty()) {
        core_.loop.cancel(gone->timer);
        pools_.erase(lower(group));
      }
    });
    return;
  }
  release(pool, all);
}

void BatchPools::restart(BatchPool& pool, MachineKey key, BatchNode::Restart how) {
  BatchNode& node = pool.nodes.at(key);
  node.restart = how;
  core_.site.reboot(key, how == BatchNode::Restart::reimage);
}

}  // namespace slipway::rehearse::azure
