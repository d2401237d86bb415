#include "rehearse/azure/operations.h"

#include <boost/json.hpp>

#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

namespace {
constexpr size_t ended_max = 10'000;
}

std::string Operations::begin(const std::string& subscription, const std::string& region) {
  const std::string id = core_.uuid();
  operations_[id] = {.subscription = subscription, .region = region, .began = core_.clock.now()};
  return id;
}

void Operations::end(const std::string& id, const char* status, const std::string& code, const std::string& message) {
  const auto found = operations_.find(id);
  if (found == operations_.end() || found->second.status != "InProgress") return;
  found->second.status = status;
  found->second.code = code;
  found->second.message = message;
  found->second.ended = core_.clock.now();
  ended_.push_back(id);
  if (ended_.size() > ended_max) {
    operations_.erase(ended_.front());
    ended_.pop_front();
  }
}

bool Operations::running(const std::string& id) const {
  const auto found = operations_.find(id);
  return found != operations_.end() && found->second.status == "InProgress";
}

void Operations::tell(http::Response& response, const std::string& id, const std::string& version) const {
  const auto found = operations_.find(id);
  if (found == operations_.end()) return;
  const std::string url = core_.arm_url + "/subscriptions/" + found->second.subscription +
                          "/providers/Microsoft.Compute/locations/" + found->second.region + "/operations/" + id + "?";
  response.headers.emplace_back("Azure-AsyncOperation", url + "api-version=" + version);
  if (response.status == 202) {
    response.headers.emplace_back("Location", url + "monitor=true&api-version=" + version);
  }
  response.headers.emplace_back("Retry-After", "1");
}

http::Response Operations::get(const std::string& id, bool monitor, const std::string& version) const {
  const auto found = operations_.find(id);
  if (found == operations_.end()) {
    return arm_error(404, "NotFound", "The entity was not found: operation " + id + ".");
  }
  const One& one = found->second;
  const bool runs = one.status == "InProgress";
  if (monitor && runs) {
    http::Response response = empty_reply(202);
    tell(response, id, version);
    return response;
  }
  if (monitor && one.status != "Succeeded") return arm_error(409, one.code, one.message);
  if (monitor) return empty_reply(204);
  json::object body{{"name", id}, {"startTime", to_iso8601(one.began)}, {"status", one.status}};
  if (!runs) body["endTime"] = to_iso8601(one.ended);
  if (!one.code.empty()) body["error"] = {{"code", one.code}, {"message", one.message}};
  http::Response response = json_reply(200, body);
  if (runs) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace slipway::rehearse::azure
