#include "agent/imds.h"

#include <strings.h>
#include <time.h>

#include <boost/json.hpp>

#include "http/client.h"
#include "http/url.h"

namespace slipway::agent {

namespace json = boost::json;

namespace {

constexpr size_t answer_bytes_max = 1 << 20;
constexpr size_t events_max = 1000;
constexpr size_t resources_max = 2000;  // a scale set has at most 1000 machines
constexpr size_t name_bytes_max = 256;

// What a token is for: the Resource Manager of each cloud.
const char* resource_of(std::string_view cloud) {
  if (cloud == "AzureUSGovernmentCloud") return "https://management.usgovcloudapi.net/";
  if (cloud == "AzureChinaCloud") return "https://management.chinacloudapi.cn/";
  return "https://management.azure.com/";
}

Failure malformed(const std::string& what) {
  return fail(ErrorCode::transient, "the metadata service's answer is " + what);
}

Result<json::object> parse_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = 16;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return malformed("not JSON: " + error.message());
  if (!value.is_object()) return malformed("not a JSON object");
  return std::move(value.get_object());
}

const json::object* object_at(const json::object* object, const char* key) {
  const json::value* value = object == nullptr ? nullptr : object->if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}
const json::array* array_at(const json::object* object, const char* key) {
  const json::value* value = object == nullptr ? nullptr : object->if_contains(key);
  return value == nullptr ? nullptr : value->if_array();
}
std::string text_at(const json::object* object, const char* key, size_t bytes_max) {
  const json::value* value = object == nullptr ? nullptr : object->if_contains(key);
  const json::string* text = value == nullptr ? nullptr : value->if_string();
  if (text == nullptr || text->size() > bytes_max) return {};
  return std::string(text->data(), text->size());
}

// "Mon, 19 Sep 2016 18:29:47 GMT". Epoch for anything else.
TimePoint parse_http_date(const std::string& text) {
  tm parts{};
  const char* end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  if (end == nullptr || *end != '\0' || parts.tm_year < 70) return {};
  return TimePoint(std::chrono::seconds(timegm(&parts)));
}

EventKind parse_kind(const std::string& text) {
  for (const auto& [word, kind] : {std::pair{"Freeze", EventKind::freeze}, std::pair{"Reboot", EventKind::reboot},
                                   std::pair{"Redeploy", EventKind::redeploy}, std::pair{"Preempt", EventKind::preempt},
                                   std::pair{"Terminate", EventKind::terminate}}) {
    if (strcasecmp(text.c_str(), word) == 0) return kind;
  }
  return EventKind::other;
}

// False for what is over, or isn't an event.
bool read_event(const json::value& value, ScheduledEvent& event) {
  const json::object* object = value.if_object();
  if (object == nullptr) return false;
  event.id = text_at(object, "EventId", 128);
  const std::string status = text_at(object, "EventStatus", 32);
  event.started = strcasecmp(status.c_str(), "Started") == 0;
  if (event.id.empty() || (!event.started && strcasecmp(status.c_str(), "Scheduled") != 0)) return false;
  event.kind = parse_kind(text_at(object, "EventType", 32));
  event.not_before = parse_http_date(text_at(object, "NotBefore", 64));
  const json::array* resources = array_at(object, "Resources");
  if (resources == nullptr || resources->size() > resources_max) return false;
  for (const json::value& entry : *resources) {
    const json::string* name = entry.if_string();
    if (name != nullptr && name->size() <= name_bytes_max) event.resources.emplace_back(name->data(), name->size());
  }
  return true;
}

Error error_of(const http::Response& response) {
  std::string said = response.body.substr(0, 300);
  if (auto object = parse_object(response.body)) {
    std::string description = text_at(&*object, "error_description", 1000);
    if (description.empty()) description = text_at(&*object, "error", 1000);
    if (!description.empty()) said = description;
  }
  Error error{ErrorCode::transient,
              "the metadata service answers " + std::to_string(response.status) + (said.empty() ? "" : ": " + said)};
  // 404 and 410 come for seconds while the service is updated; 400 for an identity that the machine doesn't have.
  if (response.status == 429) error.code = ErrorCode::throttled;
  if (response.status == 400 || response.status == 403) error.code = ErrorCode::denied;
  return error;
}

}  // namespace

Result<std::string> parse_token(std::string_view text) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  std::string token = text_at(&*object, "access_token", answer_bytes_max);
  if (token.empty()) return malformed("without an access token");
  return token;
}

Result<std::string> parse_attested(std::string_view text) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  if (text_at(&*object, "encoding", 32) != "pkcs7") return malformed("attested in another encoding than pkcs7");
  std::string signature = text_at(&*object, "signature", answer_bytes_max);
  if (signature.empty()) return malformed("without a signature");
  return signature;
}

Result<MachineFacts> parse_instance(std::string_view text) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  const json::object* compute = object_at(&*object, "compute");
  MachineFacts facts;
  facts.name = text_at(compute, "name", name_bytes_max);
  facts.vm_id = text_at(compute, "vmId", 64);
  facts.cloud = text_at(compute, "azEnvironment", 64);
  if (facts.name.empty()) return malformed("without the machine's name");
  const json::array* interfaces = array_at(object_at(&*object, "network"), "interface");
  for (size_t i = 0; interfaces != nullptr && facts.address.empty() && i < interfaces->size(); ++i) {
    const json::array* addresses = array_at(object_at((*interfaces)[i].if_object(), "ipv4"), "ipAddress");
    for (size_t j = 0; addresses != nullptr && facts.address.empty() && j < addresses->size(); ++j) {
      facts.address = text_at((*addresses)[j].if_object(), "privateIpAddress", 15);
    }
  }
  return facts;
}

Result<ScheduledEvents> parse_events(std::string_view text) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  const json::array* list = array_at(&*object, "Events");
  if (list == nullptr || list->size() > events_max) return malformed("without a list of events");
  ScheduledEvents events;
  if (const json::value* incarnation = object->if_contains("DocumentIncarnation")) {
    if (const int64_t* number = incarnation->if_int64(); number != nullptr && *number >= 0)
      events.incarnation = static_cast<uint64_t>(*number);
  }
  for (const json::value& value : *list) {
    ScheduledEvent event;
    if (read_event(value, event)) events.events.push_back(std::move(event));
  }
  return events;
}

struct Imds::Impl {
  explicit Impl(const std::string& o) : origin(o.empty() ? imds_origin : o) {}
  const std::string origin;
  http::Client client{{.idle_max = 1, .body_bytes_max = answer_bytes_max}};
  std::string resource;  // empty: not asked yet; of identity_token() alone

  Result<std::string> ask(const std::string& path, http::Query query, Duration timeout, std::string post = {}) {
    http::Request request;
    request.method = post.empty() ? "GET" : "POST";
    request.url = origin + path + "?" + http::encode_query(query);
    // Proves that no redirect and no careless proxy sent the request.
    request.headers = {{"Metadata", "true"}};
    if (!post.empty()) request.headers.emplace_back("Content-Type", "application/json");
    request.body = std::move(post);
    auto response = client.send(request, timeout);
    if (!response) {
      return fail(ErrorCode::transient, "the metadata service at " + origin + ": " + response.error().message);
    }
    if (response->status != 200) return fail(error_of(*response));
    return std::move(response->body);
  }
};

Imds::Imds(const std::string& origin) : impl_(std::make_unique<Impl>(origin)) {}
Imds::~Imds() = default;

Result<std::string> Imds::identity_token(const std::string& identity, Duration timeout) {
  if (impl_->resource.empty()) {
    const auto facts = instance(timeout / 2);
    if (!facts) return fail(facts.error());
    impl_->resource = resource_of(facts->cloud);
  }
  const char* which = identity.starts_with("/") ? "msi_res_id" : "client_id";
  auto body = impl_->ask("/metadata/identity/oauth2/token",
                         {{"api-version", "2018-02-01"}, {"resource", impl_->resource}, {which, identity}}, timeout);
  if (!body) return fail(body.error());
  return parse_token(*body);
}

Result<std::string> Imds::attested_document(TimePoint now, Duration timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  auto body = impl_->ask("/metadata/attested/document",
                         {{"api-version", "2021-02-01"}, {"nonce", std::to_string(seconds)}}, timeout);
  if (!body) return fail(body.error());
  return parse_attested(*body);
}

Result<MachineFacts> Imds::instance(Duration timeout) {
  auto body = impl_->ask("/metadata/instance", {{"api-version", "2021-02-01"}, {"format", "json"}}, timeout);
  if (!body) return fail(body.error());
  return parse_instance(*body);
}

Result<ScheduledEvents> Imds::events(Duration timeout) {
  auto body = impl_->ask("/metadata/scheduledevents", {{"api-version", "2020-07-01"}}, timeout);
  if (!body) return fail(body.error());
  return parse_events(*body);
}

Result<void> Imds::start_event(const std::string& id, Duration timeout) {
  const json::object body{{"StartRequests", json::array{json::object{{"EventId", id}}}}};
  auto answer = impl_->ask("/metadata/scheduledevents", {{"api-version", "2020-07-01"}}, timeout,
                           json::serialize(json::value(body)));
  if (!answer) return fail(answer.error());
  return {};
}

}  // namespace slipway::agent
