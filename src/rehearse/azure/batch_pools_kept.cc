// Batch pools over a restart of the program. Their machines are the site's to keep, and come after the pools.
#include <boost/json.hpp>

#include "rehearse/azure/batch_pools.h"
#include "rehearse/azure/json_access.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

json::array BatchPools::save() const {
  json::array out;
  for (const auto& [group, pool] : pools_) {
    json::array identities;
    for (const std::string& one : pool->identities) identities.push_back(json::string(one));
    json::array disabled;
    for (const auto& [key, node] : pool->nodes) {
      if (!node.scheduling) disabled.push_back(key);
    }
    out.push_back({{"account", pool->account},
                   {"id", pool->id},
                   {"settings", *pool->settings},
                   {"identities", identities},
                   {"deleting", pool->deleting},
                   {"resizing", pool->allocation != Allocation::steady},
                   {"created", pool->created.time_since_epoch().count()},
                   {"etag", pool->etag},
                   {"target", {pool->target[0], pool->target[1]}},
                   {"resize_timeout", pool->resize_timeout.count()},
                   {"autoscale", pool->autoscale},
                   {"formula", pool->formula},
                   {"formula_interval", pool->formula_interval.count()},
                   {"disabled", disabled}});
  }
  return out;
}

Result<void> BatchPools::load(const json::array& saved) {
  for (const json::value& value : saved) {
    if (!value.is_object()) return fail(ErrorCode::bad_config, "a saved pool isn't an object");
    const json::object& from = value.get_object();
    const json::object* settings = object_at(from, "settings");
    const json::value* target = at_path(from, "target");
    if (settings == nullptr || text_at(from, "id").empty() || target == nullptr || !target->is_array() ||
        target->get_array().size() != 2) {
      return fail(ErrorCode::bad_config, "a saved pool lacks its id, settings or target");
    }
    BatchPool& pool = add(text_at(from, "account"), text_at(from, "id"), std::make_shared<json::object>(*settings));
    if (const json::value* identities = at_path(from, "identities"); identities != nullptr && identities->is_array()) {
      for (const json::value& one : identities->get_array()) {
        if (one.is_string()) pool.identities.emplace_back(one.get_string());
      }
    }
    pool.deleting = bool_at(from, "deleting");
    pool.created = pool.modified = TimePoint(Duration(integer_at(from, "created").value_or(0)));
    pool.etag = text_at(from, "etag");
    for (size_t i = 0; i < 2; ++i) {
      const json::value& number = target->get_array()[i];
      pool.target[i] = number.is_int64() ? static_cast<uint32_t>(number.get_int64()) : 0;
    }
    pool.resize_timeout = Duration(integer_at(from, "resize_timeout").value_or(900'000));
    pool.autoscale = bool_at(from, "autoscale");
    pool.formula = text_at(from, "formula");
    pool.formula_interval = Duration(integer_at(from, "formula_interval").value_or(900'000));
    if (bool_at(from, "resizing")) pool.allocation = Allocation::resizing;
    std::vector<MachineKey> disabled;
    if (const json::value* keys = at_path(from, "disabled"); keys != nullptr && keys->is_array()) {
      for (const json::value& key : keys->get_array()) {
        if (key.is_number()) disabled.push_back(key.to_number<MachineKey>());
      }
    }
    // The machines are loaded after the pools.
    core_.loop.post([this, watching = Watching(alive_), group = group_of(pool), disabled] {
      BatchPool* loaded = watching.expired() ? nullptr : of_group(group);
      if (loaded == nullptr) return;
      adopt(*loaded);
      for (const MachineKey key : disabled) {
        if (const auto node = loaded->nodes.find(key); node != loaded->nodes.end()) node->second.scheduling = false;
      }
    });
  }
  return {};
}

// The site's machines of a pool that was loaded become its nodes; a resize that went on goes on.
void BatchPools::adopt(BatchPool& pool) {
  const std::vector<MachineKey> keys = core_.site.of_group(group_of(pool));
  for (const MachineKey key : keys) {
    const Machine* machine = core_.site.find(key);
    if (machine == nullptr || pool.nodes.contains(key)) continue;
    BatchNode& node = pool.nodes[key];
    node.market = machine->order->market;
    count(pool, node, 1);
    set_phase(pool, key, node, machine->phase);
    if (machine->phase == Phase::evicted) return_later();
  }
  if (pool.deleting) {
    remove(pool);
  } else if (pool.allocation != Allocation::steady) {
    pool.resize_began = core_.clock.now();
    for (const model::Market market : both_markets) {
      uint32_t there = pool.current[index_of(market)];
      for (const auto& [key, node] : pool.nodes) {
        if (node.phase == Phase::allocating && node.market == market) ++there;
        if (node.phase == Phase::leaving && node.market == market) --there;
      }
      const uint32_t wanted = pool.target[index_of(market)];
      pool.missing[index_of(market)] = wanted > there ? wanted - there : 0;
    }
    take_missing(pool);
    tick(pool);
  }
}

std::shared_ptr<const Order> BatchPools::order_of(const Order& saved) {
  const BatchPool* pool = of_group(saved.group);
  return pool == nullptr ? nullptr : pool->orders[index_of(saved.market)];
}

}  // namespace slipway::rehearse::azure
