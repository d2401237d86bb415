#include "rehearse/azure/batch_plane.h"

#include <boost/json.hpp>

#include "http/url.h"
#include "rehearse/azure/conditions.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/passage.h"
#include "rehearse/azure/reply.h"
#include "rehearse/azure/shared_key.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {

namespace json = boost::json;

namespace {

constexpr std::string_view batch_audience = "https://batch.core.windows.net/";
constexpr size_t body_max = 4u << 20;

// The description names the service's whole MIME type, and the service insists on it.
bool is_batch_json(std::string_view type) {
  const std::string small = lower(type);
  return small.starts_with("application/json") && small.find("odata=") != std::string::npos;
}

}  // namespace

std::string BatchCall::parameter(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (same_text(key, name)) return value;
  }
  return {};
}

BatchPlane::BatchPlane(Core& core, BatchPools& pools) : core_(core), pools_(pools) {}

bool BatchPlane::trusts(const http::Asked& asked, const BatchAccount& account, std::string& reason) const {
  const std::string_view authorization = http::find_header(asked.headers, "Authorization");
  if (authorization.starts_with("Bearer ")) {
    const auto claims = core_.tokens->verify(authorization.substr(7));
    if (!claims) {
      reason = claims.error().message;
      return false;
    }
    const std::string audience = text_at(*claims, "aud");
    if (audience == batch_audience || audience + "/" == batch_audience) return true;
    reason = "the token's audience is " + audience + ", not " + std::string(batch_audience);
    return false;
  }
  const auto verified = verify_shared_key(asked, account.name, account.key, core_.clock.now());
  if (!verified) reason = verified.error().message;
  return verified.has_value();
}

void BatchPlane::handle(const std::string& account_name, http::Asked asked, http::Answer answer) {
  const BatchAccount* account = core_.account(account_name);
  const auto target = http::parse_target(asked.target);
  const size_t question = asked.target.find('?');
  const auto found = core_.batch_spec->find(asked.method, asked.target.substr(0, question));

  // What goes with every answer.
  const auto finish = [this, answer, headers = asked.headers](http::Response response) {
    response.headers.emplace_back("request-id", core_.uuid());
    response.headers.emplace_back("DataServiceVersion", "3.0");
    response.headers.emplace_back("Server", "Microsoft-HTTPAPI/2.0");
    response.headers.emplace_back("Date", to_rfc1123(core_.clock.now()));
    const std::string_view id = http::find_header(headers, "client-request-id");
    if (!id.empty() && same_text(http::find_header(headers, "return-client-request-id"), "true")) {
      response.headers.emplace_back("client-request-id", std::string(id));
    }
    answer(std::move(response));
  };

  std::string reason;
  if (account == nullptr) {
    finish(batch_error(404, "AccountNotFound", "The specified account does not exist."));
  } else if (!target) {
    finish(batch_error(400, "RequestUrlFailedToParse", "The url in the request could not be parsed."));
  } else if (http::find_header(asked.headers, "Authorization").empty()) {
    http::Response refused = batch_error(401, "AuthenticationFailed", "Server failed to authenticate the request.",
                                         {{"Reason", "the Authorization header is missing"}});
    refused.headers.emplace_back("WWW-Authenticate", "Bearer authorization_uri=\"" + core_.login_url + "/" +
                                                         core_.world.tenant + "\", resource_id=\"" +
                                                         std::string(batch_audience) + "\"");
    finish(std::move(refused));
  } else if (!trusts(asked, *account, reason)) {
    const bool bearer = http::find_header(asked.headers, "Authorization").starts_with("Bearer ");
    finish(batch_error(bearer ? 401 : 403, "AuthenticationFailed",
                       "Server failed to authenticate the request. Make sure the value of Authorization header is "
                       "formed correctly including the signature.",
                       {{"AuthenticationErrorDetail", reason}}));
  } else if (found.operation == nullptr) {
    finish(found.other_method
               ? batch_error(405, "UnsupportedHttpVerb", "The resource doesn't support specified Http Verb.")
               : batch_error(400, "InvalidUri", "The requested URI does not represent any resource on the server."));
  } else if (asked.body.size() > body_max) {
    finish(batch_error(413, "RequestBodyTooLarge", "The size of the request body exceeds the maximum size permitted."));
  } else {
    const std::string operation = found.operation->id;
    pass_gate(
        core_, operation, account->name, asked.method != "GET" && asked.method != "HEAD",
        {.act = [this, account, asked, found, query = target->query] { return act(*account, asked, found, query); },
         .refuse = [](int status, const std::string& code,
                      const std::string& message) { return batch_error(status, code, message); },
         .answer = finish});
  }
}

http::Response BatchPlane::act(const BatchAccount& account, const http::Asked& asked, const Spec::Found& found,
                               const http::Query& query) {
  json::value body;
  if (!asked.body.empty()) {
    const std::string type(http::find_header(asked.headers, "Content-Type"));
    if (!is_batch_json(type)) {
      return batch_error(Complaint{Complaint::Kind::invalid_header, "Content-Type", type,
                                   "must be application/json; odata=minimalmetadata"});
    }
    boost::system::error_code error;
    body = json::parse(asked.body, error);
    if (error || !body.is_object()) {
      return batch_error(400, "InvalidRequestBody", "The specified Request Body is not syntactically valid.",
                         {{"Reason", error ? error.message() : "the body isn't an object"}});
    }
  }
  if (auto complaint = check_request(*found.operation, query, asked.headers, asked.body.empty() ? nullptr : &body)) {
    return batch_error(*complaint);
  }
  const json::object nothing;
  return dispatch({*found.operation, account, asked.headers, query, found.path,
                   body.is_object() ? body.get_object() : nothing, asked.target});
}

http::Response BatchPlane::dispatch(const BatchCall& call) {
  static const std::map<std::string, Handler> plain{{"Pool_Add", &BatchPlane::pool_add},
                                                    {"Pool_List", &BatchPlane::pool_list},
                                                    {"Account_ListPoolNodeCounts", &BatchPlane::node_counts},
                                                    {"Account_ListSupportedImages", &BatchPlane::supported_images}};
  static const std::map<std::string, PoolHandler> of_pool{
      {"Pool_Get", &BatchPlane::pool_get},
      {"Pool_Exists", &BatchPlane::pool_exists},
      {"Pool_Patch", &BatchPlane::pool_patch},
      {"Pool_UpdateProperties", &BatchPlane::pool_update},
      {"Pool_Delete", &BatchPlane::pool_delete},
      {"Pool_Resize", &BatchPlane::pool_resize},
      {"Pool_StopResize", &BatchPlane::pool_stop_resize},
      {"Pool_RemoveNodes", &BatchPlane::pool_remove_nodes},
      {"Pool_EnableAutoScale", &BatchPlane::pool_enable_autoscale},
      {"Pool_DisableAutoScale", &BatchPlane::pool_disable_autoscale},
      {"Pool_EvaluateAutoScale", &BatchPlane::pool_evaluate_autoscale},
      {"ComputeNode_List", &BatchPlane::node_list}};
  if (const auto found = plain.find(call.operation.id); found != plain.end()) return (this->*found->second)(call);
  if (const auto found = of_pool.find(call.operation.id); found != of_pool.end()) return on_pool(call, found->second);
  return on_pool(call, &BatchPlane::on_node);
}

http::Response BatchPlane::on_pool(const BatchCall& call, PoolHandler handler) {
  BatchPool* pool = pools_.find(call.account.name, call.path.at("poolId"));
  if (pool == nullptr) return batch_error(404, "PoolNotFound", "The specified pool does not exist.");
  const bool reads = call.operation.method == "GET" || call.operation.method == "HEAD";
  switch (check_conditions(call.headers, pool->etag, pool->modified)) {
    case Condition::not_met:
      if (reads) return empty_reply(304);
      return batch_error(412, "ConditionNotMet",
                         "The condition specified using HTTP conditional header(s) is not met.");
    case Condition::malformed:
      return batch_error(400, "InvalidHeaderValue",
                         "The value provided for one of the HTTP headers was not in the correct format.");
    case Condition::met:
      break;
  }
  if (!reads && pool->deleting) {
    return batch_error(409, "PoolBeingDeleted",
                       "The specified pool has been marked for deletion and is being reclaimed.");
  }
  return (this->*handler)(call, *pool);
}

http::Response BatchPlane::on_node(const BatchCall& call, BatchPool& pool) {
  static const std::map<std::string, NodeHandler> handlers{
      {"ComputeNode_Get", &BatchPlane::node_get},
      {"ComputeNode_Reboot", &BatchPlane::node_restart},
      {"ComputeNode_Reimage", &BatchPlane::node_restart},
      {"ComputeNode_DisableScheduling", &BatchPlane::node_scheduling},
      {"ComputeNode_EnableScheduling", &BatchPlane::node_scheduling}};
  const auto handler = handlers.find(call.operation.id);
  if (handler == handlers.end()) return batch_error(501, "NotImplemented", "Not simulated: " + call.operation.id);
  const auto node = pool.by_name.find(call.path.at("nodeId"));
  if (node == pool.by_name.end()) return batch_error(404, "NodeNotFound", "The specified node does not exist.");
  return (this->*handler->second)(call, pool, node->second);
}

std::string BatchPlane::next_link(const BatchCall& call, const std::string& skip_token) const {
  // A page's successor is at the door that the caller came through; the account has one without TLS too.
  const auto url = core_.batch_urls.find(call.account.name);
  std::string base = url == core_.batch_urls.end() ? "" : url->second;
  const std::string host(http::find_header(call.headers, "Host"));
  if (!host.empty() && !same_text(base, "https://" + host)) base = "http://" + host;
  http::Query query;
  for (const auto& [name, value] : call.query) {
    if (!same_text(name, "$skiptoken")) query.emplace_back(name, value);
  }
  query.emplace_back("$skiptoken", skip_token);
  return base + call.target.substr(0, call.target.find('?')) + "?" + http::encode_query(query);
}

http::Response BatchPlane::accepted(const BatchCall& call, const BatchPool& pool, int status,
                                    const std::string& id) const {
  http::Response response = empty_reply(status);
  const auto url = core_.batch_urls.find(call.account.name);
  response.headers = {{"ETag", "\"" + pool.etag + "\""},
                      {"Last-Modified", to_rfc1123(pool.modified)},
                      {"DataServiceId", (url == core_.batch_urls.end() ? "" : url->second) + "/pools/" + id}};
  return response;
}

}  // namespace slipway::rehearse::azure
