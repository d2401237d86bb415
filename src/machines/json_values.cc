#include "machines/json_values.h"

#include <array>
#include <boost/json.hpp>

namespace slipway::machines {
namespace {

namespace json = boost::json;
constexpr std::array states = {MachineState::starting, MachineState::running, MachineState::frozen, MachineState::gone};

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
          {"end", machine.end}};
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
  return machine;
}

}  // namespace slipway::machines
