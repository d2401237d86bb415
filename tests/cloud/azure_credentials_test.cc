#include "cloud/azure/credentials.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include <atomic>
#include <boost/json.hpp>

#include "base/files.h"
#include "fake_http.h"
#include "http/base64.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

using Kind = model::AzureIdentity::Kind;
constexpr Duration patience{10'000};
constexpr const char* arm = "https://management.azure.com/";

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/slipway-credentials-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string put(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    EXPECT_TRUE(write_file(path / name, text, mode));
    return path / name;
  }
  std::filesystem::path path;
};

http::Response token(const std::string& text, const std::string& lives = "3600") {
  return {200, {}, R"({"access_token":")" + text + R"(","expires_in":")" + lives + R"(","token_type":"Bearer"})"};
}

struct Source {
  explicit Source(FakeHttp::Handler handler) : server(std::move(handler)) {
    endpoints.login = server.url();
    endpoints.imds = server.url();
  }
  Result<Token> fetch(const model::AzureIdentity& identity, Duration timeout = patience) {
    auto source = make_token_source(identity, endpoints, client, clock);
    if (!source) return fail(source.error());
    return (*source)->fetch(arm, timeout);
  }
  std::map<std::string, std::string> form() {
    const auto asked = server.asked().back();
    const auto target = http::parse_target("/?" + asked.body);
    return {target->query.begin(), target->query.end()};
  }
  FakeHttp server;
  http::Client client;
  ManualClock clock{TimePoint(Duration(1'800'000'000'000))};
  Endpoints endpoints = endpoints_of({});
};

TEST(Credentials, ManagedIdentityAsksTheMetadataService) {
  Source source([](const http::Asked&) { return token("abc", "86399"); });
  model::AzureIdentity identity;
  auto got = source.fetch(identity);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->text, "abc");
  EXPECT_EQ(got->expires_at, source.clock.now() + std::chrono::seconds(86'399));
  identity.client_id = "c-1";
  ASSERT_TRUE(source.fetch(identity));
  const auto asked = source.server.asked();
  EXPECT_EQ(asked[0].target,
            "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F");
  EXPECT_EQ(http::find_header(asked[0].headers, "Metadata"), "true");
  EXPECT_TRUE(asked[1].target.ends_with("&client_id=c-1"));
}

TEST(Credentials, TheMetadataServiceIsAskedAgainWhileItIsBusy) {
  for (const int busy : {404, 410, 429, 500}) {
    int left = 1;
    Source source([&](const http::Asked&) { return left-- > 0 ? http::Response{busy, {}, ""} : token("abc"); });
    EXPECT_TRUE(source.fetch({})) << busy;
    EXPECT_EQ(source.server.asked().size(), 2u);
  }
  Source source([](const http::Asked&) { return http::Response{429, {}, ""}; });
  const auto late = source.fetch({}, Duration(150));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::transient);
}

TEST(Credentials, AMachineWithoutAnIdentityIsToldWhatToDo) {
  Source source([](const http::Asked&) {
    return http::Response{400, {}, R"({"error":"invalid_request","error_description":"Identity not found"})"};
  });
  const auto refused = source.fetch({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("Identity not found"), std::string::npos);
  EXPECT_NE(refused.error().message.find("system-assigned"), std::string::npos);
  EXPECT_EQ(source.server.asked().size(), 1u);
}

TEST(Credentials, ASecretIsExchanged) {
  const Folder folder;
  Source source([](const http::Asked&) { return token("t"); });
  model::AzureIdentity identity{.kind = Kind::service_principal, .client_id = "c", .tenant_id = "tenant"};
  identity.secret_file = folder.put("secret", "s3 cr&t\n");
  ASSERT_TRUE(source.fetch(identity));
  EXPECT_EQ(source.server.asked().back().target, "/tenant/oauth2/v2.0/token");
  const std::map<std::string, std::string> expected{{"grant_type", "client_credentials"},
                                                    {"client_id", "c"},
                                                    {"scope", "https://management.azure.com/.default"},
                                                    {"client_secret", "s3 cr&t"}};
  EXPECT_EQ(source.form(), expected);
  identity.secret_file = folder.path / "missing";
  EXPECT_EQ(source.fetch(identity).error().code, ErrorCode::bad_config);
}

TEST(Credentials, AFederatedTokenIsReadEachTime) {
  const Folder folder;
  Source source([](const http::Asked&) { return token("t"); });
  model::AzureIdentity identity{.kind = Kind::workload, .client_id = "c", .tenant_id = "tenant"};
  identity.token_file = folder.put("token", "one");
  auto made = make_token_source(identity, source.endpoints, source.client, source.clock);
  ASSERT_TRUE(made);
  ASSERT_TRUE((*made)->fetch(arm, patience));
  EXPECT_EQ(source.form()["client_assertion"], "one");
  folder.put("token", "two");
  ASSERT_TRUE((*made)->fetch(arm, patience));
  EXPECT_EQ(source.form()["client_assertion"], "two");
  EXPECT_EQ(source.form()["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
}

TEST(Credentials, ARefusalKeepsEntrasWords) {
  const Folder folder;
  Source source([](const http::Asked&) {
    return http::Response{401, {}, R"({"error":"invalid_client","error_description":"AADSTS7000222: expired"})"};
  });
  model::AzureIdentity identity{.kind = Kind::service_principal, .client_id = "c", .tenant_id = "t"};
  identity.secret_file = folder.put("secret", "s");
  const auto refused = source.fetch(identity);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("AADSTS7000222"), std::string::npos);
}

struct KeyAndCertificate {
  std::string pem;
  EVP_PKEY* key = nullptr;
  ~KeyAndCertificate() { EVP_PKEY_free(key); }
};

KeyAndCertificate make_certificate() {
  KeyAndCertificate made;
  made.key = EVP_RSA_gen(1024);
  X509* certificate = X509_new();
  X509_set_pubkey(certificate, made.key);
  X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_sign(certificate, made.key, EVP_sha256());
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, made.key, nullptr, nullptr, 0, nullptr, nullptr);
  PEM_write_bio_X509(bio, certificate);
  char* text = nullptr;
  const long length = BIO_get_mem_data(bio, &text);
  made.pem.assign(text, static_cast<size_t>(length));
  BIO_free(bio);
  X509_free(certificate);
  return made;
}

TEST(Credentials, ACertificateSignsAnAssertionThatVerifies) {
  const KeyAndCertificate made = make_certificate();
  const TimePoint now{std::chrono::seconds(1'800'000'000)};
  const auto assertion = client_assertion(made.pem, "client-1", "https://login/x/token", now);
  ASSERT_TRUE(assertion) << assertion.error().message;
  const size_t first = assertion->find('.');
  const size_t second = assertion->rfind('.');
  const auto header = boost::json::parse(*http::from_base64url(assertion->substr(0, first))).as_object();
  EXPECT_EQ(header.at("alg").as_string(), "PS256");
  EXPECT_EQ(header.at("x5t#S256").as_string().size(), 43u);
  const auto claims =
      boost::json::parse(*http::from_base64url(assertion->substr(first + 1, second - first - 1))).as_object();
  EXPECT_EQ(claims.at("aud").as_string(), "https://login/x/token");
  EXPECT_EQ(claims.at("iss").as_string(), "client-1");
  EXPECT_EQ(claims.at("sub").as_string(), "client-1");
  EXPECT_EQ(claims.at("exp").as_int64(), 1'800'000'600);
  EXPECT_LE(claims.at("nbf").as_int64(), 1'800'000'000);
  const std::string signature = *http::from_base64url(assertion->substr(second + 1));
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  EVP_PKEY_CTX* parameters = nullptr;
  EVP_DigestVerifyInit(digest, &parameters, EVP_sha256(), nullptr, made.key);
  EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING);
  EXPECT_EQ(EVP_DigestVerify(digest, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                             reinterpret_cast<const unsigned char*>(assertion->data()), second),
            1);
  EVP_MD_CTX_free(digest);

  EXPECT_NE(*client_assertion(made.pem, "client-1", "a", now), *client_assertion(made.pem, "client-1", "a", now))
      << "each has an id of its own";
  const std::string key_only = made.pem.substr(0, made.pem.find("-----BEGIN CERTIFICATE"));
  const KeyAndCertificate other = make_certificate();
  for (const std::string& wrong : {std::string(), std::string("text"), key_only, made.pem.substr(key_only.size()),
                                   key_only + other.pem.substr(other.pem.find("-----BEGIN CERTIFICATE"))}) {
    const auto refused = client_assertion(wrong, "c", "a", now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::bad_config);
  }
}

TEST(Credentials, TheCliIsAskedAndItsRefusalPassedOn) {
  const Folder folder;
  folder.put("az",
             "#!/bin/sh\n[ \"$6\" = https://management.azure.com/ ] || exit 9\n"
             "[ \"$8\" != bad ] || { echo 'ERROR: Please run az login' >&2; exit 1; }\n"
             "echo '{\"accessToken\":\"cli-token\",\"expires_on\":1800003600,\"tenant\":\"t\"}'\n",
             0755);
  const std::string path = ::getenv("PATH");
  ::setenv("PATH", (folder.path.string() + ":" + path).c_str(), 1);
  Source source([](const http::Asked&) { return http::Response{500, {}, ""}; });
  auto got = source.fetch({.kind = Kind::cli});
  auto refused = source.fetch({.kind = Kind::cli, .tenant_id = "bad"});
  ::setenv("PATH", "/nowhere", 1);
  auto absent = source.fetch({.kind = Kind::cli});
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->text, "cli-token");
  EXPECT_EQ(got->expires_at, source.clock.now() + std::chrono::seconds(3600));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied);
  EXPECT_NE(refused.error().message.find("az login"), std::string::npos);
  ASSERT_FALSE(absent);
}

TEST(Credentials, TokensAreReadCarefully) {
  const TimePoint now{std::chrono::seconds(1'800'000'000)};
  EXPECT_EQ(parse_token(R"({"access_token":"x","expires_in":60})", now)->expires_at, now + Duration(60'000));
  EXPECT_LT(parse_token(R"({"access_token":"x","expires_in":9223372036854775807})", now)->expires_at,
            now + std::chrono::hours(24 * 8));
  for (const char* text : {"", "[]", "{}", R"({"access_token":"x"})", R"({"access_token":"","expires_in":1})",
                           R"({"access_token":"a\r\nb","expires_in":1})", R"({"access_token":7,"expires_in":1})"}) {
    EXPECT_FALSE(parse_token(text, now)) << text;
  }
  EXPECT_TRUE(parse_cli_token(R"({"accessToken":"x","expiresOn":"2027-01-15 09:00:00.000000"})", now));
  EXPECT_FALSE(parse_cli_token(R"({"accessToken":"x","expiresOn":"tomorrow"})", now));
}

// --- a kept token ---

class Scripted final : public TokenSource {
 public:
  Result<Token> fetch(const std::string&, Duration) override {
    ++fetched;
    while (held) std::this_thread::sleep_for(Duration(1));
    if (failing) return fail(ErrorCode::transient, "no Entra today");
    return Token{"t" + std::to_string(fetched), clock.now() + lives};
  }
  ManualClock clock{TimePoint(Duration(1'800'000'000'000))};
  Duration lives{3'600'000};
  std::atomic<int> fetched{0};
  std::atomic<bool> failing{false};
  std::atomic<bool> held{false};
};

struct Kept {
  std::shared_ptr<Scripted> source = std::make_shared<Scripted>();
  std::shared_ptr<Authorizer> bearer = make_bearer(source, arm, source->clock);
  std::string ask() const {
    http::Request request;
    const auto done = bearer->authorize(request, patience);
    return done ? std::string(http::find_header(request.headers, "Authorization")) : done.error().message;
  }
};

TEST(Bearer, ATokenIsKeptAndReplacedAheadOfItsEnd) {
  Kept kept;
  EXPECT_EQ(kept.ask(), "Bearer t1");
  kept.source->clock.advance(std::chrono::minutes(48));
  EXPECT_EQ(kept.ask(), "Bearer t1");
  kept.source->clock.advance(std::chrono::minutes(3));
  EXPECT_EQ(kept.ask(), "Bearer t2");
  EXPECT_EQ(kept.source->fetched, 2);
}

TEST(Bearer, AnOldTokenServesWhileANewOneCannotBeHad) {
  Kept kept;
  kept.ask();
  kept.source->failing = true;
  kept.source->clock.advance(std::chrono::minutes(52));  // 8 minutes are left
  EXPECT_EQ(kept.ask(), "Bearer t1");
  EXPECT_EQ(kept.source->fetched, 2);
  kept.source->clock.advance(std::chrono::minutes(3));
  kept.ask();
  EXPECT_EQ(kept.source->fetched, 2) << "tried again when half of what was left is over";
  kept.source->clock.advance(std::chrono::minutes(2));
  kept.ask();
  EXPECT_EQ(kept.source->fetched, 3);
  kept.source->clock.advance(std::chrono::minutes(3));
  EXPECT_EQ(kept.ask(), "no Entra today");
  kept.source->failing = false;
  EXPECT_EQ(kept.ask().substr(0, 8), "Bearer t");
}

TEST(Bearer, OneFetchForAll) {
  Kept kept;
  kept.source->held = true;
  std::vector<std::thread> threads;
  std::atomic<int> good{0};
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { good += kept.ask() == "Bearer t1"; });
  std::this_thread::sleep_for(Duration(20));
  kept.source->held = false;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(kept.source->fetched, 1);
}

TEST(Bearer, OthersDoNotWaitForTheReplacement) {
  Kept kept;
  kept.ask();
  kept.source->clock.advance(std::chrono::minutes(52));
  kept.source->held = true;
  std::thread replaces([&] { kept.ask(); });
  while (kept.source->fetched < 2) std::this_thread::sleep_for(Duration(1));
  EXPECT_EQ(kept.ask(), "Bearer t1");
  kept.source->held = false;
  replaces.join();
  EXPECT_EQ(kept.ask(), "Bearer t2");
}

TEST(Bearer, ARefusedTokenIsForgotten) {
  Kept kept;
  kept.ask();
  kept.bearer->refused();
  EXPECT_EQ(kept.ask(), "Bearer t2");
}

}  // namespace
}  // namespace slipway::cloud::azure
