// ARM: who asks, which of the published operations it is, and what is answered. One class, its operations in several
// files by what they are about.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "http/server.h"
#include "http/url.h"
#include "rehearse/azure/batch_pools.h"
#include "rehearse/azure/core.h"
#include "rehearse/azure/operations.h"
#include "rehearse/azure/scale_sets.h"

namespace boost::json {
class array;
class object;
class value;
}  // namespace boost::json

namespace slipway::rehearse::azure {

struct ArmCall {
  const Operation& operation;
  const http::Headers& headers;
  const http::Query& query;
  const std::map<std::string, std::string>& path;
  const boost::json::object& body;
  std::string target;

  std::string parameter(std::string_view name) const;
  std::string at(const std::string& name) const;  // a parameter of the path; empty: none
  std::string version() const { return parameter("api-version"); }
};

class ArmPlane {
 public:
  ArmPlane(Core& core, BatchPools& pools, ScaleSets& sets, Operations& operations);

  void handle(http::Asked asked, http::Answer answer);

  boost::json::array save_placement_groups() const;
  Result<void> load_placement_groups(const boost::json::array& saved);

 private:
  using Handler = http::Response (ArmPlane::*)(const ArmCall&);
  static const std::map<std::string, Handler>& handlers();

  http::Response act(const http::Asked& asked, const Operation& operation,
                     const std::map<std::string, std::string>& path, const http::Query& query);
  std::string next_link(const ArmCall& call, const std::string& skip_token) const;
  struct Group {
    std::string subscription;
    std::string name;
    std::string region;
  };
  std::vector<Group> groups(std::string_view subscription) const;
  const Group* find_group(std::string_view subscription, std::string_view name) const;

  // arm_resources.cc
  http::Response subscriptions_list(const ArmCall& call);
  http::Response subscription_get(const ArmCall& call);
  http::Response group_get(const ArmCall& call);
  http::Response group_exists(const ArmCall& call);
  http::Response group_list(const ArmCall& call);
  http::Response permissions(const ArmCall& call);
  http::Response operation_get(const ArmCall& call);
  http::Response interface_list(const ArmCall& call);
  http::Response interface_get(const ArmCall& call);
  http::Response usage_list(const ArmCall& call);
  http::Response sku_list(const ArmCall& call);
  http::Response placement_put(const ArmCall& call);
  http::Response placement_get(const ArmCall& call);
  http::Response placement_delete(const ArmCall& call);
  // arm_places.cc
  std::set<std::string> regions() const;  // lower case
  http::Response check_region(const ArmCall& call, const std::string& region, const std::string& type) const;
  boost::json::object subnet_json(const std::string& id);  // of one that exists
  http::Response subnet_get(const ArmCall& call);
  http::Response network_get(const ArmCall& call);
  http::Response batch_sizes(const ArmCall& call);
  http::Response marketplace_list(const ArmCall& call);
  http::Response marketplace_get(const ArmCall& call);
  http::Response image_get(const ArmCall& call);
  http::Response gallery_image_get(const ArmCall& call);
  http::Response gallery_version_get(const ArmCall& call);
  // arm_batch.cc
  http::Response account_list(const ArmCall& call);
  http::Response account_get(const ArmCall& call);
  http::Response account_keys(const ArmCall& call);
  http::Response batch_quotas(const ArmCall& call);
  http::Response pool_put(const ArmCall& call);
  http::Response pool_patch(const ArmCall& call);
  http::Response pool_get(const ArmCall& call);
  http::Response pool_delete(const ArmCall& call);
  http::Response pool_list(const ArmCall& call);
  http::Response pool_operation(const ArmCall& call);
  boost::json::object account_json(const BatchAccount& account) const;
  boost::json::object pool_json(const BatchAccount& account, const BatchPool& pool);
  http::Response pool_reply(int status, const BatchAccount& account, const BatchPool& pool);
  // arm_scale_sets.cc
  http::Response set_put(const ArmCall& call);
  http::Response set_patch(const ArmCall& call);
  http::Response set_get(const ArmCall& call);
  http::Response set_delete(const ArmCall& call);
  http::Response set_list(const ArmCall& call);
  http::Response set_delete_instances(const ArmCall& call);
  http::Response check_set(const ArmCall& call, const boost::json::object& model) const;  // status 0: it is fine
  http::Response apply_model(const ArmCall& call, ScaleSet& set, boost::json::object model, int status);
  http::Response set_reply(int status, const ArmCall& call, const ScaleSet& set) const;
  // arm_machines.cc
  http::Response vm_list(const ArmCall& call);
  http::Response vm_get(const ArmCall& call);
  http::Response vm_view(const ArmCall& call);
  http::Response vm_delete(const ArmCall& call);
  http::Response vm_deallocate(const ArmCall& call);
  http::Response vm_evict(const ArmCall& call);
  boost::json::object vm_json(const ScaleSet& set, MachineKey key, const ScaleVm& vm, bool view) const;
  boost::json::object view_json(const ScaleSet& set, const ScaleVm& vm) const;
  boost::json::object interface_json(const ScaleSet& set, MachineKey key, const ScaleVm& vm) const;

  Core& core_;
  BatchPools& pools_;
  ScaleSets& sets_;
  Operations& operations_;
  std::vector<Group> groups_;
  std::map<std::string, std::shared_ptr<boost::json::object>> placement_groups_;  // by id in lower case
  std::map<std::string, uint32_t> calls_left_;  // x-ms-ratelimit-remaining-…, by "subscription/reads"
};

// The vmId that a machine's IMDS tells too.
std::string vm_id_of(const Machine& machine);

}  // namespace slipway::rehearse::azure
