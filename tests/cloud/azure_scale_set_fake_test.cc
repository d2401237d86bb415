// The fake itself, and proof that it is strict where the provider relies on it.
#include "azure_scale_set_fake.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdio>
#include <future>

#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  for (const char c : path) {
    if (c == '/') {
      parts.emplace_back();
    } else if (!parts.empty()) {
      parts.back() += c;
    }
  }
  return parts;
}

http::Response answer_with(int status, const json::value& body) {
  return {status, {{"Content-Type", "application/json"}}, json::serialize(body)};
}
http::Response refuse_with(int status, const std::string& code, const std::string& message = "as the test wants it") {
  return answer_with(status, {{"error", {{"code", code}, {"message", message}}}});
}

const std::string group = "/subscriptions/sub-1/resourceGroups/rg-1";

}  // namespace

FakeCompute::FakeCompute() {
  server_ = std::make_unique<http::Server>(
      loop_, http::ServerOptions{},
      [this](http::Asked asked, http::Answer answer) { handle(std::move(asked), std::move(answer)); });
  http::Door door;
  door.listen = "127.0.0.1:0";
  auto opened = server_->add(std::move(door));
  EXPECT_TRUE(opened) << opened.error().message;
  port_ = opened ? opened->port : 0;
  thread_ = std::thread([this] { loop_.run(); });
}

FakeCompute::~FakeCompute() {
  loop_.stop();
  thread_.join();
  server_.reset();
}

void FakeCompute::handle(http::Asked asked, http::Answer answer) {
  const std::lock_guard lock(mutex_);
  if (down) return;
  const auto target = http::parse_target(asked.target);
  if (!target) return answer(refuse_with(400, "BadRequest"));
  std::map<std::string, std::string> query(target->query.begin(), target->query.end());
  const std::vector<std::string> path = split(target->path);
  const std::string last = path.empty() ? "" : path.back();
  std::string what = asked.method + " " + (path.size() > 2 ? path[path.size() - 2] : last);
  if (last == "virtualMachineScaleSets" || last == "virtualMachines" || last == "networkInterfaces") what = last;
  if (last == "delete") what = "delete";
  if (path.size() > 1 && path[path.size() - 2] == "operations") what = "operation";
  ++calls_[what];
  if (what != "operation" && query["api-version"].empty())
    return answer(refuse_with(400, "MissingApiVersionParameter"));
  if (http::find_header(asked.headers, "Authorization") != "Bearer test")
    return answer(refuse_with(401, "AuthenticationFailed"));
  if (refuse == what) {
    refuse.clear();
    http::Response response = refuse_with(refuse_status, refuse_code);
    if (refuse_status == 429) response.headers.emplace_back("Retry-After", "17");
    return answer(response);
  }
  if (meddle == what) {
    meddle.clear();
    for (auto& [name, set] : sets) ++set.version;
  }
  bodies[what] = asked.body;
  http::Response response = respond(asked, what, path, query);
  if (lose == what) {
    lose.clear();
    if (refuse_status == 500) return answer(refuse_with(500, "InternalServerError"));
    return;
  }
  answer(std::move(response));
}

http::Response FakeCompute::respond(const http::Asked& asked, const std::string& what,
                                    const std::vector<std::string>& path,
                                    const std::map<std::string, std::string>& query) {
  const auto paged = [&](const std::vector<std::string>& names, auto&& json_of) {
    size_t from = query.contains("$skiptoken") ? std::stoul(query.at("$skiptoken")) : 0;
    std::string text = "{\"value\":[";
    size_t at = from;
    for (; at < names.size() && at < from + page; ++at) text += (at > from ? "," : "") + json_of(names[at]);
    text += "]";
    if (at < names.size()) {
      std::string next = asked.target.substr(0, asked.target.find("&$skiptoken"));
      text += ",\"nextLink\":\"" + url() + next + "&$skiptoken=" + std::to_string(at) + "\"";
    }
    return http::Response{200, {}, text + "}"};
  };
  const std::string name = path.size() > 7 ? path[7] : "";
  if (what == "virtualMachineScaleSets") {
    std::vector<std::string> names;
    for (const auto& [one, set] : sets) names.push_back(one);
    return paged(names, [&](const std::string& one) { return set_json(one); });
  }
  if (what == "virtualMachines") {
    const std::string filter = query.contains("$filter") ? query.at("$filter") : "";
    std::vector<std::string> names;
    for (const auto& [one, vm] : vms) {
      if (filter == "'virtualMachineScaleSet/id' eq '" + group +
                        "/providers/Microsoft.Compute/virtualMachineScaleSets/" + vm.set + "'")
        names.push_back(one);
    }
    names.resize(names.size() - std::min(names.size(), vms_lag));
    return paged(names, [&](const std::string& one) { return vm_json(one); });
  }
  if (what == "networkInterfaces") {
    std::vector<std::string> names;
    for (const auto& [one, vm] : vms) names.push_back(one);
    if (nics_lag) names.clear();
    return paged(names, [&](const std::string& one) {
      const uint32_t n = vms.at(one).number;
      const std::string address = "10.0." + std::to_string(n / 250) + "." + std::to_string(n % 250 + 1);
      const json::object configuration{{"properties", {{"primary", true}, {"privateIPAddress", address}}}};
      const json::object vm{{"id", group + "/providers/Microsoft.Compute/VIRTUALMACHINES/" + one}};
      return json::serialize(
          json::object{{"name", one + "-nic"},
                       {"properties", {{"virtualMachine", vm}, {"ipConfigurations", json::array{configuration}}}}});
    });
  }
  if (what == "operation") {
    const auto found = operations.find(path.back());
    if (found == operations.end()) return refuse_with(404, "NotFound");
    if (!found->second.over) return answer_with(200, {{"name", found->first}, {"status", "InProgress"}});
    if (found->second.error.empty()) return answer_with(200, {{"name", found->first}, {"status", "Succeeded"}});
    return {200, {}, "{\"status\":\"Failed\",\"error\":" + found->second.error + "}"};
  }
  if (what == "PUT proximityPlacementGroups") return answer_with(200, json::object{});
  if (what == "PUT virtualMachineScaleSets") return change(asked, name, true);
  if (!sets.contains(name)) return refuse_with(404, "ResourceNotFound");
  if (what == "GET virtualMachineScaleSets") return {200, {}, set_json(name)};
  if (what == "PATCH virtualMachineScaleSets") return change(asked, name, false);
  if (what == "DELETE virtualMachineScaleSets") {
    if (vms_of_locked(name) > 0) return refuse_with(409, "OperationNotAllowed");
    sets.erase(name);
    return {202, {{"Location", begin({.set = name, .over = true})}}, ""};
  }
  if (what == "delete") {
    Operation operation{.set = name};
    const json::value body = json::parse(asked.body);
    const json::array& ids = body.at("instanceIds").as_array();
    if (ids.size() > 1'000) return refuse_with(400, "InvalidParameter");
    for (const json::value& id : ids) {
      const auto vm = vms.find(std::string(id.as_string()));
      if (vm == vms.end() || vm->second.set != name) return refuse_with(400, "InvalidParameter", "no such instance");
      operation.removes.push_back(vm->first);
    }
    Set& set = sets.at(name);
    for (const std::string& vm : operation.removes) {
      if (std::exchange(vms.at(vm).state, "Deleting") != "Deleting" && set.capacity > 0) --set.capacity;
    }
    ++set.version;
    return {202, {{"Azure-AsyncOperation", begin(std::move(operation))}}, ""};
  }
  return refuse_with(400, "BadRequest");
}

http::Response FakeCompute::change(const http::Asked& asked, const std::string& name, bool make) {
  const json::object body = json::parse(asked.body).as_object();
  const auto found = sets.find(name);
  const std::string if_match(http::find_header(asked.headers, "If-Match"));
  if (make && found != sets.end() && http::find_header(asked.headers, "If-None-Match") == "*")
    return refuse_with(412, "PreconditionFailed");
  if (!make && !if_match.empty() && if_match != "\"" + std::to_string(found->second.version) + "\"")
    return refuse_with(412, "PreconditionFailed");
  Set& set = sets[name];
  if (make) set.body = asked.body;
  ++set.version;
  if (const json::value* tags = body.if_contains("tags")) {
    set.tags.clear();
    for (const auto& [key, value] : tags->as_object()) set.tags[std::string(key)] = std::string(value.as_string());
  }
  Operation operation{.set = name};
  if (const json::value* sku = body.if_contains("sku")) {
    set.size = std::string(sku->at("name").as_string());
    if (const json::value* capacity = sku->as_object().if_contains("capacity"))
      set.capacity = static_cast<uint32_t>(capacity->as_int64());
  }
  // Lowered: the service chooses who goes.
  for (auto vm = vms.begin(); vm != vms.end() && vms_of_locked(name) > set.capacity;) {
    vm = vm->second.set == name && vm->second.state != "Deleting" ? vms.erase(vm) : std::next(vm);
  }
  const bool grows = vms_of_locked(name) < set.capacity;
  for (auto& [id, other] : operations) {  // a later one takes an earlier one's place
    if (other.set == name && !other.over && other.removes.empty() && grows) {
      other.over = true;
      other.error = R"({"code":"OperationPreempted","message":"preempted by a more recent operation"})";
    }
  }
  if (grows) {
    set.state = "Updating";
    if (!hold) grow(name, operation);
  }
  operation.over = !grows || !hold;
  http::Response response{200, {}, set_json(name)};
  response.headers.emplace_back("Azure-AsyncOperation", begin(std::move(operation)));
  return response;
}

void FakeCompute::grow(const std::string& name, Operation& operation) {
  Set& set = sets.at(name);
  const json::value body = json::parse(set.body);
  const json::object& properties = body.at("properties").as_object();
  const bool spot = body.at("properties").at("virtualMachineProfile").at("priority").as_string() == "Spot";
  uint32_t regular = spot ? 0 : UINT32_MAX;
  if (const json::value* mix = properties.if_contains("priorityMixPolicy"))
    regular = static_cast<uint32_t>(mix->at("baseRegularPriorityCount").as_int64());
  uint32_t count = static_cast<uint32_t>(vms_of_locked(name));
  bool failed = false;
  for (; count < set.capacity; ++count) {
    const bool fits = vms.size() < room;
    failed |= !fits;
    if (!fits && !failed_vms_stay) break;
    char suffix[16];
    std::snprintf(suffix, sizeof(suffix), "_%08x", next_);
    Vm vm{.set = name, .spot = count >= regular, .number = next_++};
    if (!fits) {
      vm.state = "Failed";
      vm.power = "";
      vm.failure = failure_code;
    }
    if (const json::value* zones = body.as_object().if_contains("zones"))
      vm.zone = std::string(zones->as_array()[count % zones->as_array().size()].as_string());
    vms[name + suffix] = std::move(vm);
  }
  set.state = failed ? "Failed" : "Succeeded";
  if (failed) {
    operation.error = json::serialize(
        json::object{{"code", "Conflict"},
                     {"message", "The scale set couldn't be scaled"},
                     {"details", json::array{json::object{{"code", failure_code}, {"message", "no room"}}}}});
  }
}

void FakeCompute::finish() {
  const std::lock_guard lock(mutex_);
  for (auto& [id, operation] : operations) {
    for (const std::string& vm : operation.removes) vms.erase(vm);
    if (operation.over) continue;
    operation.over = true;
    const auto set = sets.find(operation.set);
    if (set != sets.end() && operation.removes.empty()) grow(operation.set, operation);
  }
}

std::string FakeCompute::begin(Operation operation) {
  const std::string id = "op-" + std::to_string(next_++);
  operations[id] = std::move(operation);
  return url() + "/subscriptions/sub-1/providers/Microsoft.Compute/locations/westeurope/operations/" + id +
         "?api-version=2024-07-01";
}

size_t FakeCompute::vms_of(const std::string& set) {
  const std::lock_guard lock(mutex_);
  return vms_of_locked(set);
}

size_t FakeCompute::vms_of_locked(const std::string& set) const {
  size_t count = 0;
  for (const auto& [name, vm] : vms) count += vm.set == set && vm.state != "Deleting" ? 1 : 0;
  return count;
}

std::string FakeCompute::any_vm(const std::string& set) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, vm] : vms) {
    if (vm.set == set) return name;
  }
  return {};
}

std::string FakeCompute::set_json(const std::string& name) const {
  const Set& set = sets.at(name);
  json::object tags;
  for (const auto& [key, value] : set.tags) tags[key] = value;
  json::object sku{{"name", set.size}, {"tier", "Standard"}};
  if (!uncounted) sku["capacity"] = set.capacity;
  return json::serialize(
      json::object{{"name", name},
                   {"id", group + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + name},
                   {"tags", tags},
                   {"etag", "\"" + std::to_string(set.version) + "\""},
                   {"sku", sku},
                   {"properties", {{"provisioningState", set.state}, {"orchestrationMode", set.orchestration}}}});
}

std::string FakeCompute::vm_json(const std::string& name) const {
  const Vm& vm = vms.at(name);
  json::array statuses{json::object{
      {"code", vm.failure.empty() ? "ProvisioningState/" + vm.state : "ProvisioningState/failed/" + vm.failure}}};
  if (!vm.power.empty()) statuses.push_back(json::object{{"code", "PowerState/" + vm.power}});
  json::object object{{"name", name},
                      {"id", group + "/providers/Microsoft.Compute/virtualMachines/" + name},
                      {"properties",
                       {{"vmId", "ABCD0000-0000-0000-0000-" + name.substr(name.size() - 8)},
                        {"provisioningState", vm.state},
                        {"priority", vm.spot ? "Spot" : "Regular"},
                        {"timeCreated", "2026-11-22T10:00:00.5+00:00"},
                        {"hardwareProfile", {{"vmSize", sets.contains(vm.set) ? sets.at(vm.set).size : ""}}},
                        {"instanceView", {{"statuses", statuses}}}}}};
  if (!vm.zone.empty()) object["zones"] = json::array{json::string(vm.zone)};
  return json::serialize(object);
}

TEST(FakeCompute, IsStrict) {
  FakeCompute fake;
  http::Client client;
  const std::string base = fake.url() + group + "/providers/Microsoft.Compute/virtualMachineScaleSets/s";
  const auto ask = [&](std::string method, const std::string& url, http::Headers headers, std::string body) {
    auto response = client.send({std::move(method), url, std::move(headers), std::move(body)}, Duration(5'000));
    return response ? response->status : 0;
  };
  const std::pair<std::string, std::string> token{"Authorization", "Bearer test"};
  const std::string body =
      R"({"sku":{"name":"x","capacity":0},"properties":{"virtualMachineProfile":{"priority":"Regular"}}})";
  EXPECT_EQ(ask("PUT", base + "?api-version=1", {}, body), 401);
  EXPECT_EQ(ask("PUT", base, {token}, body), 400);
  EXPECT_EQ(ask("PUT", base + "?api-version=1", {token}, body), 200);
  EXPECT_EQ(ask("PUT", base + "?api-version=1", {token, {"If-None-Match", "*"}}, body), 412);
  EXPECT_EQ(
      ask("PATCH", base + "?api-version=1", {token, {"If-Match", "\"77\""}}, R"({"sku":{"name":"x","capacity":1}})"),
      412);
  EXPECT_EQ(ask("POST", base + "/delete?api-version=1", {token}, R"({"instanceIds":["nobody"]})"), 400);
}

}  // namespace slipway::cloud::azure
