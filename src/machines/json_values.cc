#include "machines/json_values.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>

namespace slipway::machines {
namespace {

namespace json = boost::json;
constexpr std::array states = {MachineState::starting, MachineState::running, MachineState::frozen, MachineState::gone};
constexpr std::array codes = {ErrorCode::not_found, ErrorCode::no_capacity, ErrorCode::quota,
                              ErrorCode::throttled, ErrorCode::denied,      ErrorCode::bad_config,
                              ErrorCode::transient, ErrorCode::permanent,   ErrorCode::outcome_unknown};

json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

std::string_view to_string(MachineState state) {
  switch (state) {
    case MachineState::starting:
      return "starting";
    case MachineState::running:
      return "running";
    case MachineState::frozen:
      return "frozen";
    case MachineState::gone:
      return "gone";
  }
  return "gone";
}

Result<json::object> parse_object(std::string_view text) {
  json::error_code error;
  json::value value = json::parse(view(text), error);
  if (error) return fail(ErrorCode::bad_config, "not JSON: " + error.message());
  if (!value.is_object()) return fail(ErrorCode::bad_config, "not a JSON object");
  return std::move(value.as_object());
}

std::string text_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(view(key));
  return value && value->is_string() ? std::string(value->get_string()) : std::string();
}

int64_t integer_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(view(key));
  return value && value->is_int64() ? value->get_int64() : 0;
}

uint64_t unsigned_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(view(key));
  if (value && value->is_uint64()) return value->get_uint64();
  return value && value->is_int64() && value->get_int64() > 0 ? static_cast<uint64_t>(value->get_int64()) : 0;
}

bool bool_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(view(key));
  return value && value->is_bool() && value->get_bool();
}

std::vector<std::string> texts_value(const json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  const json::value* value = object.if_contains(view(key));
  if (!value || !value->is_array()) return texts;
  for (const json::value& entry : value->get_array()) {
    if (entry.is_string()) texts.emplace_back(entry.get_string());
  }
  return texts;
}

ErrorCode error_code_value(const json::object& object, std::string_view key, ErrorCode otherwise) {
  std::string name = text_value(object, key);
  for (ErrorCode code : codes) {
    if (to_string(code) == name) return code;
  }
  return otherwise;
}

std::optional<model::Market> market_value(const json::object& object, std::string_view key) {
  std::string name = text_value(object, key);
  for (model::Market market : {model::Market::on_demand, model::Market::spot}) {
    if (model::to_string(market) == name) return market;
  }
  return std::nullopt;
}

json::object limit_to_json(const CapacityLimit& limit) {
  json::object object{{"pool", limit.pool},
                      {"market", limit.market ? view(model::to_string(*limit.market)) : json::string_view()},
                      {"machine", limit.machine},
                      {"zone", limit.zone},
                      {"error", view(to_string(limit.error))}};
  if (limit.most) object["most"] = *limit.most;
  return object;
}

Result<CapacityLimit> limit_from_json(const json::object& object) {
  CapacityLimit limit;
  limit.pool = text_value(object, "pool");
  limit.market = market_value(object, "market");
  if (!limit.market && !text_value(object, "market").empty())
    return fail(ErrorCode::bad_config, "no such market: '" + text_value(object, "market") + "'");
  limit.machine = text_value(object, "machine");
  limit.zone = text_value(object, "zone");
  if (object.contains("most"))
    limit.most = static_cast<uint32_t>(std::min<uint64_t>(unsigned_value(object, "most"), UINT32_MAX));
  // A limit with a reason that no provider gives would rehearse what can't happen.
  limit.error = error_code_value(object, "error", ErrorCode::permanent);
  if (std::find(refusal_codes.begin(), refusal_codes.end(), limit.error) == refusal_codes.end())
    return fail(ErrorCode::bad_config, "no provider refuses a launch with '" + text_value(object, "error") + "'");
  return limit;
}

json::object machine_to_json(const Machine& machine) {
  return {{"id", machine.id},
          {"role", machine.role},
          {"pool", machine.pool},
          {"token", machine.launch_token},
          {"state", view(to_string(machine.state))},
          {"address", machine.address},
          {"pid", machine.pid},
          {"launched_at", machine.launched_at.time_since_epoch().count()},
          {"cut_off", machine.cut_off},
          {"end", machine.end},
          {"market", view(model::to_string(machine.market))},
          {"machine", machine.offer.machine},
          {"zone", machine.offer.zone},
          {"placement", machine.placement},
          {"evict_at", machine.evict_at.time_since_epoch().count()}};
}

Result<Machine> machine_from_json(const json::object& object) {
  Machine machine;
  machine.id = text_value(object, "id");
  if (machine.id.empty()) return fail(ErrorCode::bad_config, "a machine without an id");
  std::string state = text_value(object, "state");
  bool known = false;
  for (MachineState candidate : states) {
    if (to_string(candidate) != state) continue;
    machine.state = candidate;
    known = true;
  }
  if (!known) return fail(ErrorCode::bad_config, "a machine of unknown state '" + state + "'");
  machine.role = text_value(object, "role");
  machine.pool = text_value(object, "pool");
  machine.launch_token = text_value(object, "token");
  machine.address = text_value(object, "address");
  int64_t pid = integer_value(object, "pid");
  machine.pid = pid > 0 && pid <= INT32_MAX ? static_cast<int32_t>(pid) : 0;
  machine.launched_at = TimePoint(Duration(integer_value(object, "launched_at")));
  machine.cut_off = bool_value(object, "cut_off");
  machine.end = text_value(object, "end");
  machine.market = market_value(object, "market").value_or(model::Market::on_demand);
  machine.offer = {text_value(object, "machine"), text_value(object, "zone")};
  machine.placement = text_value(object, "placement");
  machine.evict_at = TimePoint(Duration(integer_value(object, "evict_at")));
  return machine;
}

}  // namespace slipway::machines
