#include "cloud/azure/compute_parse.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>

#include "cloud/azure/json_values.h"
#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
Failure strange(const std::string& what) {
  return fail(ErrorCode::transient, "Azure's answer isn't what its description says: " + what);
}

const json::object& child(const json::object& object, std::string_view key) {
  static const json::object none;
  const json::object* value = object_value(object, key);
  return value == nullptr ? none : *value;
}

bool starts_with(std::string_view text, std::string_view start) {
  return text.size() >= start.size() && lower_case(text.substr(0, start.size())) == start;
}

Result<ScaleSetView> scale_set_of(const json::object& object) {
  ScaleSetView view;
  view.name = text_value(object, "name");
  view.id = text_value(object, "id");
  if (view.name.empty()) return strange("a scale set without a name");
  const json::object& sku = child(object, "sku");
  view.sku = text_value(sku, "name");
  // Other people's sets in the group may have none.
  const json::value* capacity = sku.if_contains("capacity");
  view.capacity = count_value(sku, "capacity");
  view.counted = capacity != nullptr && capacity->is_int64() && capacity->get_int64() == view.capacity;
  view.etag = text_value(object, "etag");
  for (const auto& [key, value] : child(object, "tags")) {
    if (value.is_string()) view.tags[lower_case(key)] = std::string(value.get_string());
  }
  const json::object& properties = child(object, "properties");
  view.provisioning_state = text_value(properties, "provisioningState");
  view.flexible = text_value(properties, "orchestrationMode") == "Flexible";
  return view;
}

Result<VmView> vm_of(const json::object& object) {
  VmView view;
  view.name = text_value(object, "name");
  view.id = text_value(object, "id");
  if (view.name.empty()) return strange("a virtual machine without a name");
  const json::object& properties = child(object, "properties");
  view.vm_id = lower_case(text_value(properties, "vmId"));
  view.provisioning_state = text_value(properties, "provisioningState");
  view.spot = text_value(properties, "priority") == "Spot" || text_value(properties, "priority") == "Low";
  view.size = text_value(child(properties, "hardwareProfile"), "vmSize");
  view.created_at = parse_time(text_value(properties, "timeCreated"));
  const json::value* zones = object.if_contains("zones");
  if (zones != nullptr && zones->is_array() && !zones->get_array().empty() && zones->get_array()[0].is_string())
    view.zone = std::string(zones->get_array()[0].get_string());
  for_each_object(child(properties, "instanceView"), "statuses", [&](const json::object& status) {
    const std::string code = text_value(status, "code");
    constexpr std::string_view power = "powerstate/";
    constexpr std::string_view failed = "provisioningstate/failed";
    if (starts_with(code, power)) view.power = lower_case(std::string_view(code).substr(power.size()));
    if (starts_with(code, failed)) {
      view.failure_code = code.size() > failed.size() ? code.substr(failed.size() + 1) : "";
      view.failure_message = text_value(status, "message");
    }
  });
  return view;
}

Result<NicView> nic_of(const json::object& object) {
  NicView view;
  const json::object& properties = child(object, "properties");
  view.vm = lower_case(text_value(child(properties, "virtualMachine"), "id"));
  bool primary = false;
  for_each_object(properties, "ipConfigurations", [&](const json::object& configuration) {
    const json::object& one = child(configuration, "properties");
    const bool first = bool_value(one, "primary");
    if (primary || (!first && !view.address.empty())) return;
    primary = first;
    view.address = text_value(one, "privateIPAddress");
  });
  return view;
}

template <class Item>
Result<Page<Item>> page_of(std::string_view body, Result<Item> (*item_of)(const json::object&)) {
  Result<json::object> object = parse_object(body);
  if (!object) return fail(object.error());
  const json::value* items = object->if_contains("value");
  if (items == nullptr || !items->is_array()) return strange("a list without \"value\"");
  Page<Item> page;
  page.items.reserve(items->get_array().size());
  for (const json::value& value : items->get_array()) {
    if (!value.is_object()) return strange("a list of something else than objects");
    Result<Item> item = item_of(value.get_object());
    if (!item) return fail(item.error());
    page.items.push_back(std::move(*item));
  }
  page.next = text_value(*object, "nextLink");
  return page;
}

struct Said {
  std::string code;
  std::string message;
  ErrorCode means = ErrorCode::transient;
};

// Azure wraps: "DeploymentFailed" around "Conflict" around "AllocationFailed". The innermost with a meaning counts.
void unwrap(const json::object& error, Said& said, int depth) {
  const std::string code = text_value(error, "code");
  const std::string message = text_value(error, "message");
  ErrorCode means = error_code_of(code, message);
  if (means == ErrorCode::permanent) means = ErrorCode::transient;  // unknown: the next attempt will tell
  if (!code.empty() && (means != ErrorCode::transient || said.means == ErrorCode::transient))
    said = {code, message.empty() ? said.message : message, means};
  if (depth == 0) return;
  for_each_object(error, "details", [&](const json::object& detail) { unwrap(detail, said, depth - 1); });
  if (const json::object* inner = object_value(error, "innererror")) unwrap(*inner, said, depth - 1);
}

bool number(std::string_view text, size_t at, size_t digits, int& value) {
  if (at + digits > text.size()) return false;
  const char* first = text.data() + at;
  if (*first < '0' || *first > '9') return false;
  const auto [end, error] = std::from_chars(first, first + digits, value);
  return error == std::errc() && end == first + digits;
}

}  // namespace

std::string lower_case(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

TimePoint parse_time(std::string_view text) {
  std::tm parts{};
  if (!number(text, 0, 4, parts.tm_year) || !number(text, 5, 2, parts.tm_mon) || !number(text, 8, 2, parts.tm_mday) ||
      !number(text, 11, 2, parts.tm_hour) || !number(text, 14, 2, parts.tm_min) || !number(text, 17, 2, parts.tm_sec))
    return {};
  if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':') return {};
  if (parts.tm_year < 1970 || parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 ||
      parts.tm_hour > 23 || parts.tm_min > 59 || parts.tm_sec > 60)
    return {};
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  size_t at = 19;
  int64_t milliseconds = 0;
  if (at < text.size() && text[at] == '.') {
    int64_t scale = 100;
    for (++at; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      milliseconds += (text[at] - '0') * scale;
  }
  int64_t offset = 0;  // minutes
  if (at < text.size() && (text[at] == '+' || text[at] == '-')) {
    int hours = 0;
    int minutes = 0;
    if (!number(text, at + 1, 2, hours) || !number(text, at + 4, 2, minutes)) return {};
    offset = (text[at] == '-' ? -1 : 1) * (hours * 60 + minutes);
  }
  return TimePoint(Duration((static_cast<int64_t>(timegm(&parts)) - offset * 60) * 1000 + milliseconds));
}

Result<ScaleSetView> parse_scale_set(std::string_view body) {
  Result<json::object> object = parse_object(body);
  if (!object) return fail(object.error());
  return scale_set_of(*object);
}
Result<Page<ScaleSetView>> parse_scale_sets(std::string_view body) {
  return page_of<ScaleSetView>(body, scale_set_of);
}
Result<Page<VmView>> parse_vms(std::string_view body) {
  return page_of<VmView>(body, vm_of);
}
Result<Page<NicView>> parse_nics(std::string_view body) {
  return page_of<NicView>(body, nic_of);
}

Result<OperationView> parse_operation(std::string_view body) {
  Result<json::object> object = parse_object(body);
  if (!object) return fail(object.error());
  const std::string status = text_value(*object, "status");
  if (status.empty()) return strange("an operation without a status");
  OperationView view;
  view.running = status != "Succeeded" && status != "Failed" && status != "Canceled";
  if (view.running || status == "Succeeded") return view;
  Said said;
  unwrap(child(*object, "error"), said, 4);
  const bool preempted = said.code == "OperationPreempted" || said.message.find("preempted") != std::string::npos ||
                         (status == "Canceled" && said.code.empty());
  if (!preempted) view.failure = Error{said.means, azure_error_text(said.code, said.message)};
  return view;
}

}  // namespace slipway::cloud::azure
