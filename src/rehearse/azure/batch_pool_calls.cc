// The pool operations of the Batch data plane.
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>

#include "rehearse/azure/batch_json.h"
#include "rehearse/azure/batch_plane.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/reply.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr uint32_t pools_default = 100;
constexpr double resize_timeout_min = 300;

http::Response refuse_resizing() {
  return batch_error(409, "PoolBeingResized", "The specified pool is being resized.");
}

http::Response refuse_autoscale() {
  return batch_error(409, "OperationNotValidOnPool", "The specified operation is not valid on the pool.",
                     {{"Reason", "the pool has autoscale enabled; disable it first"}});
}

http::Response refuse_value(std::string name, std::string value, std::string reason) {
  return batch_error(
      Complaint{Complaint::Kind::invalid_property, std::move(name), std::move(value), std::move(reason)});
}

// Unset: too short.
std::optional<Duration> resize_timeout(const json::object& body, Duration otherwise) {
  const std::string text = text_at(body, "resizeTimeout");
  if (text.empty()) return otherwise;
  const double seconds = parse_iso_duration(text).value_or(0);
  if (seconds < resize_timeout_min) return std::nullopt;
  return Duration(static_cast<int64_t>(seconds * 1000));
}

json::object pool_defaults() {
  return {{"taskSlotsPerNode", 1},
          {"taskSchedulingPolicy", {{"nodeFillType", "spread"}}},
          {"enableInterNodeCommunication", false},
          {"currentNodeCommunicationMode", "simplified"}};
}

std::string formula_results(PerMarket<uint32_t> target) {
  return "$TargetDedicatedNodes=" + std::to_string(target[0]) +
         ";$TargetLowPriorityNodes=" + std::to_string(target[1]) + ";$NodeDeallocationOption=requeue";
}

http::Response json_of_pool(const BatchPool& pool, const json::object& body) {
  http::Response response = json_reply(200, body);
  response.headers = {{"Content-Type", "application/json;odata=minimalmetadata"},
                      {"ETag", "\"" + pool.etag + "\""},
                      {"Last-Modified", to_rfc1123(pool.modified)}};
  return response;
}

}  // namespace

http::Response BatchPlane::pool_add(const BatchCall& call) {
  const std::string id = text_at(call.body, "id");
  if (auto complaint = check_pool_settings(core_, id, call.body)) return batch_error(*complaint);
  if (BatchPool* there = pools_.find(call.account.name, id)) {
    return there->deleting ? batch_error(409, "PoolBeingDeleted",
                                         "The specified pool has been marked for deletion and is being reclaimed.")
                           : batch_error(409, "PoolExists", "The specified pool already exists.");
  }
  const uint32_t quota = call.account.pools == 0 ? pools_default : call.account.pools;
  if (pools_.of_account(call.account.name).size() >= quota) {
    return batch_error(409, "PoolQuotaReached", "The pool quota for the account has been reached.",
                       {{"PoolQuota", std::to_string(quota)}});
  }
  auto settings = std::make_shared<json::object>(pool_defaults());
  for (const auto& [name, value] : call.body) {
    if (!value.is_null()) (*settings)[name] = value;
  }
  for (const char* name : {"id", "targetDedicatedNodes", "targetLowPriorityNodes", "resizeTimeout", "enableAutoScale",
                           "autoScaleFormula", "autoScaleEvaluationInterval"}) {
    settings->erase(name);
  }
  PerMarket<uint32_t> target{static_cast<uint32_t>(integer_at(call.body, "targetDedicatedNodes").value_or(0)),
                             static_cast<uint32_t>(integer_at(call.body, "targetLowPriorityNodes").value_or(0))};
  const bool autoscale = bool_at(call.body, "enableAutoScale");
  const std::string formula = text_at(call.body, "autoScaleFormula");
  if (autoscale) {
    const auto evaluated = run_formula(formula, {});
    if (!evaluated) {
      return batch_error(400, "InvalidAutoScalingSettings", "The specified auto-scaling settings are not valid.",
                         {{"Reason", evaluated.error().message}});
    }
    target = *evaluated;
  }
  BatchPool& pool = pools_.add(call.account.name, id, std::move(settings));
  pool.resize_timeout = *resize_timeout(call.body, pool.resize_timeout);
  pool.autoscale = autoscale;
  pool.formula = formula;
  if (const auto interval = parse_iso_duration(text_at(call.body, "autoScaleEvaluationInterval"))) {
    pool.formula_interval = Duration(static_cast<int64_t>(*interval * 1000));
  }
  if (target[0] + target[1] > 0) pools_.resize(pool, target);
  http::Response response = accepted(call, pool, 201, pool.id);
  response.headers.emplace_back("Location", core_.batch_urls[call.account.name] + "/pools/" + pool.id);
  return response;
}

http::Response BatchPlane::pool_list(const BatchCall& call) {
  const auto filter = ODataFilter::parse(call.parameter("$filter"));
  if (!filter) {
    return batch_error(
        Complaint{Complaint::Kind::invalid_query, "$filter", call.parameter("$filter"), filter.error().message});
  }
  const Select select(call.parameter("$select"));
  const Select everything("");
  const std::string from = lower(call.parameter("$skiptoken"));
  size_t most = 1000;
  if (const std::string text = call.parameter("maxresults"); !text.empty()) most = std::stoul(text);
  json::array value;
  std::string next;
  for (const BatchPool* pool : pools_.of_account(call.account.name)) {
    if (lower(pool->id) <= from && !from.empty()) continue;
    json::object all;
    if (!filter->properties().empty()) {
      all = pool_json(core_, *pool, everything);
      if (!filter->fits(all)) continue;
    }
    if (value.size() == most) {
      next = next_link(call, next);
      break;
    }
    value.push_back(pool_json(core_, *pool, select));
    next = pool->id;
  }
  json::object body{{"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#pools"}};
  body["value"] = std::move(value);
  if (next.find('?') != std::string::npos) body["odata.nextLink"] = next;
  http::Response response = json_reply(200, body);
  response.headers = {{"Content-Type", "application/json;odata=minimalmetadata"}};
  return response;
}

http::Response BatchPlane::pool_get(const BatchCall& call, BatchPool& pool) {
  json::object body{{"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#pools/@Element"}};
  for (auto& [name, value] : pool_json(core_, pool, Select(call.parameter("$select")))) body[name] = value;
  return json_of_pool(pool, body);
}

http::Response BatchPlane::pool_exists(const BatchCall& call, BatchPool& pool) {
  return accepted(call, pool, 200, pool.id);
}

http::Response BatchPlane::pool_patch(const BatchCall& call, BatchPool& pool) {
  json::object merged = *pool.settings;
  for (const auto& [name, value] : call.body) {
    // "If omitted or null, the property is left unchanged":
    // https://learn.microsoft.com/rest/api/batchservice/pool/patch
    if (!value.is_null()) merged[name] = value;
  }
  if (auto complaint = check_pool_settings(core_, pool.id, merged)) return batch_error(*complaint);
  // These need a pool without nodes.
  for (const char* name : {"vmSize", "virtualMachineConfiguration", "networkConfiguration", "taskSlotsPerNode",
                           "enableInterNodeCommunication", "userAccounts", "mountConfiguration", "resourceTags"}) {
    const bool has_nodes = pool.current[0] + pool.current[1] + pool.allocating > 0;
    if (call.body.contains(name) && !call.body.at(name).is_null() && has_nodes) {
      return batch_error(409, "OperationInvalidForCurrentState",
                         "The specified operation is not valid for the current state of the resource.",
                         {{"Reason", std::string(name) + " can be changed only while the pool has no nodes"}});
    }
  }
  *pool.settings = std::move(merged);
  pools_.changed(pool);
  return accepted(call, pool, 200, pool.id);
}

http::Response BatchPlane::pool_update(const BatchCall& call, BatchPool& pool) {
  // Everything that it takes is replaced: what is left out is removed.
  for (const char* name : {"startTask", "certificateReferences", "applicationPackageReferences", "metadata",
                           "targetNodeCommunicationMode"}) {
    const json::value* value = call.body.if_contains(name);
    const bool empty = value == nullptr || value->is_null() || (value->is_array() && value->get_array().empty());
    if (empty) {
      pool.settings->erase(name);
    } else {
      (*pool.settings)[name] = *value;
    }
  }
  pools_.changed(pool);
  return accepted(call, pool, 204, pool.id);
}

http::Response BatchPlane::pool_delete(const BatchCall& call, BatchPool& pool) {
  http::Response response = accepted(call, pool, 202, pool.id);
  pools_.remove(pool);
  return response;
}

http::Response BatchPlane::pool_resize(const BatchCall& call, BatchPool& pool) {
  const auto dedicated = integer_at(call.body, "targetDedicatedNodes");
  const auto low_priority = integer_at(call.body, "targetLowPriorityNodes");
  if (!dedicated && !low_priority) {
    return batch_error(Complaint{Complaint::Kind::missing_property, "targetDedicatedNodes", "",
                                 "at least one of targetDedicatedNodes and targetLowPriorityNodes is required"});
  }
  for (const auto& number : {dedicated, low_priority}) {
    if (number && *number < 0) return refuse_value("target", std::to_string(*number), "must not be negative");
  }
  const auto timeout = resize_timeout(call.body, std::chrono::minutes(15));
  if (!timeout) {
    return refuse_value("resizeTimeout", text_at(call.body, "resizeTimeout"),
                        "the resize timeout must be at least 5 minutes");
  }
  if (pool.autoscale) return refuse_autoscale();
  if (pool.allocation != Allocation::steady) return refuse_resizing();
  pool.resize_timeout = *timeout;
  pools_.resize(pool, {static_cast<uint32_t>(dedicated.value_or(pool.target[0])),
                       static_cast<uint32_t>(low_priority.value_or(pool.target[1]))});
  return accepted(call, pool, 202, pool.id + "/resize");
}

http::Response BatchPlane::pool_stop_resize(const BatchCall& call, BatchPool& pool) {
  if (pool.allocation == Allocation::steady) {
    return batch_error(409, "OperationInvalidForCurrentState",
                       "The specified operation is not valid for the current state of the resource.",
                       {{"Reason", "the pool isn't being resized"}});
  }
  if (pool.allocation == Allocation::resizing) pools_.stop(pool);
  return accepted(call, pool, 202, pool.id + "/stopresize");
}

http::Response BatchPlane::pool_remove_nodes(const BatchCall& call, BatchPool& pool) {
  const auto timeout = resize_timeout(call.body, std::chrono::minutes(15));
  if (!timeout) {
    return refuse_value("resizeTimeout", text_at(call.body, "resizeTimeout"),
                        "the resize timeout must be at least 5 minutes");
  }
  const json::array& list = call.body.at("nodeList").as_array();
  if (list.empty()) return refuse_value("nodeList", "[]", "at least one node must be named");
  std::vector<MachineKey> keys;
  for (const json::value& one : list) {
    const auto found = pool.by_name.find(std::string(one.as_string()));
    if (found == pool.by_name.end()) {
      return batch_error(404, "NodeNotFound", "The specified node does not exist.",
                         {{"NodeId", std::string(one.as_string())}});
    }
    keys.push_back(found->second);
  }
  if (pool.autoscale) return refuse_autoscale();
  if (pool.allocation != Allocation::steady) return refuse_resizing();
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  pool.resize_timeout = *timeout;
  pools_.remove_nodes(pool, keys);
  return accepted(call, pool, 202, pool.id + "/removenodes");
}

http::Response BatchPlane::pool_enable_autoscale(const BatchCall& call, BatchPool& pool) {
  std::string formula = text_at(call.body, "autoScaleFormula");
  if (formula.empty()) formula = pool.formula;
  const auto target = run_formula(formula, pool.target);
  if (formula.empty() || !target) {
    return batch_error(400, "InvalidAutoScalingSettings", "The specified auto-scaling settings are not valid.",
                       {{"Reason", target ? "a formula is needed" : target.error().message}});
  }
  if (!pool.autoscale && pool.allocation != Allocation::steady) return refuse_resizing();
  pool.autoscale = true;
  pool.formula = formula;
  pool.formula_ran = core_.clock.now();
  pool.formula_results = formula_results(*target);
  pools_.changed(pool);
  if (pool.allocation == Allocation::steady && pool.target != *target) pools_.resize(pool, *target);
  return accepted(call, pool, 200, pool.id + "/enableautoscale");
}

http::Response BatchPlane::pool_disable_autoscale(const BatchCall& call, BatchPool& pool) {
  pool.autoscale = false;
  pools_.changed(pool);
  return accepted(call, pool, 200, pool.id + "/disableautoscale");
}

http::Response BatchPlane::pool_evaluate_autoscale(const BatchCall& call, BatchPool& pool) {
  if (!pool.autoscale) {
    return batch_error(409, "OperationNotValidOnPool", "The specified operation is not valid on the pool.",
                       {{"Reason", "autoscale isn't enabled"}});
  }
  const auto target = run_formula(text_at(call.body, "autoScaleFormula"), pool.target);
  json::object body{{"timestamp", to_iso8601(core_.clock.now())}};
  if (target) {
    body["results"] = formula_results(*target);
  } else {
    body["error"] = {{"code", "InvalidAutoScalingSettings"}, {"message", target.error().message}};
  }
  return json_of_pool(pool, body);
}

}  // namespace slipway::rehearse::azure
