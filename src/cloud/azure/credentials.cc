// The four ways to a token: IMDS, a federated token, a service principal, the Azure CLI.
//
// learn.microsoft.com, "Use managed identities on a virtual machine to acquire access token", "The OAuth 2.0 client
// credentials flow", "az account get-access-token"; read in November 2026.
#include "cloud/azure/credentials.h"

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <ctime>
#include <limits>
#include <thread>
#include <utility>

#include "base/files.h"
#include "base/subprocess.h"
#include "cloud/azure/json_values.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
using Steady = std::chrono::steady_clock;

constexpr size_t file_bytes_max = 64u << 10;
constexpr Duration life_max = std::chrono::hours(24 * 7);  // what is said beyond isn't believed

// A number, or a text that is one: both occur. Negative: none.
int64_t seconds_value(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) return -1;
  if (value->is_int64()) return value->get_int64();
  if (!value->is_string()) return -1;
  const json::string& text = value->get_string();
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() ? number : -1;
}

TimePoint at_second(int64_t seconds) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / 1000 / 1'000'000;
  return TimePoint(Duration(std::clamp<int64_t>(seconds, 0, most) * 1000));
}

Result<Token> checked(std::string text, TimePoint expires_at, TimePoint now) {
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (text.empty() || !clean) return fail(ErrorCode::transient, "an answer without a token");
  return Token{std::move(text), std::min(expires_at, now + life_max)};
}

Result<std::string> read_secret(const std::string& file, std::string_view what) {
  auto text = read_file(file, file_bytes_max);
  if (!text) return fail(ErrorCode::bad_config, std::string(what) + " can't be read: " + text.error().message);
  while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
  if (text->empty()) return fail(ErrorCode::bad_config, std::string(what) + " is empty: " + file);
  return text;
}

// A lost answer of a token endpoint is nothing to wonder about.
Failure unreachable(Error error) {
  if (error.code == ErrorCode::outcome_unknown) error.code = ErrorCode::transient;
  return fail(std::move(error));
}

class ManagedIdentity final : public TokenSource {
 public:
  ManagedIdentity(std::string client_id, std::string imds, http::Client& client, const Clock& clock)
      : client_id_(std::move(client_id)), imds_(std::move(imds)), client_(client), clock_(clock) {}

  Result<Token> fetch(const std::string& resource, Duration timeout) override {
    http::Query query{{"api-version", "2018-02-01"}, {"resource", resource}};
    if (!client_id_.empty()) query.emplace_back("client_id", client_id_);
    http::Request request;
    request.url = imds_ + "/metadata/identity/oauth2/token?" + http::encode_query(query);
    request.headers = {{"Metadata", "true"}};
    const auto deadline = Steady::now() + timeout;
    for (Duration pause{100};; pause = std::min(pause * 2, Duration(8'000))) {
      auto response = client_.send(request, std::chrono::duration_cast<Duration>(deadline - Steady::now()));
      if (response && response->status == 200) return parse_token(response->body, clock_.now());
      // What the documentation wants to be asked again: 404 and 410 while IMDS is being updated, 429, 5xx.
      const int status = response ? response->status : 0;
      const bool passing = status == 404 || status == 410 || status == 429 || status >= 500;
      if (!passing || Steady::now() + pause >= deadline) {
        if (!response) return unreachable(response.error());
        return refused(*response, passing);
      }
      std::this_thread::sleep_for(pause);
    }
  }

 private:
  Failure refused(const http::Response& response, bool passing) const {
    Error error = error_of(response.status, response.headers, response.body);
    error.code = passing ? ErrorCode::transient : ErrorCode::denied;
    error.message = "no token from the metadata service: " + error.message +
                    (client_id_.empty() ? "; give the controller a system-assigned identity, or name one by client_id"
                                        : "; is the identity " + client_id_ + " assigned to the controller?");
    return fail(std::move(error));
  }

  const std::string client_id_;
  const std::string imds_;
  http::Client& client_;
  const Clock& clock_;
};

// The client credentials flow, with whatever proves the client.
class ClientCredentials final : public TokenSource {
 public:
  using Proof = std::function<Result<http::Query>(const std::string& token_url)>;
  ClientCredentials(const model::AzureIdentity& identity, const Endpoints& endpoints, http::Client& client,
                    const Clock& clock, Proof proof)
      : client_id_(identity.client_id),
        url_(endpoints.login + "/" + http::encode(identity.tenant_id) + "/oauth2/v2.0/token"),
        client_(client),
        clock_(clock),
        proof_(std::move(proof)) {}

  Result<Token> fetch(const std::string& resource, Duration timeout) override {
    auto proof = proof_(url_);
    if (!proof) return fail(proof.error());
    http::Query form{{"grant_type", "client_credentials"}, {"client_id", client_id_}, {"scope", scope_of(resource)}};
    form.insert(form.end(), proof->begin(), proof->end());
    http::Request request{
        "POST", url_, {{"Content-Type", "application/x-www-form-urlencoded"}}, http::encode_query(form)};
    auto response = client_.send(request, timeout);
    if (!response) return unreachable(response.error());
    if (response->status == 200) return parse_token(response->body, clock_.now());
    Error error = error_of(response->status, response->headers, response->body);
    if (error.code == ErrorCode::bad_config || error.code == ErrorCode::not_found) error.code = ErrorCode::denied;
    error.message = "no token for client " + client_id_ + ": " + error.message;
    return fail(std::move(error));
  }

 private:
  const std::string client_id_;
  const std::string url_;
  http::Client& client_;
  const Clock& clock_;
  const Proof proof_;
};

http::Query assertion(std::string text) {
  return {{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
          {"client_assertion", std::move(text)}};
}

class AzureCli final : public TokenSource {
 public:
  AzureCli(std::string tenant_id, const Clock& clock) : tenant_id_(std::move(tenant_id)), clock_(clock) {}

  Result<Token> fetch(const std::string& resource, Duration timeout) override {
    Command command;
    command.argv = {"az", "account", "get-access-token", "--output", "json", "--resource", resource};
    if (!tenant_id_.empty()) command.argv.insert(command.argv.end(), {"--tenant", tenant_id_});
    command.timeout = timeout;
    command.output_max = file_bytes_max;
    auto output = run_command(command);
    if (!output) {
      if (output.error().code != ErrorCode::not_found) return fail(output.error());
      return fail(ErrorCode::bad_config, "identity cli: there is no program az on the controller");
    }
    if (output->exit_status == 0) return parse_cli_token(output->out, clock_.now());
    std::string why = output->err.substr(0, output->err.find('\n'));
    return fail(ErrorCode::denied, "az account get-access-token: " + why + "; run az login on the controller");
  }

 private:
  const std::string tenant_id_;
  const Clock& clock_;
};

Result<std::shared_ptr<TokenSource>> make_service_principal(const model::AzureIdentity& identity,
                                                            const Endpoints& endpoints, http::Client& client,
                                                            const Clock& clock) {
  ClientCredentials::Proof proof;
  if (!identity.certificate_file.empty()) {
    auto pem = read_secret(identity.certificate_file, "certificate_file");
    if (!pem) return fail(pem.error());
    if (auto tried = client_assertion(*pem, identity.client_id, "", clock.now()); !tried) return fail(tried.error());
    proof = [file = identity.certificate_file, id = identity.client_id,
             &clock](const std::string& url) -> Result<http::Query> {
      auto text = read_secret(file, "certificate_file");
      if (!text) return fail(text.error());
      auto signed_text = client_assertion(*text, id, url, clock.now());
      if (!signed_text) return fail(signed_text.error());
      return assertion(std::move(*signed_text));
    };
  } else {
    if (auto secret = read_secret(identity.secret_file, "secret_file"); !secret) return fail(secret.error());
    proof = [file = identity.secret_file](const std::string&) -> Result<http::Query> {
      auto secret = read_secret(file, "secret_file");
      if (!secret) return fail(secret.error());
      return http::Query{{"client_secret", std::move(*secret)}};
    };
  }
  return std::shared_ptr<TokenSource>(
      std::make_shared<ClientCredentials>(identity, endpoints, client, clock, std::move(proof)));
}

}  // namespace

Result<Token> parse_token(std::string_view body, TimePoint now) {
  auto object = parse_object(body);
  if (!object) return fail(object.error());
  // IMDS tells when it ends as well; how long it lives still needs no clocks that agree.
  const int64_t lives = seconds_value(*object, "expires_in");
  if (lives < 0) return fail(ErrorCode::transient, "an answer without a token's end");
  return checked(text_value(*object, "access_token"),
                 now + Duration(std::min<int64_t>(lives, life_max.count() / 1000) * 1000), now);
}

Result<Token> parse_cli_token(std::string_view text, TimePoint now) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  TimePoint end{};
  if (const int64_t seconds = seconds_value(*object, "expires_on"); seconds >= 0) {
    end = at_second(seconds);
  } else {
    std::tm local{};
    local.tm_isdst = -1;
    const std::string told = text_value(*object, "expiresOn");
    if (::strptime(told.c_str(), "%Y-%m-%d %H:%M:%S", &local) == nullptr) {
      return fail(ErrorCode::transient, "az told no end of the token");
    }
    end = at_second(::mktime(&local));
  }
  return checked(text_value(*object, "accessToken"), end, now);
}

Result<std::shared_ptr<TokenSource>> make_token_source(const model::AzureIdentity& identity, const Endpoints& endpoints,
                                                       http::Client& client, const Clock& clock) {
  switch (identity.kind) {
    case model::AzureIdentity::Kind::managed:
      return std::shared_ptr<TokenSource>(
          std::make_shared<ManagedIdentity>(identity.client_id, endpoints.imds, client, clock));
    case model::AzureIdentity::Kind::workload: {
      if (auto token = read_secret(identity.token_file, "token_file"); !token) return fail(token.error());
      // Whoever federates replaces the file every hour or so.
      auto proof = [file = identity.token_file](const std::string&) -> Result<http::Query> {
        auto token = read_secret(file, "token_file");
        if (!token) return fail(token.error());
        return assertion(std::move(*token));
      };
      return std::shared_ptr<TokenSource>(
          std::make_shared<ClientCredentials>(identity, endpoints, client, clock, std::move(proof)));
    }
    case model::AzureIdentity::Kind::service_principal:
      return make_service_principal(identity, endpoints, client, clock);
    case model::AzureIdentity::Kind::cli:
      return std::shared_ptr<TokenSource>(std::make_shared<AzureCli>(identity.tenant_id, clock));
  }
  return fail(ErrorCode::bad_config, "an identity of an unknown kind");
}

}  // namespace slipway::cloud::azure
