#include <openssl/cms.h>
#include <openssl/pem.h>

#include "azure_world.h"
#include "rehearse/azure/tokens.h"

namespace slipway::rehearse::azure {
namespace {

using AzureIdentity = AzureTest;
const std::string tenant = "72f988bf-0000-4000-8000-000000000001";
const std::string resource = "&resource=https%3A%2F%2Fmanagement.azure.com%2F";

json::object claims_of(const std::string& token) {
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  const auto text = http::from_base64url(std::string_view(token).substr(first + 1, last - first - 1));
  EXPECT_TRUE(text);
  return json::parse(*text).as_object();
}

TEST(AzureTokens, AreOursInTimeAndWhole) {
  ManualClock clock(TimePoint(std::chrono::hours(500'000)));
  const Tokens tokens(clock, "");
  std::string token = tokens.issue({{"aud", "x"}});
  EXPECT_TRUE(tokens.verify(token));
  EXPECT_FALSE(Tokens(clock, "").verify(token)) << "signed by another key";
  EXPECT_TRUE(Tokens(clock, tokens.key()).verify(token)) << "the same key after a restart";
  clock.advance(token_life + std::chrono::minutes(6));
  EXPECT_FALSE(tokens.verify(token));
  for (const char* wrong : {"", "a.b", "a.b.c", "..", "e30.e30.", "eyJhbGciOiJub25lIn0.e30."}) {
    EXPECT_FALSE(tokens.verify(wrong)) << wrong;
  }
}

TEST_F(AzureIdentity, ClientsGetTokensForWhatTheyAskFor) {
  const auto ask_token = [&](const std::string& form, const std::string& path = "/oauth2/v2.0/token") {
    return ask(AzureFace::Plane::login, {.method = "POST", .target = "/" + tenant + path, .body = form});
  };
  const std::string scope = "&scope=https%3A%2F%2Fbatch.core.windows.net%2F.default";
  const std::string start = "grant_type=client_credentials&client_id=client";
  const auto given = ask_token(start + scope + "&client_secret=s");
  EXPECT_EQ(given.status, 200);
  const json::object claims = claims_of(text_at(given.body, "access_token"));
  EXPECT_EQ(text_at(claims, "aud"), "https://batch.core.windows.net");
  EXPECT_EQ(text_at(claims, "tid"), tenant);
  EXPECT_EQ(text_at(claims, "appid"), "client");
  EXPECT_EQ(text_at(claims, "iss"), "https://sts.windows.net/" + tenant + "/");
  EXPECT_EQ(ask_token(start + scope).code(), "");
  EXPECT_EQ(text_at(ask_token(start + scope).body, "error"), "invalid_client");
  EXPECT_EQ(text_at(ask_token("grant_type=client_credentials&client_id=who&client_secret=s" + scope).body, "error"),
            "unauthorized_client");
  EXPECT_EQ(text_at(ask_token("grant_type=password&client_id=client" + scope).body, "error"), "unsupported_grant_type");
  EXPECT_EQ(text_at(ask_token(start + "&client_secret=s&resource=r", "/oauth2/token").body, "resource"), "r");
  const auto assertion = [&](const json::object& said) {
    return ask_token(start + scope +
                     "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                     "&client_assertion=e30." +
                     http::to_base64url(json::serialize(said)) + ".AA");
  };
  EXPECT_EQ(
      assertion({{"aud", "api://AzureADTokenExchange"}, {"iss", "i"}, {"sub", "s"}, {"exp", 4'000'000'000}}).status,
      200);
  EXPECT_EQ(assertion({{"aud", "api://AzureADTokenExchange"}, {"iss", "i"}, {"sub", "s"}, {"exp", 1}}).status, 401);
  EXPECT_EQ(assertion({{"aud", "other"}, {"iss", "i"}, {"sub", "s"}, {"exp", 4'000'000'000}}).status, 401);
  EXPECT_EQ(assertion({{"aud", "https://login.test/" + tenant + "/oauth2/v2.0/token"},
                       {"iss", "client"},
                       {"sub", "client"},
                       {"exp", 4'000'000'000}})
                .status,
            200);
}

TEST_F(AzureIdentity, KeysAreFoundByDiscovery) {
  const auto found = ask(AzureFace::Plane::login,
                         {.method = "GET", .target = "/" + tenant + "/v2.0/.well-known/openid-configuration"});
  const std::string keys = text_at(found.body, "jwks_uri");
  ASSERT_TRUE(keys.starts_with("https://login.test/"));
  const auto set =
      ask(AzureFace::Plane::login, {.method = "GET", .target = keys.substr(std::string("https://login.test").size())});
  const json::object key = set.body.at("keys").as_array().at(0).as_object();
  EXPECT_EQ(text_at(key, "kty"), "RSA");
  EXPECT_EQ(http::from_base64url(text_at(key, "n"))->size(), 256u);
  EXPECT_EQ(ask(AzureFace::Plane::login, {.method = "GET", .target = "/other/discovery/keys"}).status, 400);
  EXPECT_EQ(ask(AzureFace::Plane::login, {.method = "GET", .target = "/common/discovery/instance"}).status, 200);
}

TEST_F(AzureIdentity, MachinesAreToldWhatTheyAre) {
  make_pool("p", 1);
  const Machine* machine = site->find(site->of_group("batch/acc/p").front());
  ASSERT_TRUE(until([&] { return !machine->address.empty(); }));
  const auto told = imds(machine, "GET", "/metadata/instance?api-version=2021-02-01&format=json");
  EXPECT_EQ(text_at(told.body, "compute.name"), nodes("p").front());
  EXPECT_EQ(text_at(told.body, "compute.vmSize"), "Standard_D4s_v5");
  const auto leaf = imds(machine, "GET",
                         "/metadata/instance/network/interface/0/ipv4/ipAddress/0/privateIpAddress"
                         "?api-version=2021-02-01&format=text");
  EXPECT_EQ(leaf.raw.body, machine->address);
  EXPECT_EQ(imds(machine, "GET", "/metadata/instance/compute/none?api-version=2021-02-01").status, 404);
  EXPECT_EQ(imds(machine, "GET", "/metadata/instance?api-version=2021-02-01", "", {}).status, 400);
  EXPECT_EQ(imds(machine, "GET", "/metadata/instance?api-version=2021-02-01", "",
                 {{"Metadata", "true"}, {"X-Forwarded-For", "1.2.3.4"}})
                .status,
            400);
  EXPECT_EQ(imds(machine, "GET", "/metadata/instance").status, 400);
  EXPECT_EQ(imds(machine, "GET", "/metadata/instance?api-version=1999-01-01").status, 400);
  EXPECT_EQ(imds(machine, "GET", "/metadata/versions").status, 200);
  EXPECT_EQ(imds(machine, "GET", "/metadata/none?api-version=2021-02-01").status, 404);
  // No identity was given to this pool.
  const auto none = imds(machine, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01" + resource);
  EXPECT_EQ(none.status, 400);
  EXPECT_EQ(text_at(none.body, "error"), "invalid_request");
  EXPECT_EQ(text_at(imds(machine, "GET", "/metadata/scheduledevents?api-version=2020-07-01").body, "Events"), "");
}

TEST_F(AzureIdentity, TheControllerHasAnIdentityOfItsOwn) {
  const std::string path = "/metadata/identity/oauth2/token?api-version=2018-02-01" + resource;
  const auto own = imds(nullptr, "GET", path);
  ASSERT_EQ(own.status, 200) << own.raw.body;
  const json::object claims = claims_of(text_at(own.body, "access_token"));
  EXPECT_TRUE(text_at(claims, "xms_mirid").ends_with("/virtualMachines/controller"));
  EXPECT_EQ(text_at(claims, "aud"), "https://management.azure.com/");
  const auto other = imds(nullptr, "GET", path + "&msi_res_id=" + http::encode(identity_id));
  EXPECT_EQ(text_at(claims_of(text_at(other.body, "access_token")), "xms_mirid"), identity_id);
  token = text_at(own.body, "access_token");
  EXPECT_EQ(arm("GET", account_path, "2024-07-01").status, 200);
}

TEST_F(AzureIdentity, AttestedDataAreSignedUnderOurAuthority) {
  make_pool("p", 1);
  const Machine* machine = site->find(site->of_group("batch/acc/p").front());
  const auto told = imds(machine, "GET", "/metadata/attested/document?api-version=2021-02-01&nonce=1234567890");
  ASSERT_EQ(told.status, 200) << told.raw.body;
  EXPECT_EQ(text_at(told.body, "encoding"), "pkcs7");
  const auto signature = http::from_base64(text_at(told.body, "signature"));
  ASSERT_TRUE(signature);
  BIO* in = BIO_new_mem_buf(signature->data(), static_cast<int>(signature->size()));
  CMS_ContentInfo* message = d2i_CMS_bio(in, nullptr);
  BIO* ca = BIO_new_mem_buf(ca_certificate().data(), static_cast<int>(ca_certificate().size()));
  X509* authority = PEM_read_bio_X509(ca, nullptr, nullptr, nullptr);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, authority);
  X509_STORE_set_purpose(store, X509_PURPOSE_ANY);
  BIO* out = BIO_new(BIO_s_mem());
  ASSERT_EQ(CMS_verify(message, nullptr, store, nullptr, out, 0), 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  const json::object content = json::parse({data, static_cast<size_t>(size)}).as_object();
  EXPECT_EQ(text_at(content, "nonce"), "1234567890");
  EXPECT_EQ(text_at(content, "vmId"),
            text_at(imds(machine, "GET", "/metadata/instance?api-version=2021-02-01").body, "compute.vmId"));
  for (BIO* one : {in, ca, out}) BIO_free(one);
  CMS_ContentInfo_free(message);
  X509_free(authority);
  X509_STORE_free(store);
  EXPECT_EQ(imds(machine, "GET", "/metadata/attested/document?api-version=2021-02-01&nonce=12345678901").status, 400);
}

}  // namespace
}  // namespace slipway::rehearse::azure
