#include "cloud/azure/batch_model.h"

#include <boost/json.hpp>

#include "cloud/azure/json_values.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

constexpr int64_t nodes_max = 10'000'000;  // of a pool; more is no number of nodes

template <class Item>
Result<BatchPage<Item>> parse_page(std::string_view body, Item (*read)(const json::object&)) {
  auto object = parse_object(body);
  if (!object) return fail(object.error());
  const json::value* value = object->if_contains("value");
  if (value == nullptr || !value->is_array()) return fail(ErrorCode::transient, "a listing without a list");
  BatchPage<Item> page;
  page.items.reserve(value->get_array().size());
  for_each_object(*object, "value", [&](const json::object& one) { page.items.push_back(read(one)); });
  page.next = text_value(*object, "odata.nextLink");
  return page;
}

// Targets are made of these: a number that is missing would be read as 0, and a resize to that ends what works.
bool has_counts(const json::object& pool) {
  for (const char* key :
       {"currentDedicatedNodes", "currentLowPriorityNodes", "targetDedicatedNodes", "targetLowPriorityNodes"}) {
    const json::value* value = pool.if_contains(key);
    if (value == nullptr || !value->is_int64() || value->get_int64() < 0 || value->get_int64() > nodes_max)
      return false;
  }
  return true;
}

BatchPoolView read_pool(const json::object& object) {
  BatchPoolView pool;
  pool.id = text_value(object, "id");
  pool.etag = text_value(object, "eTag");
  pool.active = text_value(object, "state") != "deleting";
  pool.allocation = text_value(object, "allocationState");
  pool.counted = has_counts(object);
  pool.allocation_since = text_value(object, "allocationStateTransitionTime");
  pool.autoscale = bool_value(object, "enableAutoScale");
  pool.current = {count_value(object, "currentDedicatedNodes"), count_value(object, "currentLowPriorityNodes")};
  pool.target = {count_value(object, "targetDedicatedNodes"), count_value(object, "targetLowPriorityNodes")};
  for_each_object(object, "resizeErrors", [&](const json::object& error) {
    BatchResizeError& one = pool.resize_errors.emplace_back();
    one.code = text_value(error, "code");
    one.message = text_value(error, "message");
    for_each_object(error, "values", [&](const json::object& detail) {
      one.message += "; " + text_value(detail, "name") + ": " + text_value(detail, "value");
    });
  });
  for_each_object(object, "metadata", [&](const json::object& item) {
    pool.metadata[text_value(item, "name")] = text_value(item, "value");
  });
  return pool;
}

std::string first_error(const json::object& node) {
  std::string text;
  for_each_object(node, "errors", [&](const json::object& error) {
    if (text.empty()) text = text_value(error, "code") + ": " + text_value(error, "message");
  });
  const json::object* task = object_value(node, "startTaskInfo");
  if (task == nullptr) return text;
  std::string why = "its start task ended with exit code " + std::to_string(count_value(*task, "exitCode"));
  if (const json::object* failure = object_value(*task, "failureInfo")) {
    why += " (" + text_value(*failure, "code") + ": " + text_value(*failure, "message") + ")";
  }
  return text.empty() ? why : text + "; " + why;
}

BatchNodeView read_node(const json::object& object) {
  BatchNodeView node;
  node.id = text_value(object, "id");
  node.state = text_value(object, "state");
  node.address = text_value(object, "ipAddress");
  // Absent in answers of old services: dedicated, as everything was then.
  const bool spot = object.if_contains("isDedicated") != nullptr && !bool_value(object, "isDedicated");
  node.market = spot ? model::Market::spot : model::Market::on_demand;
  node.allocated_at = time_value(object, "allocationTime");
  node.error = first_error(object);
  return node;
}

BatchImage read_image(const json::object& object) {
  BatchImage image;
  image.node_agent = text_value(object, "nodeAgentSKUId");
  image.verified = text_value(object, "verificationType") == "verified";
  if (const json::object* reference = object_value(object, "imageReference")) {
    image.publisher = text_value(*reference, "publisher");
    image.offer = text_value(*reference, "offer");
    image.sku = text_value(*reference, "sku");
  }
  return image;
}

}  // namespace

Result<BatchPage<BatchPoolView>> parse_batch_pools(std::string_view body) {
  return parse_page<BatchPoolView>(body, read_pool);
}
Result<BatchPage<BatchNodeView>> parse_batch_nodes(std::string_view body) {
  return parse_page<BatchNodeView>(body, read_node);
}
Result<BatchPage<BatchImage>> parse_batch_images(std::string_view body) {
  return parse_page<BatchImage>(body, read_image);
}

void describe(const BatchNodeView& node, model::Instance& instance) {
  using model::InstanceState;
  const auto troubled = [&](const std::string& what) {
    instance.trouble = Error{ErrorCode::permanent, node.error.empty() ? what : what + ": " + node.error};
  };
  const std::string& state = node.state;
  instance.state = InstanceState::running;
  if (state == "creating" || state == "starting" || state == "waitingforstarttask") {
    instance.state = InstanceState::pending;
  } else if (node.leaving() || state == "deallocating") {
    instance.state = InstanceState::stopping;
  } else if (state == "preempted") {
    instance.state = InstanceState::gone;
    troubled("evicted: Azure preempted this low-priority node");
  } else if (state == "unusable") {
    troubled("Batch finds it unusable");
  } else if (state == "starttaskfailed") {
    troubled("its start task failed");
  } else if (state == "deallocated") {
    troubled("it was deallocated");
  }
}

}  // namespace slipway::cloud::azure
