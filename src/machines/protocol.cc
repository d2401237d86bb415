#include "machines/protocol.h"

#include <array>
#include <boost/json.hpp>
#include <utility>

#include "machines/json_values.h"

namespace slipway::machines {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<Call, std::string_view>, 14> calls = {{
    {Call::info, "info"},
    {Call::launch, "launch"},
    {Call::list, "list"},
    {Call::terminate, "terminate"},
    {Call::kill, "kill"},
    {Call::freeze, "freeze"},
    {Call::thaw, "thaw"},
    {Call::cut_off, "cut_off"},
    {Call::reconnect, "reconnect"},
    {Call::evict, "evict"},
    {Call::boot_trouble, "boot_trouble"},
    {Call::capacity, "capacity"},
    {Call::clear_trouble, "clear_trouble"},
    {Call::shutdown, "shutdown"},
}};

json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

json::object error_to_json(const Error& error) {
  return {{"code", view(to_string(error.code))}, {"message", error.message}};
}

Error error_from_json(const json::object& object) {
  Error error{error_code_value(object, "code", ErrorCode::permanent), text_value(object, "message"), std::nullopt};
  if (error.message.empty()) error.message = "the machine host refused without a reason";
  return error;
}

json::array texts(const std::vector<std::string>& values) {
  json::array array;
  array.reserve(values.size());
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

uint32_t count_value(const json::object& object, std::string_view key, uint32_t max) {
  return static_cast<uint32_t>(std::min<uint64_t>(unsigned_value(object, key), max));
}

const json::object* object_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(view(key));
  return value ? value->if_object() : nullptr;
}

std::string encode_result(json::object result) {
  return json::serialize(json::object{{"ok", true}, {"result", std::move(result)}});
}

Result<json::object> decode_result(std::string_view frame) {
  auto answer = parse_object(frame);
  if (!answer) return fail(ErrorCode::permanent, "the machine host's answer is " + answer.error().message);
  if (!bool_value(*answer, "ok")) {
    const json::object* error = object_value(*answer, "error");
    return fail(error_from_json(error ? *error : json::object()));
  }
  const json::object* result = object_value(*answer, "result");
  if (!result) return fail(ErrorCode::permanent, "the machine host's answer has no result");
  return *result;
}

json::object spec_to_json(const MachineSpec& spec) {
  json::array mounts;
  for (const Mount& mount : spec.mounts) {
    mounts.push_back(json::object{{"source", mount.source}, {"target", mount.target}, {"read_only", mount.read_only}});
  }
  return {{"role", spec.role},           {"pool", spec.pool},           {"image", spec.image},
          {"mounts", std::move(mounts)}, {"boot_data", spec.boot_data}, {"program", spec.program}};
}

MachineSpec spec_from_json(const json::object& object) {
  MachineSpec spec;
  spec.role = text_value(object, "role");
  spec.pool = text_value(object, "pool");
  spec.image = text_value(object, "image");
  spec.boot_data = text_value(object, "boot_data");
  spec.program = text_value(object, "program");
  const json::value* mounts = object.if_contains("mounts");
  if (!mounts || !mounts->is_array()) return spec;
  for (const json::value& entry : mounts->get_array()) {
    if (!entry.is_object()) continue;
    const json::object& mount = entry.get_object();
    spec.mounts.push_back({text_value(mount, "source"), text_value(mount, "target"), bool_value(mount, "read_only")});
  }
  return spec;
}

void add_terms(json::object& object, const LaunchTerms& terms) {
  object["address"] = terms.address;
  object["minimum"] = terms.minimum;
  object["market"] = view(model::to_string(terms.market));
  object["placement"] = terms.placement;
  json::array offers;
  for (const model::Offer& offer : terms.offers)
    offers.push_back(json::object{{"machine", offer.machine}, {"zone", offer.zone}});
  object["offers"] = std::move(offers);
}

model::Offer offer_from_json(const json::object& object) {
  return {text_value(object, "machine"), text_value(object, "zone")};
}

Result<LaunchTerms> terms_from_json(const json::object& object) {
  LaunchTerms terms;
  terms.address = text_value(object, "address");
  terms.minimum = count_value(object, "minimum", UINT32_MAX);
  terms.market = market_value(object, "market").value_or(model::Market::on_demand);
  terms.placement = text_value(object, "placement");
  const json::value* offers = object.if_contains("offers");
  if (!offers || !offers->is_array()) return terms;
  if (offers->get_array().size() > launch_offers_max)
    return fail(ErrorCode::bad_config, "a launch has at most " + std::to_string(launch_offers_max) + " offers");
  for (const json::value& entry : offers->get_array()) {
    if (!entry.is_object()) return fail(ErrorCode::bad_config, "an offer isn't a JSON object");
    terms.offers.push_back(offer_from_json(entry.get_object()));
  }
  return terms;
}

// The arguments of a launch that decode_request() hasn't read yet.
Result<void> read_launch(const json::object& object, Request& request) {
  if (const json::object* spec = object_value(object, "spec")) request.spec = spec_from_json(*spec);
  request.count = count_value(object, "count", UINT32_MAX);
  request.token = text_value(object, "token");
  auto terms = terms_from_json(object);
  if (!terms) return fail(terms.error());
  request.terms = std::move(*terms);
  if (request.count == 0 || request.count > launch_count_max) {
    return fail(ErrorCode::bad_config, "a launch is of 1 to " + std::to_string(launch_count_max) + " machines, not " +
                                           std::to_string(request.count));
  }
  if (request.terms.minimum > request.count) {
    return fail(ErrorCode::bad_config, "a launch of " + std::to_string(request.count) +
                                           " machines can't give at least " + std::to_string(request.terms.minimum));
  }
  return {};
}

}  // namespace

std::string encode(const Request& request) {
  json::object object;
  for (const auto& [call, name] : calls) {
    if (call == request.call) object["call"] = view(name);
  }
  if (!request.ids.empty()) object["ids"] = texts(request.ids);
  if (request.call == Call::launch) {
    object["spec"] = spec_to_json(request.spec);
    object["count"] = request.count;
    object["token"] = request.token;
    add_terms(object, request.terms);
  }
  if (request.call == Call::evict) object["notice_ms"] = request.notice.count();
  if (request.call == Call::capacity) object["limit"] = limit_to_json(request.limit);
  if (request.call == Call::boot_trouble) {
    object["pool"] = request.trouble.pool;
    object["delay_ms"] = request.trouble.delay.count();
    object["never"] = request.trouble.never;
    object["refuse"] = request.trouble.refuse;
  }
  return json::serialize(object);
}

Result<Request> decode_request(std::string_view frame) {
  auto object = parse_object(frame);
  if (!object) return fail(object.error());
  std::string name = text_value(*object, "call");
  Request request;
  bool known = false;
  for (const auto& [call, call_name] : calls) {
    if (call_name != name) continue;
    request.call = call;
    known = true;
  }
  if (!known) return fail(ErrorCode::bad_config, "no such call: '" + name + "'");
  request.ids = texts_value(*object, "ids");
  request.trouble.pool = text_value(*object, "pool");
  request.trouble.delay = Duration(count_value(*object, "delay_ms", INT32_MAX));
  request.trouble.never = count_value(*object, "never", UINT32_MAX);
  request.trouble.refuse = count_value(*object, "refuse", UINT32_MAX);
  request.notice = Duration(std::min<uint64_t>(unsigned_value(*object, "notice_ms"), eviction_notice_max.count()));
  if (request.call == Call::launch) {
    if (auto read = read_launch(*object, request); !read) return fail(read.error());
  }
  if (request.call == Call::capacity) {
    const json::object* described = object_value(*object, "limit");
    auto limit = limit_from_json(described ? *described : json::object());
    if (!limit) return fail(limit.error());
    request.limit = std::move(*limit);
  }
  return request;
}

std::string encode_done() {
  return encode_result({});
}

std::string encode_error(const Error& error) {
  return json::serialize(json::object{{"ok", false}, {"error", error_to_json(error)}});
}

std::string encode_info(const HostInfo& info) {
  return encode_result({{"cluster", info.cluster},
                        {"subnet", info.subnet},
                        {"gateway", info.gateway},
                        {"bridge", info.bridge},
                        {"build", info.build},
                        {"pid", info.pid}});
}

std::string encode_launch(const LaunchResult& result) {
  json::array refusals;
  for (const Refusal& refusal : result.refusals) {
    json::object object = error_to_json(refusal.error);
    object["machine"] = refusal.offer.machine;
    object["zone"] = refusal.offer.zone;
    refusals.push_back(std::move(object));
  }
  return encode_result({{"ids", texts(result.ids)}, {"refusals", std::move(refusals)}});
}

std::string encode_list(const std::vector<Machine>& machines) {
  json::array array;
  array.reserve(machines.size());
  for (const Machine& machine : machines) array.push_back(machine_to_json(machine));
  return encode_result({{"machines", std::move(array)}});
}

Result<void> decode_done(std::string_view frame) {
  auto result = decode_result(frame);
  if (!result) return fail(result.error());
  return {};
}

Result<HostInfo> decode_info(std::string_view frame) {
  auto result = decode_result(frame);
  if (!result) return fail(result.error());
  HostInfo info;
  info.cluster = text_value(*result, "cluster");
  info.subnet = text_value(*result, "subnet");
  info.gateway = text_value(*result, "gateway");
  info.bridge = text_value(*result, "bridge");
  info.build = text_value(*result, "build");
  info.pid = static_cast<int32_t>(count_value(*result, "pid", INT32_MAX));
  return info;
}

Result<LaunchResult> decode_launch(std::string_view frame) {
  auto result = decode_result(frame);
  if (!result) return fail(result.error());
  LaunchResult launch;
  launch.ids = texts_value(*result, "ids");
  const json::value* refusals = result->if_contains("refusals");
  if (!refusals || !refusals->is_array()) return launch;
  for (const json::value& entry : refusals->get_array()) {
    if (!entry.is_object())
      return fail(ErrorCode::permanent, "the machine host's answer has a refusal without a reason");
    launch.refusals.push_back({offer_from_json(entry.get_object()), error_from_json(entry.get_object())});
  }
  return launch;
}

Result<std::vector<Machine>> decode_list(std::string_view frame) {
  auto result = decode_result(frame);
  if (!result) return fail(result.error());
  const json::value* array = result->if_contains("machines");
  if (!array || !array->is_array())
    return fail(ErrorCode::permanent, "the machine host's answer has no list of machines");
  std::vector<Machine> machines;
  machines.reserve(array->get_array().size());
  for (const json::value& entry : array->get_array()) {
    if (!entry.is_object()) return fail(ErrorCode::permanent, "the machine host listed something that isn't a machine");
    auto machine = machine_from_json(entry.get_object());
    if (!machine) return fail(ErrorCode::permanent, "the machine host listed " + machine.error().message);
    machines.push_back(std::move(*machine));
  }
  return machines;
}

}  // namespace slipway::machines
