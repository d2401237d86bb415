#include "cloud/azure/batch_api.h"

#include <utility>

#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

using Steady = std::chrono::steady_clock;

constexpr const char* api_version = "2024-07-01.20.0";
constexpr const char* json_type = "application/json; odata=minimalmetadata";
constexpr size_t pages_max = 1'000;  // of up to 1000 items; more is a service that never ends

std::string with_version(std::string path) {
  path += path.find('?') == std::string::npos ? '?' : '&';
  return path + "api-version=" + api_version;
}

std::string listing(const std::string& path, std::string_view select, std::string_view filter) {
  http::Query query{{"maxresults", "1000"}};
  if (!select.empty()) query.emplace_back("$select", select);
  if (!filter.empty()) query.emplace_back("$filter", filter);
  return path + "?" + http::encode_query(query);
}

}  // namespace

template <class Item>
Result<std::vector<Item>> BatchApi::list(std::string path, Result<BatchPage<Item>> (*parse)(std::string_view),
                                         Duration timeout) {
  const auto deadline = Steady::now() + timeout;
  std::vector<Item> items;
  std::string target = with_version(std::move(path));
  for (size_t page = 0; page < pages_max; ++page) {
    http::Request request;
    request.url = url_ + target;
    request.headers = {{"Accept", json_type}};
    auto response = rest_->send(std::move(request), std::chrono::duration_cast<Duration>(deadline - Steady::now()));
    if (!response) return fail(response.error());
    auto parsed = parse(response->body);
    if (!parsed) return fail(parsed.error());
    items.insert(items.end(), std::make_move_iterator(parsed->items.begin()),
                 std::make_move_iterator(parsed->items.end()));
    if (parsed->next.empty()) return items;
    // The account may be reached by another address than it calls itself; credentials go nowhere else.
    auto next = http::parse_url(parsed->next);
    if (!next) return fail(ErrorCode::transient, "a listing's next page: " + next.error().message);
    target = next->target;
  }
  return fail(ErrorCode::transient, "a listing of too many pages");
}

Result<std::vector<BatchPoolView>> BatchApi::pools(Duration timeout) {
  return list<BatchPoolView>(listing("/pools", batch_pool_select, ""), parse_batch_pools, timeout);
}

Result<std::vector<BatchNodeView>> BatchApi::nodes(const std::string& pool, bool failed, Duration timeout) {
  const std::string path = "/pools/" + http::encode(pool) + "/nodes";
  return list<BatchNodeView>(failed ? listing(path, batch_failed_node_select, "state eq 'starttaskfailed'")
                                    : listing(path, batch_node_select, ""),
                             parse_batch_nodes, timeout);
}

Result<std::vector<BatchImage>> BatchApi::images(Duration timeout) {
  return list<BatchImage>(listing("/supportedimages", "", ""), parse_batch_images, timeout);
}

Result<BatchApi::Taken> taken_or_not(const Result<http::Response>& response) {
  if (!response) return fail(response.error());
  const int status = response->status;
  if (status >= 200 && status < 300) return BatchApi::Taken::yes;
  Error error = error_of(status, response->headers, response->body);
  const bool changed = (status == 409 || status == 412) && error.code == ErrorCode::transient;
  const bool gone = error.message.starts_with("PoolNotFound") || error.message.starts_with("NodeNotFound");
  if (changed || gone) return BatchApi::Taken::conflict;
  // A gateway that gave up, or a service that broke off, says nothing about what was done.
  const bool gave_up = status == 502 || status == 504;
  const bool broke_off = (status == 408 || status == 500) && error.code == ErrorCode::transient;
  if (gave_up || broke_off) error.code = ErrorCode::outcome_unknown;
  return fail(std::move(error));
}

Result<BatchApi::Taken> BatchApi::change(const char* method, const std::string& path, const std::string& etag,
                                         const std::string& body, Duration timeout) {
  http::Request request{method, url_ + with_version(path), {{"Accept", json_type}}, body};
  if (!body.empty()) request.headers.emplace_back("Content-Type", json_type);
  if (!etag.empty()) request.headers.emplace_back("If-Match", etag);
  return taken_or_not(rest_->exchange(request, timeout));
}

Result<BatchApi::Taken> BatchApi::create(const std::string& body, Duration timeout) {
  return change("POST", "/pools", "", body, timeout);
}
Result<BatchApi::Taken> BatchApi::patch(const std::string& pool, const std::string& etag, const std::string& body,
                                        Duration timeout) {
  return change("PATCH", "/pools/" + http::encode(pool), etag, body, timeout);
}
Result<BatchApi::Taken> BatchApi::remove_pool(const std::string& pool, const std::string& etag, Duration timeout) {
  return change("DELETE", "/pools/" + http::encode(pool), etag, "", timeout);
}
Result<BatchApi::Taken> BatchApi::resize(const std::string& pool, const std::string& etag, const std::string& body,
                                         Duration timeout) {
  return change("POST", "/pools/" + http::encode(pool) + "/resize", etag, body, timeout);
}
Result<BatchApi::Taken> BatchApi::stop_resize(const std::string& pool, Duration timeout) {
  return change("POST", "/pools/" + http::encode(pool) + "/stopresize", "", "", timeout);
}
Result<BatchApi::Taken> BatchApi::remove_nodes(const std::string& pool, const std::string& etag,
                                               const std::string& body, Duration timeout) {
  return change("POST", "/pools/" + http::encode(pool) + "/removenodes", etag, body, timeout);
}

}  // namespace slipway::cloud::azure
