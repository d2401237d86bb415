// Scale sets over a restart of the program. Their machines are the site's to keep, and come after the sets; operations
// that went on are forgotten.
#include <boost/json.hpp>

#include "rehearse/azure/json_access.h"
#include "rehearse/azure/scale_sets.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

json::array ScaleSets::save() const {
  json::array out;
  for (const auto& [group, set] : sets_) {
    out.push_back({{"subscription", set->subscription},
                   {"resource_group", set->resource_group},
                   {"name", set->name},
                   {"model", *set->model},
                   {"etag", set->etag},
                   {"unique_id", set->unique_id},
                   {"created", set->created.time_since_epoch().count()},
                   {"capacity", set->capacity},
                   {"deleting", set->deleting}});
  }
  return out;
}

Result<void> ScaleSets::load(const json::array& saved) {
  for (const json::value& value : saved) {
    if (!value.is_object()) return fail(ErrorCode::bad_config, "a saved scale set isn't an object");
    const json::object& from = value.get_object();
    const json::object* model = object_at(from, "model");
    if (model == nullptr || text_at(from, "name").empty()) {
      return fail(ErrorCode::bad_config, "a saved scale set lacks its name or model");
    }
    ScaleSet& set = add(text_at(from, "subscription"), text_at(from, "resource_group"), text_at(from, "name"),
                        std::make_shared<json::object>(*model));
    set.etag = text_at(from, "etag");
    set.unique_id = text_at(from, "unique_id");
    set.created = TimePoint(Duration(integer_at(from, "created").value_or(0)));
    set.capacity = static_cast<uint32_t>(integer_at(from, "capacity").value_or(0));
    set.deleting = bool_at(from, "deleting");
    // The machines are loaded after the sets. Operations aren't kept: who follows one gets 404.
    core_.loop.post([this, watching = Watching(alive_), group = group_of(set)] {
      ScaleSet* loaded = watching.expired() ? nullptr : of_group(group);
      if (loaded != nullptr) adopt(*loaded);
    });
  }
  return {};
}

void ScaleSets::adopt(ScaleSet& set) {
  const std::vector<MachineKey> keys = core_.site.of_group(group_of(set));
  for (const MachineKey key : keys) {
    const Machine* machine = core_.site.find(key);
    if (machine == nullptr || set.vms.contains(key)) continue;
    ++set.allocating;
    set_phase(set, key, set.vms[key], machine->phase);
  }
  if (set.deleting) remove(set);
}

std::shared_ptr<const Order> ScaleSets::order_of(const Order& saved) {
  ScaleSet* set = of_group(saved.group);
  return set == nullptr ? nullptr : order(*set, saved.market, saved.zone);
}

}  // namespace slipway::rehearse::azure
