#include "cloud/azure/skus.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <cmath>
#include <optional>

#include "cloud/azure/json_values.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

// Sorted, and each once.
std::vector<std::string> texts(const json::object& object, std::string_view key) {
  std::vector<std::string> all;
  const json::value* value = object.if_contains(key);
  if (value != nullptr && value->is_array()) {
    for (const json::value& one : value->get_array()) {
      if (one.is_string()) all.emplace_back(one.get_string());
    }
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

uint32_t number(const std::string& text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= 100'000 ? value : 0;
}

// "3.5": gigabytes, which are Azure's word for GiB.
uint64_t mebibytes(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0 && value < 1e6)) return 0;
  return static_cast<uint64_t>(std::llround(value * 1024));
}

VmSize size_of(const json::object& sku) {
  VmSize size;
  catalog::MachineType& type = size.type;
  type.name = text_value(sku, "name");
  if (const catalog::MachineType* built_in = catalog::find(model::ProviderKind::azure, type.name)) type = *built_in;
  type.name = text_value(sku, "name");
  type.family = text_value(sku, "family");
  for_each_object(sku, "capabilities", [&](const json::object& capability) {
    const std::string name = text_value(capability, "name");
    const std::string value = text_value(capability, "value");
    const bool yes = lower_case(value) == "true";
    if (name == "vCPUs") type.cores = number(value);
    if (name == "vCPUsAvailable") type.cores_offered = number(value);
    if (name == "MemoryGB") type.memory_mib = mebibytes(value);
    if (name == "GPUs") type.gpus = number(value);
    if (name == "RdmaEnabled") type.rdma = yes;
    if (name == "LowPriorityCapable") type.spot = yes;
    if (name == "PremiumIO") type.premium_storage = yes;
    if (name == "CpuArchitectureType") type.architecture = value;
  });
  if (type.cores_offered == type.cores) type.cores_offered = 0;
  for_each_object(sku, "locationInfo", [&](const json::object& place) {
    if (size.zones.empty()) size.zones = texts(place, "zones");
  });
  for_each_object(sku, "restrictions", [&](const json::object& restriction) {
    std::string why = text_value(restriction, "reasonCode");
    if (why.empty()) why = "restricted";
    if (text_value(restriction, "type") == "Zone") {
      const json::object* info = object_value(restriction, "restrictionInfo");
      if (info != nullptr) size.refused_zones = texts(*info, "zones");
    } else {
      size.refused = why;
    }
  });
  return size;
}

template <class Item>
Result<Page<Item>> page_of(std::string_view body, std::optional<Item> (*item_of)(const json::object&)) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  const json::value* items = object->if_contains("value");
  if (items == nullptr || !items->is_array()) return fail(ErrorCode::transient, "a list without \"value\"");
  Page<Item> page;
  for_each_object(*object, "value", [&](const json::object& one) {
    if (auto item = item_of(one)) page.items.push_back(std::move(*item));
  });
  page.next = text_value(*object, "nextLink");
  return page;
}

int64_t integer(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

}  // namespace

Result<Page<VmSize>> parse_skus(std::string_view body) {
  return page_of<VmSize>(body, [](const json::object& sku) -> std::optional<VmSize> {
    if (text_value(sku, "resourceType") != "virtualMachines" || text_value(sku, "name").empty()) return std::nullopt;
    return size_of(sku);
  });
}

Result<Page<Usage>> parse_usages(std::string_view body) {
  return page_of<Usage>(body, [](const json::object& one) -> std::optional<Usage> {
    const json::object* name = object_value(one, "name");
    if (name == nullptr || text_value(*name, "value").empty()) return std::nullopt;
    return Usage{text_value(*name, "value"), text_value(*name, "localizedValue"), integer(one, "currentValue"),
                 integer(one, "limit")};
  });
}

Result<std::vector<VmSize>> read_sizes(Rest& arm, const std::string& endpoint, const std::string& subscription,
                                       const std::string& region, Duration timeout) {
  const std::string filter = http::encode_query({{"$filter", "location eq '" + region + "'"}});
  return read_pages(arm, endpoint,
                    endpoint + "/subscriptions/" + subscription +
                        "/providers/Microsoft.Compute/skus?api-version=2021-07-01&" + filter,
                    &parse_skus, Deadline(timeout));
}

Result<std::vector<Usage>> read_usages(Rest& arm, const std::string& endpoint, const std::string& subscription,
                                       const std::string& region, Duration timeout) {
  return read_pages(arm, endpoint,
                    endpoint + "/subscriptions/" + subscription + "/providers/Microsoft.Compute/locations/" + region +
                        "/usages?api-version=2024-07-01",
                    &parse_usages, Deadline(timeout));
}

}  // namespace slipway::cloud::azure
