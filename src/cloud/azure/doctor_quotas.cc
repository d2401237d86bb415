// Sizes of machines, and how many of them the quotas allow.
#include <algorithm>
#include <set>

#include "base/files.h"
#include "cloud/azure/batch_api.h"
#include "cloud/azure/batch_settings.h"
#include "cloud/azure/examination.h"
#include "cloud/azure/shared_key.h"

namespace slipway::cloud::azure {

namespace {

constexpr size_t key_bytes_max = 4096;
constexpr const char* batch_quota_way =
    "have it raised (portal: the Batch account, Quotas, Request quota increase), or lower the pools' max";
constexpr const char* vcpu_quota_way =
    "have it raised (portal: the subscription, Usage + quotas), or lower the pools' max";
constexpr const char* size_way = "`az vm list-skus --location <region> --output table` lists what there is";

bool buys(const model::Pool& pool, model::Market market) {
  return std::find(pool.markets.begin(), pool.markets.end(), market) != pool.markets.end();
}

std::string joined(const std::set<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string trouble_of(const model::Pool& pool, const model::AzurePool& azure, const VmSize& size) {
  if (azure.kind == model::AzurePoolKind::batch) return "";  // its machines aren't the subscription's
  if (!size.refused.empty()) {
    return "the subscription isn't given it in " + azure.region + " (" + size.refused + ")";
  }
  std::set<std::string> lacking;
  for (const std::string& zone : pool.zones) {
    const auto has = [&](const std::vector<std::string>& zones) {
      return std::find(zones.begin(), zones.end(), zone) != zones.end();
    };
    if (!has(size.zones) || has(size.refused_zones)) lacking.insert(zone);
  }
  return lacking.empty() ? "" : "not in zone " + joined(lacking) + " of " + azure.region;
}

void examine_size(Examination& examination, const model::Pool& pool, const std::string& machine,
                  const std::map<std::string, VmSize>& sizes, const std::set<std::string>* of_batch) {
  const model::AzurePool& azure = *pool.azure;
  const std::string what = "pool " + pool.name.str() + ": size " + machine;
  const std::string word = lower_case(machine);
  const auto size = sizes.find(word);
  if (of_batch != nullptr && !of_batch->contains(word)) {
    return examination.add(what, Verdict::problem, "Batch doesn't offer it in " + azure.region,
                           "choose another size: `az batch location list-skus --location " + azure.region + "`");
  }
  if (of_batch == nullptr && size == sizes.end()) {
    return examination.add(what, Verdict::problem, azure.region + " has no such size", size_way);
  }
  if (size != sizes.end()) {
    if (const std::string trouble = trouble_of(pool, azure, size->second); !trouble.empty()) {
      return examination.add(what, Verdict::problem, trouble, size_way);
    }
  }
  const catalog::MachineType type = examination.type_of(azure, machine);
  if (buys(pool, model::Market::spot) && !type.spot) {
    return examination.add(what, Verdict::problem, "it can't be bought as spot",
                           "take spot out of the pool's markets, or choose another size");
  }
  examination.add(what, Verdict::ok, azure.region + " has it, with " + std::to_string(type.cores) + " cores");
}

// The account's own API, with whatever the pool proves itself by.
Result<BatchApi> api_of(const Examination& examination, const model::AzurePool& azure) {
  std::shared_ptr<Authorizer> authorizer;
  if (azure.batch_key_file.empty()) {
    authorizer = make_bearer(examination.source, examination.endpoints.batch_resource, examination.clock);
  } else {
    auto key = read_file(azure.batch_key_file, key_bytes_max);
    if (!key) return fail(ErrorCode::bad_config, "batch_key_file can't be read: " + key.error().message);
    while (!key->empty() && (key->back() == '\n' || key->back() == '\r')) key->pop_back();
    auto made = make_shared_key(azure.account, *key, examination.clock);
    if (!made) return fail(made.error());
    authorizer = std::move(*made);
  }
  return BatchApi(batch_url(azure, examination.endpoints), std::make_shared<Rest>(examination.client, authorizer));
}

void examine_batch_image(Examination& examination, const model::Pool& pool, const std::vector<BatchImage>& images) {
  const auto parts = marketplace_image(pool.azure->image);
  if (parts.empty()) return;  // a resource: see examine_images
  const auto found = std::find_if(images.begin(), images.end(), [&](const BatchImage& image) {
    return lower_case(image.publisher) == lower_case(parts[0]) && lower_case(image.offer) == lower_case(parts[1]) &&
           lower_case(image.sku) == lower_case(parts[2]);
  });
  const std::string what = "pool " + pool.name.str() + ": image";
  if (found == images.end()) {
    examination.add(what, Verdict::problem, "Batch doesn't accept " + pool.azure->image,
                    "choose one of `az batch pool supported-images list`, or build an image of your own from one");
  } else if (!found->verified) {
    examination.add(what, Verdict::warning, "Batch accepts " + pool.azure->image + " but hasn't verified it",
                    "prefer a verified one of `az batch pool supported-images list`");
  } else {
    examination.add(what, Verdict::ok, "Batch accepts " + pool.azure->image);
  }
}

using Pools = std::vector<const model::Pool*>;

void examine_pool_count(Examination& examination, const std::string& what, const BatchAccountView& account,
                        const std::vector<BatchPoolView>& existing, const Pools& pools) {
  std::set<std::string> ids;
  for (const BatchPoolView& pool : existing) ids.insert(lower_case(pool.id));
  const size_t before = ids.size();
  for (const model::Pool* pool : pools) {
    for (const std::string& machine : pool->machines) {
      ids.insert(lower_case(batch_pool_id(examination.cluster.name, *pool, machine)));
    }
  }
  const std::string sentence = std::to_string(before) + " of " + std::to_string(account.pools) +
                               " Batch pools exist, the file needs " + std::to_string(ids.size() - before) + " more";
  const bool fits = ids.size() == before || ids.size() <= account.pools;
  examination.add(what + ": pool quota", fits ? Verdict::ok : Verdict::problem, sentence,
                  fits ? "" : "delete pools that nobody needs, or have the quota raised (portal: Quotas)");
}

void examine_batch_quotas(Examination& examination, const std::string& what, const BatchAccountView& account,
                          const Pools& pools) {
  std::array<QuotaDemand, 2> by_market;
  std::map<std::string, QuotaDemand> by_family;  // dedicated
  for (const model::Pool* pool : pools) {
    uint32_t largest = 0;
    std::map<std::string, uint32_t> of_family;
    for (const std::string& machine : pool->machines) {
      const catalog::MachineType type = examination.type_of(*pool->azure, machine);
      largest = std::max(largest, type.cores);
      uint32_t& cores = of_family[type.family];
      cores = std::max(cores, type.cores);
    }
    for (const model::Market market : batch_markets) {
      if (buys(*pool, market)) by_market[index_of(market)].add(*pool, largest);
    }
    if (!buys(*pool, model::Market::on_demand)) continue;
    for (const auto& [family, cores] : of_family) by_family[family].add(*pool, cores);
  }
  const auto judge = [&](const QuotaDemand& demand, const std::optional<uint32_t>& quota, const std::string& name) {
    if (quota) {
      judge_quota(examination, what + ": " + name, demand, *quota, "the account's quota is " + std::to_string(*quota),
                  batch_quota_way);
    }
  };
  judge(by_market[0], account.dedicated_cores, "dedicated cores");
  judge(by_market[1], account.low_priority_cores, "low-priority cores");
  if (!account.per_family) return;
  const std::string of_family = "dedicated cores of ";
  const std::string unknown = what + ": " + of_family;
  for (const auto& [family, demand] : by_family) {
    if (family.empty()) continue;
    const auto quota = account.family_cores.find(lower_case(family));
    if (quota != account.family_cores.end()) {
      judge(demand, quota->second, of_family + family);
    } else {
      examination.add(unknown + family, Verdict::unknown, "Azure tells no quota of this family",
                      "look at the account's Quotas in the portal");
    }
  }
}

void examine_service(Examination& examination, const std::string& what, const BatchAccountView& account,
                     const Pools& pools) {
  const model::AzurePool& azure = *pools.front()->azure;
  const auto api = api_of(examination, azure);
  if (!api) return examination.add(what + ": service", Verdict::problem, api.error().message, "correct the file");
  const auto images = BatchApi(*api).images(examination.deadline.left());
  if (!images) {
    const bool denied = images.error().code == ErrorCode::denied;
    return examination.add(
        what + ": service", denied ? Verdict::problem : Verdict::unknown, images.error().message,
        denied ? "assign the role that `slipway azure role` prints at the account, or give its key in batch_key_file"
        : account.is_public ? "see whether this machine reaches " + api->url()
                            : "the account answers on its private endpoint only: run this in its network");
  }
  examination.add(what + ": service", Verdict::ok, api->url() + " answers");
  for (const model::Pool* pool : pools) examine_batch_image(examination, *pool, *images);
  if (const auto existing = BatchApi(*api).pools(examination.deadline.left())) {
    examine_pool_count(examination, what, account, *existing, pools);
  } else {
    examination.add_unknown(what + ": pool quota", existing.error(), "Microsoft.Batch/batchAccounts/pools/read");
  }
}

// Of one account; true when its machines count against the subscription.
bool examine_account(Examination& examination, const std::string& id, const Pools& pools) {
  const model::AzurePool& azure = *pools.front()->azure;
  const std::string what = "Batch account " + azure.account;
  const auto body = examination.get(id, "2024-07-01");
  const auto account = body ? parse_batch_account(*body) : Result<BatchAccountView>(fail(body.error()));
  if (!account) {
    if (account.error().code == ErrorCode::not_found) {
      examination.add(what, Verdict::problem, "there is none in resource group " + azure.resource_group,
                      "correct subscription, resource_group and account, or make it: az batch account create --name " +
                          azure.account + " --resource-group " + azure.resource_group + " --location " + azure.region);
      return false;
    }
    examination.add_unknown(what, account.error(), "Microsoft.Batch/batchAccounts/read");
    examine_service(examination, what, {}, pools);
    return false;
  }
  const char* mode = azure.batch_key_file.empty() ? "AAD" : "SharedKey";
  if (region_word(account->region) != region_word(azure.region)) {
    examination.add(what, Verdict::problem, "it is in " + account->region + ", the file says " + azure.region,
                    "correct region");
  } else if (account->state != "Succeeded") {
    examination.add(what, Verdict::problem, "its state is " + account->state, "see the account in the portal");
  } else if (!account->authentication.empty() && !account->authentication.contains(mode)) {
    examination.add(what, Verdict::problem, std::string("it doesn't accept ") + mode + " authentication",
                    azure.batch_key_file.empty() ? "allow it: portal, Authentication mode"
                                                 : "take batch_key_file out of the file and assign the role");
  } else {
    examination.add(what, Verdict::ok, "it is there, in " + account->region);
  }
  examine_service(examination, what, *account, pools);
  if (!account->user_subscription) examine_batch_quotas(examination, what, *account, pools);
  return account->user_subscription;
}

}  // namespace

void QuotaDemand::add(const model::Pool& pool, uint32_t cores_each) {
  if (cores_each == 0) return;  // of unknown size: that was told
  pools.push_back(pool.name.str());
  cores += uint64_t{pool.max} * cores_each;
  smallest = smallest == 0 ? cores_each : std::min(smallest, cores_each);
}

void judge_quota(Examination& examination, const std::string& what, const QuotaDemand& demand, uint64_t free,
                 const std::string& quota, const std::string& way_out) {
  if (demand.cores == 0) return;
  std::string who = demand.pools.size() == 1 ? "pool " : "pools ";
  for (const std::string& pool : demand.pools) who += (pool == demand.pools.front() ? "" : ", ") + pool;
  const std::string sentence = who + " may come to " + std::to_string(demand.cores) + " cores, " + quota;
  if (demand.cores <= free) return examination.add(what, Verdict::ok, sentence);
  if (demand.smallest > free) {
    return examination.add(what, Verdict::problem, sentence + ": not enough for one machine", way_out);
  }
  examination.add(what, Verdict::warning,
                  sentence + ": enough for " + std::to_string(free / demand.smallest) + " machines at most", way_out);
}

void examine_sizes(Examination& examination) {
  std::map<Examination::Place, std::set<std::string>> of_batch;
  std::set<Examination::Place> asked;
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    const Examination::Place place{azure.subscription, region_word(azure.region)};
    const std::string where = "sizes in " + azure.region;
    if (asked.insert(place).second) {
      auto sizes = read_sizes(*examination.arm, examination.endpoints.arm, place.first, place.second,
                              examination.deadline.left());
      if (!sizes) examination.add_unknown(where, sizes.error(), "Microsoft.Compute/skus/read on the subscription");
      if (sizes) {
        auto& known = examination.sizes[place];
        for (VmSize& size : *sizes) known.emplace(lower_case(size.type.name), std::move(size));
      }
    }
    const bool is_batch = azure.kind == model::AzurePoolKind::batch;
    if (is_batch && asked.insert({place.first, "Batch " + place.second}).second) {
      const auto names = read_pages(*examination.arm, examination.endpoints.arm,
                                    examination.endpoints.arm + "/subscriptions/" + place.first +
                                        "/providers/Microsoft.Batch/locations/" + place.second +
                                        "/virtualMachineSkus?api-version=2024-07-01",
                                    &parse_batch_sizes, examination.deadline);
      if (names) of_batch[place].insert(names->begin(), names->end());
      if (!names) {
        examination.add_unknown("Batch's " + where, names.error(),
                                "Microsoft.Batch/locations/virtualMachineSkus/read on the subscription");
      }
    }
    const auto known = examination.sizes.find(place);
    if (known == examination.sizes.end()) return;
    const auto batch = of_batch.find(place);
    for (const std::string& machine : pool.machines) {
      examine_size(examination, pool, machine, known->second,
                   is_batch && batch != of_batch.end() ? &batch->second : nullptr);
    }
  });
}

void examine_batch_accounts(Examination& examination) {
  std::map<std::string, Pools> accounts;
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    const std::string id = scope_id(RoleScope::batch_account, azure);
    if (!id.empty()) accounts[id].push_back(&pool);
  });
  std::vector<std::string> by_subscription;
  for (const auto& [id, pools] : accounts) {
    if (examine_account(examination, id, pools)) by_subscription.push_back(id);
  }
  examine_vcpu_quotas(examination, by_subscription);
}

void examine_vcpu_quotas(Examination& examination, const std::vector<std::string>& user_subscription_accounts) {
  struct Demand {
    std::string region;
    std::map<std::string, QuotaDemand> by_quota;  // lower case
  };
  std::map<Examination::Place, Demand> places;
  examination.for_each_pool([&](const model::Pool& pool, const model::AzurePool& azure) {
    const std::string account = scope_id(RoleScope::batch_account, azure);
    const auto& list = user_subscription_accounts;
    if (!account.empty() && std::find(list.begin(), list.end(), account) == list.end()) return;
    Demand& demand = places[{azure.subscription, region_word(azure.region)}];
    demand.region = azure.region;
    uint32_t largest = 0;
    std::map<std::string, uint32_t> of_family;
    for (const std::string& machine : pool.machines) {
      const catalog::MachineType type = examination.type_of(azure, machine);
      largest = std::max(largest, type.cores);
      uint32_t& cores = of_family[lower_case(type.family)];
      cores = std::max(cores, type.cores);
    }
    if (buys(pool, model::Market::spot)) demand.by_quota["lowprioritycores"].add(pool, largest);
    if (!buys(pool, model::Market::on_demand)) return;
    demand.by_quota["cores"].add(pool, largest);
    for (const auto& [family, cores] : of_family) {
      if (!family.empty()) demand.by_quota[family].add(pool, cores);
    }
  });
  for (const auto& [place, demand] : places) {
    const std::string what = "vCPU quota in " + demand.region;
    const auto usages = read_usages(*examination.arm, examination.endpoints.arm, place.first, place.second,
                                    examination.deadline.left());
    if (!usages) {
      examination.add_unknown(what, usages.error(), "Microsoft.Compute/locations/usages/read on the subscription");
      continue;
    }
    std::string front = what;
    front += ": ";
    for (const auto& entry : demand.by_quota) {
      const std::string& quota = entry.first;
      const QuotaDemand& wanted = entry.second;
      const auto usage = std::find_if(usages->begin(), usages->end(),
                                      [&](const Usage& each) { return lower_case(each.family) == quota; });
      if (usage == usages->end()) {
        examination.add(front + quota, Verdict::unknown, "Azure tells no quota of this name",
                        "look at the subscription's Usage + quotas in the portal");
        continue;
      }
      const uint64_t free = usage->limit > usage->used ? static_cast<uint64_t>(usage->limit - usage->used) : 0;
      judge_quota(examination, front + usage->family, wanted, free,
                  std::to_string(free) + " of the subscription's " + std::to_string(usage->limit) + " are free",
                  vcpu_quota_way);
    }
  }
}

}  // namespace slipway::cloud::azure
