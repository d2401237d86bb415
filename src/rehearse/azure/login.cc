#include "rehearse/azure/login.h"

#include <boost/json.hpp>

#include <algorithm>

#include "http/base64.h"
#include "rehearse/azure/json_access.h"
#include "rehearse/azure/passage.h"
#include "rehearse/azure/reply.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

constexpr const char* exchange_audience = "api://AzureADTokenExchange";
constexpr const char* assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

http::Response refuse(int status, const char* error, int number, const std::string& message) {
  return json_reply(status, json::object{{"error", error},
                                         {"error_description", "AADSTS" + std::to_string(number) + ": " + message},
                                         {"error_codes", json::array{number}}});
}

std::string field(const http::Query& form, std::string_view name) {
  for (const auto& [key, value] : form) {
    if (key == name) return value;
  }
  return {};
}

// The keys of other issuers, and of certificates, are unknown here: what an assertion says must fit, and be in time.
std::string wrong_assertion(const std::string& assertion, const std::string& client_id, const std::string& endpoint,
                            TimePoint now) {
  const size_t first = assertion.find('.');
  const size_t last = assertion.rfind('.');
  if (first == std::string::npos || first == last) return "The assertion isn't a signed JSON Web Token.";
  const auto text = http::from_base64url(std::string_view(assertion).substr(first + 1, last - first - 1));
  boost::system::error_code error;
  const json::value claims = text ? json::parse(*text, error) : json::value();
  if (!text || error || !claims.is_object()) return "The assertion's claims can't be read.";
  const json::object& said = claims.get_object();
  const int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  if (integer_at(said, "exp").value_or(0) < seconds) return "The assertion is not within its valid time range.";
  std::string audience = text_at(said, "aud");
  if (const json::value* list = at_path(said, "aud"); list != nullptr && list->is_array()) {
    for (const json::value& one : list->get_array()) {
      if (one.is_string() && one.get_string() == exchange_audience) audience = exchange_audience;
    }
  }
  if (audience == exchange_audience) {
    return text_at(said, "iss").empty() || text_at(said, "sub").empty() ? "The assertion lacks its issuer or subject."
                                                                        : "";
  }
  if (audience != endpoint) return "The assertion's audience '" + audience + "' is not acceptable.";
  const bool own = text_at(said, "iss") == client_id && text_at(said, "sub") == client_id;
  return own ? "" : "The assertion's issuer and subject must be the client's id.";
}

}  // namespace

std::string issue_token(const Core& core, const std::string& audience, const std::string& client_id,
                        const std::string& object_id, const std::string& identity, const std::string& resource) {
  json::object claims{{"aud", audience},
                      {"iss", "https://sts.windows.net/" + core.world.tenant + "/"},
                      {"appid", client_id},
                      {"appidacr", "2"},
                      {"idp", "https://sts.windows.net/" + core.world.tenant + "/"},
                      {"idtyp", "app"},
                      {"oid", object_id},
                      {"sub", object_id},
                      {"tid", core.world.tenant},
                      {"ver", "1.0"}};
  if (!identity.empty()) claims["xms_mirid"] = identity;
  if (!resource.empty()) claims["xms_az_rid"] = resource;
  return core.tokens->issue(std::move(claims));
}

http::Response Login::token(const std::string& tenant, const http::Query& form, bool second_version) const {
  const std::string client_id = field(form, "client_id");
  const std::string grant = field(form, "grant_type");
  if (!same_text(tenant, core_.world.tenant)) {
    return refuse(400, "invalid_request", 90002, "Tenant '" + tenant + "' not found.");
  }
  if (grant != "client_credentials") {
    return refuse(400, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '" + grant + "'.");
  }
  const auto& known = core_.world.client_ids;
  const bool is_client =
      std::any_of(known.begin(), known.end(), [&](const auto& one) { return same_text(one, client_id); });
  const bool is_identity =
      std::any_of(core_.world.identities.begin(), core_.world.identities.end(),
                  [&](const std::string& one) { return same_text(core_.client_id_of(one), client_id); });
  if (!is_client && !is_identity) {
    return refuse(400, "unauthorized_client", 700016,
                  "Application with identifier '" + client_id + "' was not found in the directory '" + tenant + "'.");
  }
  const std::string assertion = field(form, "client_assertion");
  if (!assertion.empty()) {
    if (field(form, "client_assertion_type") != assertion_type) {
      return refuse(400, "invalid_request", 900144,
                    "The 'client_assertion_type' must be '" + std::string(assertion_type) + "'.");
    }
    const std::string endpoint =
        core_.login_url + "/" + tenant + (second_version ? "/oauth2/v2.0/token" : "/oauth2/token");
    const std::string wrong = wrong_assertion(assertion, client_id, endpoint, core_.clock.now());
    if (!wrong.empty()) return refuse(401, "invalid_client", 700024, wrong);
  } else if (field(form, "client_secret").empty()) {
    return refuse(401, "invalid_client", 7000215, "Invalid client secret provided.");
  }
  std::string audience = field(form, second_version ? "scope" : "resource");
  const std::string_view suffix = "/.default";
  if (second_version) {
    if (!audience.ends_with(suffix)) {
      return refuse(400, "invalid_scope", 1002012, "The provided value for scope " + audience + " is not valid.");
    }
    audience.erase(audience.size() - suffix.size());
  }
  if (audience.empty()) {
    return refuse(400, "invalid_request", 900144, "The request body must contain the parameter 'resource'.");
  }
  const std::string made =
      issue_token(core_, audience, client_id, Core::uuid_of("principal of " + lower(client_id)), "", "");
  const auto life = std::chrono::duration_cast<std::chrono::seconds>(token_life).count();
  json::object body{{"token_type", "Bearer"}, {"access_token", made}};
  if (second_version) {
    body["expires_in"] = life;
    body["ext_expires_in"] = life;
  } else {
    const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(core_.clock.now().time_since_epoch()).count();
    body["expires_in"] = std::to_string(life);
    body["expires_on"] = std::to_string(now + life);
    body["not_before"] = std::to_string(now);
    body["resource"] = audience;
  }
  return json_reply(200, body);
}

http::Response Login::discovery(const std::string& tenant, bool second_version) const {
  const std::string base = core_.login_url + "/" + tenant;
  const std::string version = second_version ? "/v2.0" : "";
  return json_reply(
      200,
      json::object{{"token_endpoint", base + "/oauth2" + version + "/token"},
                   {"token_endpoint_auth_methods_supported",
                    json::array{"client_secret_post", "private_key_jwt", "client_secret_basic"}},
                   {"jwks_uri", base + "/discovery" + version + "/keys"},
                   {"issuer", second_version ? base + "/v2.0" : "https://sts.windows.net/" + core_.world.tenant + "/"},
                   {"authorization_endpoint", base + "/oauth2" + version + "/authorize"},
                   {"device_authorization_endpoint", base + "/oauth2" + version + "/devicecode"},
                   {"response_types_supported", json::array{"code", "id_token", "token"}},
                   {"subject_types_supported", json::array{"pairwise"}},
                   {"id_token_signing_alg_values_supported", json::array{"RS256"}}});
}

http::Response Login::act(const http::Asked& asked) const {
  const auto target = http::parse_target(asked.target);
  if (!target) return refuse(400, "invalid_request", 900561, "The request URI can't be parsed.");
  const std::vector<std::string> parts = path_segments(target->path);
  const auto is = [&](std::initializer_list<const char*> names) {
    size_t at = 1;
    for (const char* name : names) {
      if (at >= parts.size() || !same_text(parts[at], name)) return false;
      ++at;
    }
    return at == parts.size();
  };
  if (parts.empty()) return empty_reply(404);
  const std::string& tenant = parts.front();
  const bool posts = asked.method == "POST";
  if (posts && (is({"oauth2", "v2.0", "token"}) || is({"oauth2", "token"}))) {
    http::Query form;
    const auto read = http::parse_target("/?" + asked.body);
    if (read) {
      for (const auto& [name, value] : read->query) form.emplace_back(name, value);
    }
    return token(tenant, form, parts.size() == 4);
  }
  if (posts) return empty_reply(404);
  if (is({"discovery", "instance"})) {
    std::string host = core_.login_url.substr(core_.login_url.find("://") + 3);
    return json_reply(
        200, json::object{{"tenant_discovery_endpoint",
                           core_.login_url + "/" + core_.world.tenant + "/v2.0/.well-known/openid-configuration"},
                          {"api-version", "1.1"},
                          {"metadata", json::array{json::object{{"preferred_network", host},
                                                                {"preferred_cache", host},
                                                                {"aliases", json::array{json::string(host)}}}}}});
  }
  const bool of_ours =
      same_text(tenant, core_.world.tenant) || same_text(tenant, "common") || same_text(tenant, "organizations");
  if (!of_ours) return refuse(400, "invalid_tenant", 90002, "Tenant '" + tenant + "' not found.");
  if (is({".well-known", "openid-configuration"})) return discovery(tenant, false);
  if (is({"v2.0", ".well-known", "openid-configuration"})) return discovery(tenant, true);
  if (is({"discovery", "keys"}) || is({"discovery", "v2.0", "keys"})) {
    return {.status = 200, .headers = {{"Content-Type", "application/json"}}, .body = core_.tokens->key_set()};
  }
  return empty_reply(404);
}

void Login::handle(http::Asked asked, http::Answer answer) {
  pass_gate(core_, asked.method == "POST" ? "Token" : "Discovery", "login", false,
            {.act = [this, asked] { return act(asked); },
             .refuse =
                 [](int status, const std::string& code, const std::string& message) {
                   return json_reply(status, json::object{{"error", code}, {"error_description", message}});
                 },
             .answer = answer});
}

}  // namespace slipway::rehearse::azure
