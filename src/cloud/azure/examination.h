// What the parts of `doctor` share while it looks (doctor.h): the ways to Azure, and what was found so far.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cloud/azure/compute_pages.h"
#include "cloud/azure/credentials.h"
#include "cloud/azure/doctor.h"
#include "cloud/azure/doctor_views.h"
#include "cloud/azure/skus.h"

namespace slipway::cloud::azure {

struct Examination {
  const model::Cluster& cluster;
  const Clock& clock;
  http::Client& client;
  const Endpoints endpoints;
  const std::shared_ptr<TokenSource> source;
  const std::shared_ptr<Rest> arm;
  const Deadline deadline;
  std::vector<Finding> findings;

  // What was learned of each (subscription, region); sizes by lower-case name.
  using Place = std::pair<std::string, std::string>;
  std::map<Place, std::map<std::string, VmSize>> sizes;

  void add(std::string what, Verdict verdict, std::string sentence, std::string way_out = {});
  // It couldn't be asked. Denied: which permission lacks is `action`.
  void add_unknown(std::string what, const Error& error, std::string_view action);
  Result<std::string> get(const std::string& resource_id, std::string_view api_version);
  // Calls `visit` with every Azure pool.
  void for_each_pool(const std::function<void(const model::Pool&, const model::AzurePool&)>& visit) const;
  // Of a size, by what Azure said, else by the built-in table; cores 0: unknown.
  catalog::MachineType type_of(const model::AzurePool& pool, const std::string& machine) const;
};

void examine_permissions(Examination& examination);
void examine_sizes(Examination& examination);           // fills `sizes`
void examine_batch_accounts(Examination& examination);  // and the images of their pools
void examine_vcpu_quotas(Examination& examination, const std::vector<std::string>& user_subscription_accounts);
void examine_subnets(Examination& examination);
void examine_images(Examination& examination);  // all but marketplace images of Batch pools

// What pools may come to use of one quota.
struct QuotaDemand {
  std::vector<std::string> pools;
  uint64_t cores = 0;     // with every pool at its `max`
  uint32_t smallest = 0;  // cores of the smallest machine
  void add(const model::Pool& pool, uint32_t cores_each);
};
// `free`: cores that can still be had. `quota`: the same in words.
void judge_quota(Examination& examination, const std::string& what, const QuotaDemand& demand, uint64_t free,
                 const std::string& quota, const std::string& way_out);

}  // namespace slipway::cloud::azure
