// The node operations of the Batch data plane, and what it lists of the whole account.
#include <boost/json.hpp>

#include <charconv>

#include "rehearse/azure/batch_images.h"
#include "rehearse/azure/batch_json.h"
#include "rehearse/azure/batch_plane.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/odata_filter.h"
#include "rehearse/azure/reply.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

http::Response batch_json_reply(const json::value& body) {
  http::Response response = json_reply(200, body);
  response.headers = {{"Content-Type", "application/json;odata=minimalmetadata"}};
  return response;
}

http::Response refuse_filter(const BatchCall& call, const Error& error) {
  return batch_error(Complaint{Complaint::Kind::invalid_query, "$filter", call.parameter("$filter"), error.message});
}

size_t results_max(const BatchCall& call, size_t otherwise) {
  const std::string text = call.parameter("maxresults");
  size_t number = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// What a filter asks for must be made, whatever is selected.
Select filter_select(const ODataFilter& filter) {
  Select select("");
  for (const std::string& name : filter.properties()) select.add(name.substr(0, name.find('/')));
  return select;
}

http::Response refuse_busy(std::string_view state) {
  if (state == "rebooting") return batch_error(409, "NodeBeingRebooted", "The specified node is being rebooted.");
  if (state == "reimaging") return batch_error(409, "NodeBeingReimaged", "The specified node is being reimaged.");
  if (state == "starting") return batch_error(409, "NodeBeingStarted", "The specified node is being started.");
  if (state == "creating") return batch_error(409, "NodeBeingCreated", "The specified node is being created.");
  return batch_error(409, "OperationNotValidOnNode", "The specified operation is not valid on the node.",
                     {{"State", std::string(state)}});
}

}  // namespace

http::Response BatchPlane::node_list(const BatchCall& call, BatchPool& pool) {
  const auto filter = ODataFilter::parse(call.parameter("$filter"));
  if (!filter) return refuse_filter(call, filter.error());
  const Select select(call.parameter("$select"));
  const Select asked = filter_select(*filter);
  const bool filters = !filter->properties().empty();
  const size_t most = results_max(call, 1000);
  const std::string token = call.parameter("$skiptoken");
  MachineKey after = 0;
  if (!token.empty()) {
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), after);
    if (error != std::errc() || end != token.data() + token.size()) {
      return batch_error(Complaint{Complaint::Kind::invalid_query, "$skiptoken", token, "it isn't one of ours"});
    }
  }
  json::array value;
  MachineKey last = 0;
  bool more = false;
  auto at = token.empty() ? pool.nodes.begin() : pool.nodes.upper_bound(after);
  for (; at != pool.nodes.end(); ++at) {
    const auto& [key, node] = *at;
    if (node.phase == Phase::allocating) continue;
    if (filters && !filter->fits(node_json(core_, pool, key, node, asked))) continue;
    if (value.size() == most) {
      more = true;
      break;
    }
    value.push_back(node_json(core_, pool, key, node, select));
    last = key;
  }
  json::object body{{"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#nodes"}};
  body["value"] = std::move(value);
  if (more) body["odata.nextLink"] = next_link(call, std::to_string(last));
  return batch_json_reply(body);
}

http::Response BatchPlane::node_get(const BatchCall& call, BatchPool& pool, MachineKey key) {
  json::object body{{"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#nodes/@Element"}};
  const json::object node = node_json(core_, pool, key, pool.nodes.at(key), Select(call.parameter("$select")));
  for (const auto& [name, value] : node) body[name] = value;
  return batch_json_reply(body);
}

http::Response BatchPlane::node_restart(const BatchCall& call, BatchPool& pool, MachineKey key) {
  const BatchNode& node = pool.nodes.at(key);
  const bool reimage = call.operation.id == "ComputeNode_Reimage";
  const std::string_view state = node_state(pool, node);
  const bool may = state == "idle" || state == "running" || state == "offline" || state == "starttaskfailed" ||
                   state == "waitingforstarttask" || state == "unusable";
  if (!may) return refuse_busy(state);
  pools_.restart(pool, key, reimage ? BatchNode::Restart::reimage : BatchNode::Restart::reboot);
  return accepted(call, pool, 202, pool.id + "/nodes/" + node.name);
}

http::Response BatchPlane::node_scheduling(const BatchCall& call, BatchPool& pool, MachineKey key) {
  BatchNode& node = pool.nodes.at(key);
  const bool enable = call.operation.id == "ComputeNode_EnableScheduling";
  if (node.scheduling == enable) {
    return batch_error(409, "NodeAlreadyInTargetSchedulingState",
                       "The specified node is already in the target scheduling state.");
  }
  node.scheduling = enable;
  return accepted(call, pool, 200, pool.id + "/nodes/" + node.name);
}

http::Response BatchPlane::node_counts(const BatchCall& call) {
  const auto filter = ODataFilter::parse(call.parameter("$filter"));
  if (!filter) return refuse_filter(call, filter.error());
  const size_t most = results_max(call, 10);
  const std::string from = lower(call.parameter("$skiptoken"));
  json::array value;
  std::string last;
  bool more = false;
  for (const BatchPool* pool : pools_.of_account(call.account.name)) {
    if (!from.empty() && lower(pool->id) <= from) continue;
    json::object counts = node_counts_json(*pool);
    if (!filter->fits(counts)) continue;
    if (value.size() == most) {
      more = true;
      break;
    }
    value.push_back(std::move(counts));
    last = pool->id;
  }
  json::object body{{"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#poolnodecounts"}};
  body["value"] = std::move(value);
  if (more) body["odata.nextLink"] = next_link(call, last);
  return batch_json_reply(body);
}

http::Response BatchPlane::supported_images(const BatchCall& call) {
  const auto filter = ODataFilter::parse(call.parameter("$filter"));
  if (!filter) return refuse_filter(call, filter.error());
  json::array value;
  for (const BatchImage& image : batch_images) {
    json::object one{{"nodeAgentSKUId", std::string(image.node_agent)},
                     {"imageReference",
                      {{"publisher", std::string(image.publisher)},
                       {"offer", std::string(image.offer)},
                       {"sku", std::string(image.sku)},
                       {"version", "latest"}}},
                     {"osType", "linux"},
                     {"verificationType", "verified"},
                     {"capabilities", json::array{}}};
    if (filter->fits(one)) value.push_back(std::move(one));
  }
  return batch_json_reply(json::object{
      {"odata.metadata", core_.batch_urls[call.account.name] + "/$metadata#supportedimages"}, {"value", value}});
}

}  // namespace slipway::rehearse::azure
