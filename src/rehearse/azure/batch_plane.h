// The Batch data plane of one or more accounts: who asks, whether the request is one that the description allows, and
// what is answered.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "http/server.h"
#include "rehearse/azure/batch_pools.h"
#include "rehearse/azure/core.h"
#include "rehearse/azure/spec_check.h"

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace slipway::rehearse::azure {

struct BatchCall {
  const Operation& operation;
  const BatchAccount& account;
  const http::Headers& headers;
  const http::Query& query;
  const std::map<std::string, std::string>& path;
  const boost::json::object& body;  // empty when there is none
  std::string target;               // as it was asked, for the next page's address

  std::string parameter(std::string_view name) const;
};

class BatchPlane {
 public:
  BatchPlane(Core& core, BatchPools& pools);

  void handle(const std::string& account, http::Asked asked, http::Answer answer);

 private:
  using Handler = http::Response (BatchPlane::*)(const BatchCall&);
  using PoolHandler = http::Response (BatchPlane::*)(const BatchCall&, BatchPool&);
  using NodeHandler = http::Response (BatchPlane::*)(const BatchCall&, BatchPool&, MachineKey);

  bool trusts(const http::Asked& asked, const BatchAccount& account, std::string& reason) const;
  http::Response act(const BatchAccount& account, const http::Asked& asked, const Spec::Found& found,
                     const http::Query& query);
  http::Response dispatch(const BatchCall& call);
  http::Response on_pool(const BatchCall& call, PoolHandler handler);
  http::Response on_node(const BatchCall& call, BatchPool& pool);

  // batch_pool_calls.cc
  http::Response pool_add(const BatchCall& call);
  http::Response pool_list(const BatchCall& call);
  http::Response pool_get(const BatchCall& call, BatchPool& pool);
  http::Response pool_exists(const BatchCall& call, BatchPool& pool);
  http::Response pool_patch(const BatchCall& call, BatchPool& pool);
  http::Response pool_update(const BatchCall& call, BatchPool& pool);
  http::Response pool_delete(const BatchCall& call, BatchPool& pool);
  http::Response pool_resize(const BatchCall& call, BatchPool& pool);
  http::Response pool_stop_resize(const BatchCall& call, BatchPool& pool);
  http::Response pool_remove_nodes(const BatchCall& call, BatchPool& pool);
  http::Response pool_enable_autoscale(const BatchCall& call, BatchPool& pool);
  http::Response pool_disable_autoscale(const BatchCall& call, BatchPool& pool);
  http::Response pool_evaluate_autoscale(const BatchCall& call, BatchPool& pool);
  // batch_node_calls.cc
  http::Response node_list(const BatchCall& call, BatchPool& pool);
  http::Response node_get(const BatchCall& call, BatchPool& pool, MachineKey node);
  http::Response node_restart(const BatchCall& call, BatchPool& pool, MachineKey node);
  http::Response node_scheduling(const BatchCall& call, BatchPool& pool, MachineKey node);
  http::Response node_counts(const BatchCall& call);
  http::Response supported_images(const BatchCall& call);

  std::string next_link(const BatchCall& call, const std::string& skip_token) const;
  http::Response accepted(const BatchCall& call, const BatchPool& pool, int status, const std::string& id) const;

  Core& core_;
  BatchPools& pools_;
};

// The rules of a pool's settings that no schema tells: the id, the machine type, the image and its agent, the subnet,
// the resize timeout. Both APIs that make pools ask it. Empty: nothing is wrong.
std::optional<Complaint> check_pool_settings(const Core& core, const std::string& id,
                                             const boost::json::object& settings);
// "$TargetDedicatedNodes = 3; …": formulas of constants only; anything else is refused with what is wrong.
Result<PerMarket<uint32_t>> run_formula(const std::string& formula, PerMarket<uint32_t> now);

}  // namespace slipway::rehearse::azure
