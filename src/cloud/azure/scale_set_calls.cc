#include "cloud/azure/scale_set_calls.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <utility>

#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

constexpr std::string_view compute_version = "api-version=2024-07-01";
constexpr std::string_view network_version = "api-version=2024-01-01";

Duration wait_of(const http::Response& response) {
  const std::string_view text = response.header("Retry-After");
  int64_t seconds = 2;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return Duration(1'000 * std::clamp<int64_t>(seconds, 1, 15));
}

}  // namespace

ScaleSetCalls::ScaleSetCalls(std::shared_ptr<Rest> arm, std::string endpoint, std::string subscription,
                             std::string resource_group)
    : arm_(std::move(arm)),
      endpoint_(std::move(endpoint)),
      group_("/subscriptions/" + std::move(subscription) + "/resourceGroups/" + std::move(resource_group)) {}

std::string ScaleSetCalls::set_id(std::string_view set) const {
  return group_ + "/providers/Microsoft.Compute/virtualMachineScaleSets/" + std::string(set);
}

std::string ScaleSetCalls::set_url(std::string_view set, std::string_view action) const {
  return endpoint_ + set_id(set) + std::string(action) + "?" + std::string(compute_version);
}

Result<http::Response> ScaleSetCalls::send(std::string method, std::string url, std::string body, http::Headers headers,
                                           const Deadline& deadline) const {
  if (deadline.over()) return fail(ErrorCode::transient, "no time left for " + method + " " + url);
  if (!body.empty()) headers.emplace_back("Content-Type", "application/json");
  return arm_->send({std::move(method), std::move(url), std::move(headers), std::move(body)}, deadline.left());
}

Result<ScaleSetCalls::Changed> ScaleSetCalls::change(std::string method, std::string url, std::string body,
                                                     http::Headers headers, const Deadline& deadline) const {
  const auto answer = send(std::move(method), std::move(url), std::move(body), std::move(headers), deadline);
  if (!answer) return fail(answer.error());
  Changed changed;
  if (!answer->body.empty()) {
    if (const auto view = parse_scale_set(answer->body)) changed.etag = view->etag;
  }
  std::string url_of_operation(answer->header("Azure-AsyncOperation"));
  if (url_of_operation.empty() && answer->status != 200) url_of_operation = answer->header("Location");
  if (is_of(endpoint_, url_of_operation)) changed.pending = {std::move(url_of_operation), wait_of(*answer)};
  return changed;
}

Result<std::vector<ScaleSetView>> ScaleSetCalls::sets(const Deadline& deadline) const {
  return read_pages(
      *arm_, endpoint_,
      endpoint_ + group_ + "/providers/Microsoft.Compute/virtualMachineScaleSets?" + std::string(compute_version),
      &parse_scale_sets, deadline);
}

Result<ScaleSetView> ScaleSetCalls::set(std::string_view name, const Deadline& deadline) const {
  const auto answer = send("GET", set_url(name, ""), {}, {}, deadline);
  if (!answer) return fail(answer.error());
  return parse_scale_set(answer->body);
}

Result<std::vector<VmView>> ScaleSetCalls::vms(std::string_view set, const Deadline& deadline) const {
  const std::string filter = "'virtualMachineScaleSet/id' eq '" + set_id(set) + "'";
  return read_pages(*arm_, endpoint_,
                    endpoint_ + group_ + "/providers/Microsoft.Compute/virtualMachines?" +
                        std::string(compute_version) + "&" +
                        http::encode_query({{"$filter", filter}, {"$expand", "instanceView"}}),
                    &parse_vms, deadline);
}

Result<std::vector<NicView>> ScaleSetCalls::nics(const Deadline& deadline) const {
  return read_pages(
      *arm_, endpoint_,
      endpoint_ + group_ + "/providers/Microsoft.Network/networkInterfaces?" + std::string(network_version),
      &parse_nics, deadline);
}

Result<ScaleSetCalls::Changed> ScaleSetCalls::make(std::string_view set, const std::string& body,
                                                   const Deadline& deadline) const {
  return change("PUT", set_url(set, ""), body, {{"If-None-Match", "*"}}, deadline);
}

Result<ScaleSetCalls::Changed> ScaleSetCalls::update(std::string_view set, const std::string& body,
                                                     const std::string& etag, const Deadline& deadline) const {
  http::Headers headers;
  if (!etag.empty()) headers.emplace_back("If-Match", etag);
  return change("PATCH", set_url(set, ""), body, std::move(headers), deadline);
}

Result<ScaleSetCalls::Changed> ScaleSetCalls::remove_vms(std::string_view set, const std::vector<std::string>& names,
                                                         const Deadline& deadline) const {
  boost::json::array ids;
  for (const std::string& name : names) ids.emplace_back(name);
  return change("POST", set_url(set, "/delete"), boost::json::serialize(boost::json::object{{"instanceIds", ids}}), {},
                deadline);
}

Result<ScaleSetCalls::Changed> ScaleSetCalls::remove_set(std::string_view set, const Deadline& deadline) const {
  return change("DELETE", set_url(set, ""), {}, {}, deadline);
}

Result<void> ScaleSetCalls::make_proximity(std::string_view name, const std::string& body,
                                           const Deadline& deadline) const {
  const auto answer = send("PUT",
                           endpoint_ + group_ + "/providers/Microsoft.Compute/proximityPlacementGroups/" +
                               std::string(name) + "?" + std::string(compute_version),
                           body, {}, deadline);
  if (!answer) return fail(answer.error());
  return {};
}

Result<ScaleSetCalls::Followed> ScaleSetCalls::follow(const std::string& url, const Deadline& deadline) const {
  const auto answer = send("GET", url, {}, {}, deadline);
  if (!answer) {
    if (answer.error().code != ErrorCode::not_found) return fail(answer.error());
    return Followed{};
  }
  if (auto view = parse_operation(answer->body)) return Followed{std::move(*view), wait_of(*answer)};
  // The older way (Location): 202 while it runs, anything else of 2xx when it is done.
  return Followed{{answer->status == 202, std::nullopt}, wait_of(*answer)};
}

}  // namespace slipway::cloud::azure
