// A pool with provider azure: what it takes from the cluster's section, from its own and from the catalogue.
#include <algorithm>
#include <array>

#include "catalog/catalog.h"
#include "config/azure_values.h"
#include "config/names.h"
#include "config/read.h"
#include "config/read_azure.h"
#include "config/words.h"

namespace slipway::config {
namespace {

using catalog::MachineType;
using model::AzurePool;
using model::AzurePoolKind;
using model::Market;

// From launch to a joined agent: Azure takes 2 to 5 minutes, an image of one's own or a large size longer.
constexpr Duration boot_timeout_default = std::chrono::minutes(15);
constexpr size_t features_max = 64;
constexpr size_t suggestions_max = 3;
// A flexible scale set names its machines "<set>_<8 letters>", of 64 at most; Batch's pools have ids of 64.
constexpr size_t batch_id_max = 64;
constexpr size_t scale_set_name_max = 64 - 9;

bool buys(const model::Pool& pool, Market market) {
  return std::find(pool.markets.begin(), pool.markets.end(), market) != pool.markets.end();
}

std::string azure_path(const PoolDraft& draft) {
  return "pools." + draft.pool.name.str() + ".azure";
}

// The pool's own keys before the cluster's; of the latter those that this kind of pool has no use for don't count.
void merge(Context& context, const AzureSettings& cluster, const AzureSettings& own, PoolDraft& draft) {
  AzurePool& pool = *draft.pool.azure;
  const AzureSettings& kind_from = own.given.contains("kind") ? own : cluster;
  if (kind_from.given.contains("kind")) pool.kind = kind_from.values.kind;
  for (const AzureKey& key : azure_keys()) {
    const bool fits =
        key.scope == AzureScope::any || (key.scope == AzureScope::batch) == (pool.kind == AzurePoolKind::batch);
    const auto written = own.given.find(key.name);
    if (written != own.given.end() && !fits) {
      const AzurePoolKind other = pool.kind == AzurePoolKind::batch ? AzurePoolKind::scale_set : AzurePoolKind::batch;
      context.problems.error(written->second.at,
                             join({written->second.path, ": is for kind ", to_string(other), ", and this pool's is ",
                                   to_string(pool.kind), "; leave it out or change 'kind'"}));
    }
    if (!fits) continue;
    const AzureSettings* from = written != own.given.end()         ? &own
                                : cluster.given.contains(key.name) ? &cluster
                                                                   : nullptr;
    if (from == nullptr) continue;
    key.copy(from->values, pool);
    draft.azure_given.emplace(key.name, from->given.at(key.name));
  }
}

// All that is missing in one sentence, for mostly it is the cluster's whole section.
void require_keys(Context& context, const AzureSettings& cluster, const AzureSettings& own, PoolDraft& draft) {
  std::vector<std::string> missing;
  std::string_view expected;
  const auto need = [&](std::string_view key, std::string_view what) {
    if (!cluster.lacks(key) || !own.lacks(key)) return;
    missing.push_back("'" + std::string(key) + "'");
    expected = what;
  };
  const AzurePool& pool = *draft.pool.azure;
  need("subscription", "the subscription's id");
  need("resource_group", "the resource group's name");
  need("region", "a region like westeurope");
  need("image", "the machines' image, like canonical:ubuntu-24_04-lts:server:latest,");
  if (pool.kind == AzurePoolKind::batch) {
    need("account", "the Batch account's name");
    if (pool.image.starts_with('/'))
      need("node_agent", "Batch's agent for an image of your own, like 'batch.node.ubuntu 24.04',");
  } else {
    need("subnet", "the scale set's subnet as VNET/SUBNET");
  }
  if (missing.empty()) return;
  const bool one = missing.size() == 1;
  context.problems.error(own.field ? own.field->at : draft.name_at,
                         join({azure_path(draft), ": ", enumerate(missing), one ? " is" : " are", " missing; expected ",
                               one ? expected : "them", " here, or for all pools in the cluster's own 'azure'"}));
}

void resolve_subnet(AzurePool& pool) {
  if (pool.subnet.empty() || pool.subnet.starts_with('/')) return;
  const size_t slash = pool.subnet.find('/');
  pool.subnet = "/subscriptions/" + pool.subscription + "/resourceGroups/" + pool.resource_group +
                "/providers/Microsoft.Network/virtualNetworks/" + pool.subnet.substr(0, slash) + "/subnets/" +
                pool.subnet.substr(slash + 1);
}

// "; did you mean 'Standard_HB120rs_v2' or 'Standard_HB120rs_v3'?": whatever is nearest.
std::string nearest_sizes(std::string_view word) {
  using model::ProviderKind;
  if (const MachineType* prefixed = catalog::find(ProviderKind::azure, "Standard_" + std::string(word)))
    return "; did you mean '" + prefixed->name + "'?";
  std::vector<std::string_view> nearest;
  size_t best = word.size() / 3;
  for (std::string_view name : catalog::names(ProviderKind::azure)) {
    const size_t distance = edit_distance(word, name);
    if (distance > best) continue;
    if (distance < best) nearest.clear();
    best = distance;
    nearest.push_back(name);
  }
  std::string out;
  for (size_t i = 0; i < nearest.size() && i < suggestions_max; ++i)
    out += join({out.empty() ? "; did you mean '" : "' or '", nearest[i]});
  return out.empty() ? "" : out + "'?";
}

// The pool's sizes as the catalogue knows them, its spelling put in place of the file's; those it doesn't know are
// reported unless the file says what they have.
std::vector<const MachineType*> look_up(Context& context, const MapReader& map, PoolDraft& draft) {
  Problems& problems = context.problems;
  std::vector<const MachineType*> out;
  std::vector<std::string>& machines = draft.pool.machines;
  const bool described = map.has("cpus") && map.has("memory");
  for (size_t i = 0; i < draft.machine_words.size(); ++i) {
    const Word& word = draft.machine_words[i];
    const std::string path = "pools." + draft.pool.name.str() + ".machines: ";
    if (const MachineType* type = catalog::find(model::ProviderKind::azure, word.text)) {
      out.push_back(type);
      machines[i] = type->name;
    } else if (!described) {
      problems.error(word.at, join({path, "the VM size ", show(word.text), " isn't one that Slipway knows",
                                    problems.full() ? "" : nearest_sizes(word.text),
                                    "; for a new size write the pool's 'cpus' and 'memory'"}));
    }
    const auto same = [&](const std::string& other) { return equal_ignoring_case(other, machines[i]); };
    const auto here = machines.begin() + static_cast<ptrdiff_t>(i);
    if (std::find_if(machines.begin(), here, same) != here && machines[i] != word.text)
      problems.error(word.at,
                     join({path, "the machine type ", show(word.text), " is named twice; expected each once"}));
  }
  const auto other_architecture = [&](const MachineType* type) { return type->architecture != out[0]->architecture; };
  const auto odd = std::find_if(out.begin(), out.end(), other_architecture);
  if (odd != out.end()) {
    problems.error(draft.machines_at, join({"pools.", draft.pool.name.str(), ".machines: ", (*odd)->name, " is ",
                                            (*odd)->architecture, " and ", out[0]->name, " is ", out[0]->architecture,
                                            ", and one image can't boot both; make two pools of it"}));
  }
  return out;
}

// What every one of the machines has.
model::Shape smallest(const std::vector<const MachineType*>& types) {
  model::Shape out = catalog::shape_of(*types[0]);
  uint32_t gpus = types[0]->gpus;
  std::string gpu_model = types[0]->gpu_model;
  for (const MachineType* type : types) {
    const model::Shape shape = catalog::shape_of(*type);
    out.cpus = std::min(out.cpus, shape.cpus);
    out.memory_mib = std::min(out.memory_mib, shape.memory_mib);
    gpus = std::min(gpus, type->gpus);
    if (type->gpu_model != gpu_model) gpu_model.clear();
  }
  MachineType gpu;
  gpu.gpus = gpus;
  gpu.gpu_model = gpu_model;
  out.gres = catalog::shape_of(gpu).gres;
  return out;
}

void take_shape(const MapReader& map, const std::vector<const MachineType*>& types, PoolDraft& draft) {
  model::Shape& shape = draft.pool.shape;
  if (types.empty()) return;
  model::Shape known = smallest(types);
  draft.catalogue_shape = known;
  if (!map.has("cpus")) shape.cpus = known.cpus;
  if (!map.has("memory")) shape.memory_mib = known.memory_mib;
  if (!map.has("gres")) shape.gres = std::move(known.gres);
}

// Those that all of the pool's nodes have; the user's come first.
void add_features(Context& context, const MapReader& map, const std::vector<const MachineType*>& types,
                  PoolDraft& draft) {
  model::Pool& pool = draft.pool;
  std::vector<std::string> common;
  if (types.size() == pool.machines.size() && !types.empty()) {
    common = catalog::features_of(*types[0]);
    for (const MachineType* type : types) {
      const auto features = catalog::features_of(*type);
      std::erase_if(common, [&](const std::string& feature) {
        return std::find(features.begin(), features.end(), feature) == features.end();
      });
    }
  } else if (pool.machines.size() == 1) {
    common.push_back(lower(pool.machines[0]));
  }
  if (pool.markets.size() == 1) {
    const bool batch = pool.azure->kind == AzurePoolKind::batch;
    const bool spot = pool.markets[0] == Market::spot;
    common.push_back(batch ? (spot ? "low-priority" : "dedicated") : (spot ? "spot" : "on-demand"));
  }
  if (pool.zones.size() == 1) common.push_back("zone-" + pool.zones[0]);
  for (std::string& feature : common) {
    if (std::find(pool.features.begin(), pool.features.end(), feature) == pool.features.end())
      pool.features.push_back(std::move(feature));
  }
  if (pool.features.size() > features_max && map.has("features")) {
    context.problems.error(map.field().at, map.field().path + ".features: with those of its machines the pool has " +
                                               std::to_string(pool.features.size()) + " features; expected at most " +
                                               std::to_string(features_max));
  }
}

void check_where(Context& context, const MapReader& map, const PoolDraft& draft) {
  Problems& problems = context.problems;
  const model::Pool& pool = draft.pool;
  const bool batch = pool.azure->kind == AzurePoolKind::batch;
  const std::string path = "pools." + pool.name.str() + ".";
  if (auto image = map.get("image")) {
    problems.error(image->at, image->path +
                                  ": is a folder of this box, for pools with provider local; machines in Azure boot "
                                  "azure.image, for example azure: {image: canonical:ubuntu-24_04-lts:server:latest}");
  }
  if (batch && draft.zones_at.line > 0) {
    problems.error(draft.zones_at,
                   path + "zones: Batch chooses the zones itself; leave them out, or use kind: scale_set");
  } else {
    for (const std::string& zone : pool.zones) {
      if (zone == "1" || zone == "2" || zone == "3") continue;
      problems.error(draft.zones_at, path + "zones: Azure has no zone " + show(zone) + "; expected 1, 2 or 3");
    }
  }
  if (pool.placement == model::Placement::per_job) {
    problems.error(draft.placement_at, path +
                                           "placement: Azure places the machines of a pool together, not those of a "
                                           "job, because a pool is there before its jobs; expected per_pool or none");
  }
  if (batch && pool.placement == model::Placement::per_pool && !pool.azure->inter_node) {
    problems.error(draft.placement_at, path +
                                           "placement: Batch places machines together only with inter_node: true, and "
                                           "this pool has false; expected placement: none, or inter_node: true");
  }
}

void check_markets(Context& context, const PoolDraft& draft) {
  Problems& problems = context.problems;
  const model::Pool& pool = draft.pool;
  const bool both = buys(pool, Market::spot) && buys(pool, Market::on_demand);
  if (pool.azure->priority_mix && !both) {
    const Field& field = draft.azure_given.at("priority_mix");
    problems.error(field.at, field.path + ": shares machines between both markets, and pool " + pool.name.str() +
                                 " buys on one; write market: spot_then_on_demand, or leave it out");
  }
  if (!pool.azure->capacity_reservation.empty() && buys(pool, Market::spot)) {
    const Field& field = draft.azure_given.at("capacity_reservation");
    problems.error(field.at, field.path + ": Azure reserves no capacity for spot machines, which pool " +
                                 pool.name.str() + " buys; make a pool of its own with market: on_demand");
  }
  // https://learn.microsoft.com/azure/virtual-machines/capacity-reservation-overview: no proximity placement groups.
  if (!pool.azure->capacity_reservation.empty() && pool.placement == model::Placement::per_pool) {
    problems.error(draft.placement_at, "pools." + pool.name.str() +
                                           ".placement: Azure doesn't place machines of a capacity reservation "
                                           "together; expected placement: none, or no capacity_reservation");
  }
}

void check_names(Context& context, const PoolDraft& draft) {
  const model::Pool& pool = draft.pool;
  const bool batch = pool.azure->kind == AzurePoolKind::batch;
  const size_t limit = batch ? batch_id_max : scale_set_name_max;
  size_t longest = 0;
  for (const std::string& machine : pool.machines) longest = std::max(longest, machine.size());
  const std::string& cluster = context.cluster;
  const size_t size = cluster.size() + 1 + pool.name.str().size() + (batch ? 0 : std::string_view("-spot").size()) +
                      (pool.machines.size() > 1 ? 1 + longest : 0);
  if (size <= limit) return;
  context.problems.error(draft.name_at, "pools." + pool.name.str() + ": in Azure it would have a name of " +
                                            std::to_string(size) + " letters, made of the cluster's name, the pool's" +
                                            (pool.machines.size() > 1 ? " and the machine type's" : "") +
                                            "; expected at most " + std::to_string(limit) + "; shorten one of them");
}

void check_mounts(Context& context, const PoolDraft& draft) {
  const AzurePool& pool = *draft.pool.azure;
  for (const model::AzureMount& mount : pool.mounts) {
    const bool by_identity = mount.kind == model::AzureMount::Kind::blob && mount.key_file.empty();
    if (!by_identity || !pool.node_identity.empty() || draft.azure_given.contains("node_identity")) continue;
    const Field& field = draft.azure_given.at("mounts");
    context.problems.error(field.at, join({field.path, ": the container ", show(mount.source),
                                           " has no 'key_file', so the machines need 'node_identity' to open it; "
                                           "expected one of them"}));
  }
}

}  // namespace

void complete_azure_pool(Context& context, const MapReader& map, const AzureSettings& cluster, const AzureSettings& own,
                         PoolDraft& draft) {
  model::Pool& pool = draft.pool;
  pool.azure.emplace();
  if (!map.has("boot_timeout")) pool.boot_timeout = boot_timeout_default;
  merge(context, cluster, own, draft);
  require_keys(context, cluster, own, draft);
  resolve_subnet(*pool.azure);
  if (map.lacks("machines")) {
    context.problems.error(draft.name_at, "pools." + pool.name.str() +
                                              ": 'machines' is missing; expected one VM size or more, for example "
                                              "machines: Standard_D2s_v5");
  }
  const std::vector<const MachineType*> types = look_up(context, map, draft);
  draft.types = types;
  take_shape(map, types, draft);
  add_features(context, map, types, draft);
  check_where(context, map, draft);
  check_markets(context, draft);
  check_names(context, draft);
  check_mounts(context, draft);
}

}  // namespace slipway::config
