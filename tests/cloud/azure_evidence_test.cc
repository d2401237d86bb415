// Evidence that is good, and every way in which it isn't. The authority, Entra and the machines' certificates are the
// test's own.
#include "cloud/azure/evidence.h"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/cms.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <boost/json.hpp>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "azure_scale_set_fake.h"
#include "cloud/azure/evidence_attested.h"
#include "cloud/azure/evidence_token.h"
#include "http/base64.h"
#include "http/digest.h"
#include "http/tls.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
using KeyPtr = std::shared_ptr<EVP_PKEY>;
using CertificatePtr = std::shared_ptr<X509>;

constexpr Duration timeout{5'000};
const std::string tenant = "72f988bf-0000-4000-8000-000000000001";
const std::string subscription = "11111111-2222-3333-4444-555555555555";
const std::string identity =
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourcegroups/rg/providers/Microsoft.ManagedIdentity/"
    "userAssignedIdentities/nodes";

KeyPtr new_key(int bits = 2048) {
  return {EVP_RSA_gen(static_cast<unsigned>(bits)), &EVP_PKEY_free};
}
// Making keys takes long: these are shared by all tests.
const KeyPtr& entra_key() {
  static const KeyPtr key = new_key();
  return key;
}
const KeyPtr& other_key() {
  static const KeyPtr key = new_key();
  return key;
}
const KeyPtr& short_key() {
  static const KeyPtr key = new_key(1024);
  return key;
}

std::string number_of(const KeyPtr& key, const char* name) {
  BIGNUM* value = nullptr;
  EVP_PKEY_get_bn_param(key.get(), name, &value);
  std::string bytes(static_cast<size_t>(BN_num_bytes(value)), '\0');
  BN_bn2bin(value, reinterpret_cast<unsigned char*>(bytes.data()));
  BN_free(value);
  return bytes;
}

std::string sign_rs256(const KeyPtr& key, std::string_view text) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  size_t size = 512;
  std::string signature(size, '\0');
  EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key.get());
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                 reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(context);
  signature.resize(size);
  return signature;
}

struct CertificateWish {
  std::string name;
  bool authority = false;
  std::string alternative;  // a DNS name
  std::string issuer_url;
  long from = -3'600;  // seconds from `now`
  long to = 86'400;
};

constexpr std::time_t start_time = 1'795'000'000;  // 2026-11-18

void extend(X509* certificate, int nid, const std::string& value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
  ASSERT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

CertificatePtr certify(const CertificateWish& wish, const KeyPtr& key, const CertificatePtr& issuer,
                       const KeyPtr& issuer_key) {
  static long serial = 1;
  CertificatePtr certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), start_time + wish.from);
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), start_time + wish.to);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(wish.name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer ? issuer.get() : certificate.get()));
  X509_set_pubkey(certificate.get(), key.get());
  extend(certificate.get(), NID_basic_constraints, wish.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!wish.authority) extend(certificate.get(), NID_ext_key_usage, "serverAuth");  // as Azure's is
  if (!wish.alternative.empty()) extend(certificate.get(), NID_subject_alt_name, "DNS:" + wish.alternative);
  if (!wish.issuer_url.empty()) extend(certificate.get(), NID_info_access, "caIssuers;URI:" + wish.issuer_url);
  X509_sign(certificate.get(), issuer_key ? issuer_key.get() : key.get(), EVP_sha256());
  return certificate;
}

std::string der_of(const CertificatePtr& certificate) {
  unsigned char* bytes = nullptr;
  const int size = i2d_X509(certificate.get(), &bytes);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  return der;
}

struct CmsWish {
  std::vector<CertificatePtr> others;
  const EVP_MD* digest = EVP_sha256();
  bool detached = false;
};

std::string sign_cms(const std::string& text, const CertificatePtr& certificate, const KeyPtr& key,
                     const CmsWish& wish = {}) {
  STACK_OF(X509)* others = sk_X509_new_null();
  for (const CertificatePtr& one : wish.others) sk_X509_push(others, one.get());
  BIO* input = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  const unsigned flags = CMS_BINARY | CMS_PARTIAL | (wish.detached ? CMS_DETACHED : 0);
  CMS_ContentInfo* cms = CMS_sign(nullptr, nullptr, others, input, flags);
  CMS_add1_signer(cms, certificate.get(), key.get(), wish.digest, CMS_BINARY);
  CMS_final(cms, input, nullptr, flags);
  unsigned char* bytes = nullptr;
  const int size = i2d_CMS_ContentInfo(cms, &bytes);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<size_t>(size));
  OPENSSL_free(bytes);
  CMS_ContentInfo_free(cms);
  BIO_free_all(input);
  sk_X509_free(others);
  return http::to_base64(der);
}

std::string stamp(TimePoint time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  std::strftime(text, sizeof(text), "%m/%d/%y %H:%M:%S -0000", &parts);
  return text;
}

// Entra and the part of ARM that tells a subscription's tenant.
class FakeEntra {
 public:
  FakeEntra() {
    server_ =
        std::make_unique<http::Server>(loop_, http::ServerOptions{}, [this](http::Asked asked, http::Answer answer) {
          const std::lock_guard lock(mutex);
          ++calls;
          if (down) return;
          if (asked.target.find("openid-configuration") != std::string::npos) {
            return answer({200,
                           {},
                           json::serialize(json::object{{"issuer", url() + "/" + tenant + "/v2.0"},
                                                        {"jwks_uri", jwks.empty() ? url() + "/keys" : jwks}})});
          }
          if (asked.target == "/keys") return answer({200, {}, keys});
          if (asked.target.starts_with("/subscriptions/" + subscription))
            return answer({200, {}, R"({"tenantId":")" + tenant + "\"}"});
          answer({404, {}, ""});
        });
    http::Door door;
    door.listen = "127.0.0.1:0";
    port_ = server_->add(std::move(door))->port;
    thread_ = std::thread([this] { loop_.run(); });
    keys = key_set({{"k1", entra_key()}});
  }
  ~FakeEntra() {
    loop_.stop();
    thread_.join();
  }
  static std::string key_set(const std::vector<std::pair<std::string, KeyPtr>>& of) {
    json::array list;
    for (const auto& [name, key] : of) {
      list.push_back(json::object{{"kty", "RSA"},
                                  {"use", "sig"},
                                  {"kid", name},
                                  {"n", http::to_base64url(number_of(key, OSSL_PKEY_PARAM_RSA_N))},
                                  {"e", http::to_base64url(number_of(key, OSSL_PKEY_PARAM_RSA_E))}});
    }
    return json::serialize(json::object{{"keys", list}});
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  std::mutex mutex;
  std::string keys;
  std::string jwks;
  bool down = false;
  uint32_t calls = 0;

 private:
  uint16_t port_ = 0;
  Loop loop_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

class EvidenceTest : public ::testing::Test {
 protected:
  EvidenceTest() : clock(TimePoint(Duration(int64_t{start_time} * 1000))) {
    model::Pool pool;
    pool.name = PoolName("cpu");
    pool.azure.emplace();
    pool.azure->kind = model::AzurePoolKind::scale_set;
    pool.azure->subscription = subscription;
    pool.azure->node_identity = identity;
    cluster.azure.emplace();
    cluster.pools.push_back(pool);
    pool.name = PoolName("batch");
    pool.azure->kind = model::AzurePoolKind::batch;
    cluster.pools.push_back(pool);
    evidence = {.instance = InstanceId("cpu/vm_1"), .kind = "azure_token", .address = "10.0.0.7"};
    listed.id = evidence.instance;
    listed.pool = PoolName("cpu");
    listed.state = model::InstanceState::running;
    listed.address = "10.0.0.7";
    claims = {{"iss", "https://sts.windows.net/" + tenant + "/"},
              {"aud", "https://management.azure.com/"},
              {"tid", tenant},
              {"xms_mirid", identity},
              {"nbf", int64_t{start_time} - 60},
              {"exp", int64_t{start_time} + 3'600}};
    authority = certify({.name = "Test Root", .authority = true}, other_key(), nullptr, nullptr);
    leaf = certify({.name = "metadata.azure.com", .alternative = "metadata.azure.com"}, entra_key(), authority,
                   other_key());
    data = {
        {"vmId", "AAAA-1"},
        {"subscriptionId", subscription},
        {"nonce", std::to_string(start_time - 5)},
        {"timeStamp", {{"createdOn", stamp(clock.now())}, {"expiresOn", stamp(clock.now() + Duration(21'600'000))}}}};
    ca_file = std::filesystem::temp_directory_path() / ("slipway-evidence-" + std::to_string(::getpid()) + ".pem");
    std::FILE* file = std::fopen(ca_file.c_str(), "w");
    PEM_write_X509(file, authority.get());
    std::fclose(file);
  }
  ~EvidenceTest() override { std::filesystem::remove(ca_file); }

  EvidenceCheck& check() {
    if (!check_) {
      cluster.azure->endpoints.ca_file = ca_file;
      Endpoints endpoints;
      endpoints.arm = entra.url();
      endpoints.login = entra.url();
      endpoints.arm_resource = "https://management.azure.com/";
      check_ = std::make_unique<EvidenceCheck>(
          FleetContext{.cluster = std::make_shared<model::Cluster>(cluster),
                       .clock = clock,
                       .client = client,
                       .arm = std::make_shared<Rest>(client, std::make_shared<FakeBearer>()),
                       .endpoints = endpoints,
                       .options = {}});
    }
    return *check_;
  }

  std::string token(const json::object& header = {{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "k1"}}) {
    return token_by(entra_key(), header);
  }
  std::string token_by(const KeyPtr& key, const json::object& header) {
    const std::string text =
        http::to_base64url(json::serialize(header)) + "." + http::to_base64url(json::serialize(claims));
    return text + "." + http::to_base64url(sign_rs256(key, text));
  }
  std::string attested(const CmsWish& wish = {}) { return sign_cms(json::serialize(data), leaf, entra_key(), wish); }

  // "" for yes, else the error's code and message.
  std::string verdict() {
    auto result = check().identify(evidence, listed, machine, timeout);
    return result ? "" : std::string(to_string(result.error().code)) + ": " + result.error().message;
  }
  std::string of_token(const std::string& document) {
    evidence.document = document;
    return verdict();
  }
  std::string of_attested(const std::string& document) {
    cluster.pools[0].azure->node_identity.clear();
    cluster.pools[1].azure->node_identity.clear();
    evidence.kind = "azure_attested";
    evidence.document = document;
    return verdict();
  }

  FakeEntra entra;
  http::Client client;
  ManualClock clock;
  model::Cluster cluster;
  Evidence evidence;
  model::Instance listed;
  MachineFacts machine{.vm_id = "aaaa-1", .resource_id = "/subscriptions/s/vm_1"};
  json::object claims;
  json::object data;
  CertificatePtr authority;
  CertificatePtr leaf;
  std::filesystem::path ca_file;
  std::unique_ptr<EvidenceCheck> check_;
};

bool denied(const std::string& verdict) {
  return verdict.starts_with("denied: ");
}
bool transient(const std::string& verdict) {
  return verdict.starts_with("transient: ");
}

TEST_F(EvidenceTest, ATokenOfTheMachinesIdentityIsGood) {
  EXPECT_EQ(of_token(token()), "");
  const uint32_t calls = entra.calls;
  EXPECT_EQ(of_token(token()), "");
  EXPECT_EQ(entra.calls, calls) << "keys and tenant are kept";
  claims["iss"] = entra.url() + "/" + tenant + "/v2.0";
  claims["aud"] = "https://management.azure.com";
  std::string other_case = identity;
  other_case[1] = 'S';
  claims["xms_mirid"] = other_case;
  EXPECT_EQ(of_token(token()), "") << "of the second version";
}

TEST_F(EvidenceTest, ATokenSignedByAnotherKeyIsDenied) {
  EXPECT_TRUE(denied(of_token(token_by(other_key(), {{"alg", "RS256"}, {"kid", "k1"}}))));
}

TEST_F(EvidenceTest, ATokenThatIsNotSignedIsDenied) {
  const std::string text =
      http::to_base64url(R"({"alg":"none","kid":"k1"})") + "." + http::to_base64url(json::serialize(claims)) + ".";
  EXPECT_TRUE(denied(of_token(text)));
  EXPECT_TRUE(denied(of_token(text + "AAAA")));
  EXPECT_EQ(entra.calls, 0u) << "nobody is asked for it";
}

TEST_F(EvidenceTest, ATokenSignedByThePublicKeyAsASecretIsDenied) {
  const std::string text =
      http::to_base64url(R"({"alg":"HS256","kid":"k1"})") + "." + http::to_base64url(json::serialize(claims));
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(bio, entra_key().get());
  char* pem = nullptr;
  const long size = BIO_get_mem_data(bio, &pem);
  const std::string mac = http::hmac_sha256({pem, static_cast<size_t>(size)}, text);
  BIO_free_all(bio);
  EXPECT_TRUE(denied(of_token(text + "." + http::to_base64url(mac))));
}

TEST_F(EvidenceTest, ATokenOutOfItsTimeIsDenied) {
  claims["exp"] = int64_t{start_time} - 600;
  EXPECT_TRUE(denied(of_token(token())));
  claims["exp"] = int64_t{start_time} - 60;
  EXPECT_EQ(of_token(token()), "") << "clocks differ a little";
  claims["nbf"] = int64_t{start_time} + 600;
  claims["exp"] = int64_t{start_time} + 1'200;
  EXPECT_TRUE(denied(of_token(token())));
  claims.erase("exp");
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, ATokenOfOthersIsDenied) {
  const json::object good = claims;
  for (const auto& [name, value] : {std::pair<std::string, std::string>{"tid", "00000000-0000-4000-8000-000000000009"},
                                    {"iss", "https://sts.windows.net/00000000-0000-4000-8000-000000000009/"},
                                    {"iss", "https://evil.org/" + tenant + "/"},
                                    {"aud", "https://vault.azure.net"},
                                    {"xms_mirid", identity + "2"},
                                    {"xms_mirid", ""}}) {
    claims = good;
    claims[name] = value;
    EXPECT_TRUE(denied(of_token(token()))) << name << " " << value;
  }
  claims = good;
  claims.erase("xms_mirid");
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, WithoutAnIdentityOfThePoolItIsTheMachinesOwn) {
  cluster.pools[0].azure->node_identity.clear();
  EXPECT_TRUE(denied(of_token(token())));
  claims["xms_mirid"] = machine.resource_id;
  EXPECT_EQ(of_token(token()), "");
  machine.resource_id.clear();
  claims["xms_mirid"] = "";
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, ATokenFromAnotherAddressIsDenied) {
  evidence.address = "10.0.0.8";
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, ATokenReplayedForAnotherInstanceIsDenied) {
  listed.id = InstanceId("cpu/vm_2");
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, AMachineThatIsGoneIsNobody) {
  for (const auto state : {model::InstanceState::gone, model::InstanceState::stopping}) {
    listed.state = state;
    EXPECT_TRUE(denied(of_token(token())));
  }
  listed.state = model::InstanceState::pending;
  EXPECT_EQ(of_token(token()), "");
  listed.address.clear();
  EXPECT_TRUE(transient(of_token(token()))) << "interfaces are listed a little later";
}

TEST_F(EvidenceTest, WhatIsNoTokenIsDenied) {
  const std::string good = token();
  const std::string doubled = good + "." + good;
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("a.b.c"), good.substr(0, good.size() - 4),
        good.substr(0, good.rfind('.')), good.substr(0, good.rfind('.') + 1), good + "!", doubled,
        std::string(100'000, 'A'), token({{"alg", "RS256"}}),
        token({{"alg", "RS256"}, {"kid", "k1"}, {"crit", json::array{"x"}}}),
        token({{"alg", "RS256"}, {"kid", "k1"}, {"typ", "JOSE"}}),
        token({{"alg", json::array{"RS256"}}, {"kid", "k1"}})}) {
    EXPECT_TRUE(denied(of_token(text))) << text.substr(0, 80);
  }
  EXPECT_EQ(of_token(good), "");
}

TEST_F(EvidenceTest, ANewKeyIsFetchedAndUnknownOnesDoNotFloodEntra) {
  EXPECT_EQ(of_token(token()), "");
  {
    const std::lock_guard lock(entra.mutex);
    entra.keys = FakeEntra::key_set({{"k1", entra_key()}, {"k2", other_key()}});
  }
  clock.advance(Duration(61'000));
  EXPECT_EQ(of_token(token_by(other_key(), {{"alg", "RS256"}, {"kid", "k2"}})), "");
  const uint32_t calls = entra.calls;
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(denied(of_token(token_by(other_key(), {{"alg", "RS256"}, {"kid", "k" + std::to_string(3 + i)}}))));
  EXPECT_EQ(entra.calls, calls);
  clock.advance(Duration(61'000));
  EXPECT_TRUE(denied(of_token(token_by(other_key(), {{"alg", "RS256"}, {"kid", "k3"}}))));
  EXPECT_EQ(entra.calls, calls + 2);
}

TEST_F(EvidenceTest, AShortKeyProvesNothing) {
  entra.keys = FakeEntra::key_set({{"k1", short_key()}});
  EXPECT_TRUE(denied(of_token(token_by(short_key(), {{"alg", "RS256"}, {"kid", "k1"}}))));
}

TEST_F(EvidenceTest, KeysOfAnotherPlaceAreNotTaken) {
  entra.jwks = "http://127.0.0.1:1/keys";
  EXPECT_TRUE(transient(of_token(token())));
}

TEST_F(EvidenceTest, WithoutEntraNothingIsSaid) {
  entra.down = true;
  EXPECT_TRUE(transient(of_token(token())));
  entra.down = false;
  clock.advance(Duration(6'000));
  EXPECT_EQ(of_token(token()), "");
}

TEST_F(EvidenceTest, UnknownEvidenceIsDenied) {
  evidence.kind = "aws_identity";
  EXPECT_TRUE(denied(of_token(token())));
  evidence.kind = "azure_token";
  listed.pool = PoolName("nobody");
  EXPECT_TRUE(denied(of_token(token())));
}

TEST_F(EvidenceTest, AttestedDataOfTheMachineAreGood) {
  EXPECT_EQ(of_attested(attested()), "");
}

TEST_F(EvidenceTest, AttestedDataAreNotEnoughWhereThereIsAnIdentity) {
  evidence.kind = "azure_attested";
  evidence.document = attested();
  EXPECT_TRUE(denied(verdict()));
}

TEST_F(EvidenceTest, AttestedDataOfAnotherMachineOrSubscriptionAreDenied) {
  data["vmId"] = "AAAA-2";
  EXPECT_TRUE(denied(of_attested(attested())));
  data["vmId"] = "AAAA-1";
  data["subscriptionId"] = "other";
  EXPECT_TRUE(denied(of_attested(attested())));
  data["subscriptionId"] = subscription;
  machine.vm_id.clear();
  EXPECT_TRUE(transient(of_attested(attested())));
}

TEST_F(EvidenceTest, ABatchNodesVmIsNotListedAndItsAddressIs) {
  evidence.instance = listed.id = InstanceId("batch/tvm-1");
  listed.pool = PoolName("batch");
  machine = {};
  data["subscriptionId"] = "of-batch-itself";
  EXPECT_EQ(of_attested(attested()), "");
  evidence.address = "10.0.0.8";
  EXPECT_TRUE(denied(of_attested(attested())));
}

TEST_F(EvidenceTest, AttestedDataOutOfTheirTimeAreDenied) {
  const json::object good = data;
  data["nonce"] = std::to_string(start_time - 1'000);
  EXPECT_TRUE(denied(of_attested(attested())));
  data["nonce"] = std::to_string(start_time + 1'000);
  EXPECT_TRUE(denied(of_attested(attested())));
  data["nonce"] = "20261118-120000";
  EXPECT_TRUE(denied(of_attested(attested())));
  data = good;
  data["timeStamp"] = {{"createdOn", stamp(clock.now() - Duration(7'200'000))},
                       {"expiresOn", stamp(clock.now() - Duration(3'600'000))}};
  EXPECT_TRUE(denied(of_attested(attested())));
  data["timeStamp"] = {{"createdOn", stamp(clock.now() + Duration(7'200'000))},
                       {"expiresOn", stamp(clock.now() + Duration(9'600'000))}};
  EXPECT_TRUE(denied(of_attested(attested())));
}

TEST_F(EvidenceTest, ACertificateOfAnotherNameIsDenied) {
  for (const CertificateWish& wish :
       {CertificateWish{.name = "evil.org", .alternative = "evil.org"},
        CertificateWish{.name = "metadata.azure.com", .alternative = "evil.org"},
        CertificateWish{.name = "xmetadata.azure.com"}, CertificateWish{.name = "metadata.azure.com.evil.org"},
        CertificateWish{.name = "metadata.azure.us", .alternative = "metadata.azure.us"}}) {
    leaf = certify(wish, entra_key(), authority, other_key());
    EXPECT_TRUE(denied(of_attested(attested()))) << wish.name;
  }
  leaf = certify({.name = "westeurope.metadata.azure.com"}, entra_key(), authority, other_key());
  EXPECT_EQ(of_attested(attested()), "");
}

TEST_F(EvidenceTest, ACertificateOfAnotherAuthorityIsDenied) {
  const auto other = certify({.name = "Test Root", .authority = true}, short_key(), nullptr, nullptr);
  leaf = certify({.name = "metadata.azure.com"}, entra_key(), other, short_key());
  EXPECT_TRUE(denied(of_attested(attested())));
  EXPECT_TRUE(denied(of_attested(attested({.others = {other}})))) << "bringing its authority along is no help";
  leaf = certify({.name = "metadata.azure.com"}, entra_key(), nullptr, nullptr);
  EXPECT_TRUE(denied(of_attested(attested()))) << "signed by itself";
}

TEST_F(EvidenceTest, AMachinesCertificateIsNoAuthority) {
  const auto middle = certify({.name = "metadata.azure.com"}, short_key(), authority, other_key());
  leaf = certify({.name = "metadata.azure.com"}, entra_key(), middle, short_key());
  EXPECT_TRUE(denied(of_attested(attested({.others = {middle}}))));
}

TEST_F(EvidenceTest, ACertificateOutOfItsTimeIsDenied) {
  leaf = certify({.name = "metadata.azure.com", .from = -7'200, .to = -3'600}, entra_key(), authority, other_key());
  EXPECT_TRUE(denied(of_attested(attested())));
}

TEST_F(EvidenceTest, AnIntermediateMayComeAlongOrBeFetched) {
  static const KeyPtr middle_key = new_key();
  const auto middle = certify({.name = "Test Issuing", .authority = true}, middle_key, authority, other_key());
  const std::string url = "http://www.microsoft.com/pkiops/certs/issuing.crt";
  leaf = certify({.name = "metadata.azure.com", .issuer_url = url}, entra_key(), middle, middle_key);
  EXPECT_EQ(of_attested(attested({.others = {middle}})), "");

  auto context = http::client_context(ca_file);
  ASSERT_TRUE(context);
  std::vector<std::string> asked;
  AttestedRules rules{.host = "metadata.azure.com",
                      .trust = SSL_CTX_get_cert_store(context->get()),
                      .now = clock.now(),
                      .fetch_issuer = [&](const std::string& from) -> Result<std::string> {
                        asked.push_back(from);
                        return der_of(middle);
                      }};
  EXPECT_TRUE(open_attested(attested(), rules));
  EXPECT_EQ(asked, std::vector<std::string>{url});
  rules.fetch_issuer = [](const std::string&) -> Result<std::string> { return fail(ErrorCode::transient, "away"); };
  EXPECT_EQ(open_attested(attested(), rules).error().code, ErrorCode::transient);
  rules.fetch_issuer = [](const std::string&) -> Result<std::string> { return std::string("rubbish"); };
  EXPECT_EQ(open_attested(attested(), rules).error().code, ErrorCode::denied);
  // Only what is a certificate is kept for later.
  EXPECT_TRUE(is_certificate(der_of(middle)));
  EXPECT_FALSE(is_certificate("rubbish"));
  EXPECT_FALSE(is_certificate(der_of(middle) + std::string(64u << 10, 'x')));
  // Nobody sends us to places of his own.
  leaf = certify({.name = "metadata.azure.com", .issuer_url = "http://169.254.169.254/x"}, entra_key(), middle,
                 middle_key);
  rules.fetch_issuer = [](const std::string&) -> Result<std::string> {
    ADD_FAILURE() << "asked";
    return std::string();
  };
  EXPECT_EQ(open_attested(attested(), rules).error().code, ErrorCode::denied);
}

TEST(IssuerUrls, AreMicrosoftsAndDigicerts) {
  EXPECT_TRUE(is_issuer_url("http://www.microsoft.com/pkiops/certs/x.crt"));
  EXPECT_TRUE(is_issuer_url("http://cacerts.digicert.com/x.crt"));
  for (const char* url : {"http://microsoft.com.evil.org/x", "http://evilmicrosoft.com/", "file:///etc/passwd",
                          "http://www.microsoft.com:8080/", "http://10.0.0.1/", ""})
    EXPECT_FALSE(is_issuer_url(url)) << url;
}

TEST_F(EvidenceTest, ASignatureByAnotherKeyOrOverOtherTextIsDenied) {
  // The certificate is good, the key isn't its own.
  const std::string good = attested();
  auto der = http::from_base64(good);
  ASSERT_TRUE(der);
  const size_t at = der->find("AAAA-1");
  ASSERT_NE(at, std::string::npos);
  std::string changed = *der;
  changed[at + 5] = '2';
  machine.vm_id = "aaaa-2";
  EXPECT_TRUE(denied(of_attested(http::to_base64(changed))));
  machine.vm_id = "aaaa-1";
  std::string broken = *der;
  broken.back() = static_cast<char>(broken.back() ^ 1);
  EXPECT_TRUE(denied(of_attested(http::to_base64(broken))));
  EXPECT_EQ(of_attested(good), "");
}

TEST_F(EvidenceTest, AWeakDigestIsDenied) {
  EXPECT_TRUE(denied(of_attested(attested({.digest = EVP_sha1()}))));
}

TEST_F(EvidenceTest, WhatIsNoAttestedDocumentIsDenied) {
  const std::string good = attested();
  const auto der = http::from_base64(good);
  ASSERT_TRUE(der);
  for (const std::string& text :
       {std::string(), std::string("!!!"), http::to_base64("text"), http::to_base64(der->substr(0, der->size() / 2)),
        http::to_base64(*der + "x"), std::string(20'000, 'A'), good.substr(0, good.size() - 8),
        attested({.detached = true}), sign_cms("not JSON", leaf, entra_key()), sign_cms("{}", leaf, entra_key()),
        sign_cms(R"({"vmId":7,"timeStamp":[]})", leaf, entra_key())}) {
    EXPECT_TRUE(denied(of_attested(text))) << text.substr(0, 80);
  }
}

}  // namespace
}  // namespace slipway::cloud::azure
