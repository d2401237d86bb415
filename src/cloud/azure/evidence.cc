#include "cloud/azure/evidence.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "cloud/azure/compute_parse.h"
#include "cloud/azure/evidence_attested.h"
#include "cloud/azure/evidence_token.h"
#include "cloud/azure/json_values.h"
#include "http/tls.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration keys_good_for{24LL * 3'600'000};
constexpr Duration keys_read_again{60'000};  // at most so often, however many unknown keys are named
constexpr size_t issuers_max = 32;

struct KeySet {
  std::vector<SigningKey> keys;
  std::string issuer;  // of the v2 endpoint
  TimePoint read_at{};
};

std::string v1_issuer(model::AzureCloudName cloud, const std::string& tenant) {
  const bool china = cloud == model::AzureCloudName::china;
  return (china ? "https://sts.chinacloudapi.cn/" : "https://sts.windows.net/") + tenant + "/";
}

std::string metadata_host(model::AzureCloudName cloud) {
  switch (cloud) {
    case model::AzureCloudName::us_government:
      return "metadata.azure.us";
    case model::AzureCloudName::china:
      return "metadata.azure.cn";
    case model::AzureCloudName::public_cloud:
      break;
  }
  return "metadata.azure.com";
}

bool is_guid(std::string_view text) {
  return text.size() == 36 && text.find_first_not_of("0123456789abcdefABCDEF-") == std::string_view::npos;
}

}  // namespace

struct EvidenceCheck::Impl {
  explicit Impl(FleetContext given) : context(std::move(given)) {}

  using Steady = std::chrono::steady_clock;
  using Until = Steady::time_point;
  static Duration left(Until until) {
    return std::max(Duration(1), std::chrono::duration_cast<Duration>(until - Steady::now()));
  }

  model::AzureCloud cloud() const { return context.cluster->azure.value_or(model::AzureCloud{}); }

  Result<std::string> get(const std::string& url, Until until) {
    auto answer = context.client.send({.url = url}, left(until));
    if (!answer) return fail(ErrorCode::transient, url + " can't be reached: " + answer.error().message);
    if (answer->status != 200)
      return fail(ErrorCode::transient, url + " answered with status " + std::to_string(answer->status));
    return std::move(answer->body);
  }

  // The tenant that the pool's subscription is of.
  Result<std::string> tenant_of(const std::string& subscription, Until until) {
    if (const std::string configured = lower_case(cloud().identity.tenant_id); !configured.empty()) return configured;
    if (const auto known = tenants.find(subscription); known != tenants.end()) return known->second;
    auto answer = context.arm->send(
        {.url = context.endpoints.arm + "/subscriptions/" + subscription + "?api-version=2022-12-01"}, left(until));
    if (!answer) return fail(ErrorCode::transient, "the subscription's tenant can't be had: " + answer.error().message);
    const auto object = parse_object(answer->body);
    const std::string tenant = object ? lower_case(text_value(*object, "tenantId")) : std::string();
    if (!is_guid(tenant)) return fail(ErrorCode::transient, "the subscription's tenant can't be had");
    tenants[subscription] = tenant;
    return tenant;
  }

  Result<KeySet> read_keys(const std::string& tenant, Until until) {
    const std::string base = context.endpoints.login;
    const auto discovery = get(base + "/" + tenant + "/v2.0/.well-known/openid-configuration", until);
    if (!discovery) return fail(discovery.error());
    const auto object = parse_object(*discovery);
    if (!object) return fail(object.error());
    const std::string jwks = text_value(*object, "jwks_uri");
    const auto there = http::parse_url(jwks);
    const auto here = http::parse_url(base + "/");
    // The keys are as good as the connection that they come by.
    if (!there || !here || there->scheme != here->scheme || there->host != here->host || there->port != here->port)
      return fail(ErrorCode::transient, base + " says that its keys are elsewhere: " + jwks);
    const auto body = get(jwks, until);
    if (!body) return fail(body.error());
    auto keys = parse_keys(*body);
    if (!keys) return fail(keys.error());
    return KeySet{std::move(*keys), text_value(*object, "issuer"), context.clock.now()};
  }

  // The key of that name, from Entra; read again when it isn't known.
  Result<std::pair<SigningKey, std::string>> key_of(const std::string& tenant, const std::string& name, Until until) {
    for (;;) {
      const TimePoint now = context.clock.now();
      KeySet& set = key_sets[tenant];
      const auto found =
          std::find_if(set.keys.begin(), set.keys.end(), [&](const SigningKey& key) { return key.key == name; });
      if (found != set.keys.end() && now < set.read_at + keys_good_for) return std::pair(*found, set.issuer);
      const TimePoint last = keys_asked_at[tenant];
      if (last != TimePoint{} && now < last + keys_read_again) {
        if (found != set.keys.end()) return std::pair(*found, set.issuer);
        // A key may be that new; an agent tries again.
        if (set.read_at != last) return fail(ErrorCode::transient, "Entra's keys couldn't be read a moment ago");
        return fail(ErrorCode::denied, "a token signed by a key that Entra doesn't publish: " + name);
      }
      keys_asked_at[tenant] = now;
      auto fresh = read_keys(tenant, until);
      if (!fresh) {
        keys_asked_at[tenant] = now - keys_read_again + Duration(5'000);
        return fail(fresh.error());
      }
      fresh->read_at = now;
      set = std::move(*fresh);
    }
  }

  Result<void> check_token(const Evidence& evidence, const model::AzurePool& pool, const MachineFacts& machine,
                           Until until) {
    const auto token = parse_token(evidence.document);
    if (!token) return fail(token.error());
    const std::lock_guard lock(mutex);
    const auto tenant = tenant_of(pool.subscription, until);
    if (!tenant) return fail(tenant.error());
    // Before anything is fetched for it.
    if (lower_case(token->tenant) != *tenant) return fail(ErrorCode::denied, "a token of another tenant");
    const auto key = key_of(*tenant, token->key, until);
    if (!key) return fail(key.error());
    if (!verify_rs256(key->first, token->signed_text, token->signature))
      return fail(ErrorCode::denied, "a token whose signature is wrong");
    std::string resource = context.endpoints.arm_resource;
    while (resource.ends_with('/')) resource.pop_back();
    const TokenRules rules{
        .issuers = {v1_issuer(cloud().cloud, *tenant), context.endpoints.login + "/" + *tenant + "/v2.0", key->second},
        .audiences = {resource, resource + "/"},
        .tenant = token->tenant,  // compared above
        .resource = pool.node_identity.empty() ? machine.resource_id : pool.node_identity,
        .now = context.clock.now()};
    return check_claims(*token, rules);
  }

  Result<void> check_attested(const Evidence& evidence, const model::AzurePool& pool, const MachineFacts& machine,
                              Until until) {
    std::string host;
    x509_store_st* trust = nullptr;
    {
      const std::lock_guard lock(mutex);
      if (!tls) {
        auto made = http::client_context(cloud().endpoints.ca_file);
        if (!made) return fail(ErrorCode::transient, made.error().message);
        tls = std::move(*made);
      }
      trust = SSL_CTX_get_cert_store(tls.get());
      host = metadata_host(cloud().cloud);
    }
    const auto data =
        open_attested(evidence.document,
                      {.host = host, .trust = trust, .now = context.clock.now(), .fetch_issuer = [&](const auto& url) {
                         return issuer(url, until);
                       }});
    if (!data) return fail(data.error());
    if (pool.kind == model::AzurePoolKind::batch) return {};  // its VM may well be of a subscription of Batch's own
    if (machine.vm_id.empty()) return fail(ErrorCode::transient, "the VM's id isn't listed yet");
    if (data->vm_id != lower_case(machine.vm_id)) return fail(ErrorCode::denied, "attested data of another VM");
    if (data->subscription != lower_case(pool.subscription))
      return fail(ErrorCode::denied, "attested data of another subscription");
    return {};
  }

  Result<std::string> issuer(const std::string& url, Until until) {
    {
      const std::lock_guard lock(mutex);
      if (const auto known = issuers.find(url); known != issuers.end()) return known->second;
    }
    auto der = get(url, until);
    if (!der) return der;
    const std::lock_guard lock(mutex);
    if (issuers.size() < issuers_max && is_certificate(*der)) issuers[url] = *der;
    return der;
  }

  const FleetContext context;
  std::mutex mutex;                            // of all below; held while keys are read, so that they are read once
  std::map<std::string, std::string> tenants;  // by subscription
  std::map<std::string, KeySet> key_sets;      // by tenant
  std::map<std::string, TimePoint> keys_asked_at;
  std::map<std::string, std::string> issuers;  // certificates by URL
  http::TlsContext tls;                        // for its trust store
};

EvidenceCheck::EvidenceCheck(FleetContext context) : impl_(std::make_unique<Impl>(std::move(context))) {}
EvidenceCheck::~EvidenceCheck() = default;

Result<void> EvidenceCheck::identify(const Evidence& evidence, const model::Instance& listed,
                                     const MachineFacts& machine, Duration timeout) {
  const Impl::Until until = Impl::Steady::now() + timeout;
  if (evidence.document.size() > evidence_bytes_max) return fail(ErrorCode::denied, "the evidence is too long");
  if (listed.id != evidence.instance) return fail(ErrorCode::denied, "evidence for another instance");
  if (listed.state == model::InstanceState::gone || listed.state == model::InstanceState::stopping)
    return fail(ErrorCode::denied, listed.id.str() + " is gone or on its way out");
  if (listed.address.empty())
    return fail(ErrorCode::transient, "the address of " + listed.id.str() + " isn't listed yet");
  if (listed.address != evidence.address) {
    return fail(ErrorCode::denied, listed.id.str() + " is at " + listed.address + ", and somebody at " +
                                       evidence.address + " says to be it");
  }
  const auto& pools = impl_->context.cluster->pools;
  const auto pool =
      std::find_if(pools.begin(), pools.end(), [&](const model::Pool& one) { return one.name == listed.pool; });
  if (pool == pools.end() || !pool->azure) return fail(ErrorCode::denied, listed.pool.str() + " is no pool of Azure");
  if (evidence.kind == "azure_token") return impl_->check_token(evidence, *pool->azure, machine, until);
  if (evidence.kind == "azure_attested") {
    // Who was given an identity must show it.
    if (!pool->azure->node_identity.empty())
      return fail(ErrorCode::denied, "machines of " + listed.pool.str() + " must show their identity's token");
    return impl_->check_attested(evidence, *pool->azure, machine, until);
  }
  return fail(ErrorCode::denied, "unknown evidence: " + evidence.kind);
}

}  // namespace slipway::cloud::azure
