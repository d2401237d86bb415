#include "cloud/azure/doctor_views.h"

#include <boost/json.hpp>
#include <charconv>

#include "cloud/azure/json_values.h"
#include "http/base64.h"

namespace slipway::cloud::azure {

namespace json = boost::json;

namespace {

// Azure keeps the first four addresses and the last of every range.
constexpr uint64_t addresses_kept = 5;

std::vector<std::string> texts(const json::object& object, std::string_view key) {
  std::vector<std::string> all;
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return all;
  for (const json::value& each : value->get_array()) {
    if (each.is_string()) all.emplace_back(each.get_string());
  }
  return all;
}

std::optional<uint32_t> number(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return count_value(object, key);
}

const json::object& inside(const json::object& object, std::string_view key) {
  static const json::object nothing;
  const json::object* found = object_value(object, key);
  return found != nullptr ? *found : nothing;
}

// The usable addresses of "10.0.0.0/24"; none of IPv6, which machines don't take from the subnet one by one.
uint64_t addresses_of(std::string_view prefix) {
  const size_t slash = prefix.find('/');
  if (slash == std::string_view::npos || prefix.find(':') != std::string_view::npos) return 0;
  unsigned bits = 0;
  const std::string_view digits = prefix.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
  if (error != std::errc() || end != digits.data() + digits.size() || bits < 1 || bits > 32) return 0;
  const uint64_t all = uint64_t{1} << (32 - bits);
  return all > addresses_kept ? all - addresses_kept : 0;
}

}  // namespace

std::string region_word(std::string_view region) {
  std::string word = lower_case(region);
  std::erase(word, ' ');
  return word;
}

Result<TokenClaims> parse_claims(std::string_view token) {
  const auto opaque = fail(ErrorCode::permanent, "the token can't be read");
  const size_t begin = token.find('.');
  const size_t end = begin == std::string_view::npos ? begin : token.find('.', begin + 1);
  if (end == std::string_view::npos) return opaque;
  const auto text = http::from_base64url(token.substr(begin + 1, end - begin - 1));
  if (!text) return opaque;
  const auto object = parse_object(*text);
  if (!object) return opaque;
  TokenClaims claims;
  claims.application = text_value(*object, "appid");
  if (claims.application.empty()) claims.application = text_value(*object, "azp");
  claims.object = text_value(*object, "oid");
  claims.tenant = text_value(*object, "tid");
  claims.name = text_value(*object, "upn");
  if (claims.name.empty()) claims.name = text_value(*object, "unique_name");
  return claims;
}

Result<Page<Grant>> parse_permissions(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  Page<Grant> page;
  page.next = text_value(*object, "nextLink");
  for_each_object(*object, "value", [&](const json::object& each) {
    page.items.push_back({texts(each, "actions"), texts(each, "notActions")});
  });
  return page;
}

Result<BatchAccountView> parse_batch_account(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  const json::object& properties = inside(*object, "properties");
  BatchAccountView account;
  account.region = text_value(*object, "location");
  account.state = text_value(properties, "provisioningState");
  account.endpoint = text_value(properties, "accountEndpoint");
  account.user_subscription = text_value(properties, "poolAllocationMode") == "UserSubscription";
  account.is_public = text_value(properties, "publicNetworkAccess") != "Disabled";
  for (std::string& mode : texts(properties, "allowedAuthenticationModes")) {
    account.authentication.insert(std::move(mode));
  }
  account.dedicated_cores = number(properties, "dedicatedCoreQuota");
  account.low_priority_cores = number(properties, "lowPriorityCoreQuota");
  account.per_family = bool_value(properties, "dedicatedCoreQuotaPerVMFamilyEnforced");
  for_each_object(properties, "dedicatedCoreQuotaPerVMFamily", [&](const json::object& family) {
    account.family_cores[lower_case(text_value(family, "name"))] = count_value(family, "coreQuota");
  });
  account.pools = count_value(properties, "poolQuota");
  return account;
}

Result<Page<std::string>> parse_batch_sizes(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  Page<std::string> page;
  page.next = text_value(*object, "nextLink");
  for_each_object(*object, "value",
                  [&](const json::object& size) { page.items.push_back(lower_case(text_value(size, "name"))); });
  return page;
}

Result<SubnetView> parse_subnet(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  const json::object& properties = inside(*object, "properties");
  SubnetView subnet;
  std::vector<std::string> prefixes = texts(properties, "addressPrefixes");
  if (prefixes.empty()) prefixes.push_back(text_value(properties, "addressPrefix"));
  for (const std::string& prefix : prefixes) subnet.addresses += addresses_of(prefix);
  const json::value* used = properties.if_contains("ipConfigurations");
  if (used != nullptr && used->is_array()) subnet.used = used->get_array().size();
  for_each_object(properties, "delegations", [&](const json::object& delegation) {
    subnet.delegated_to = text_value(inside(delegation, "properties"), "serviceName");
  });
  return subnet;
}

Result<ImageView> parse_image(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  ImageView image;
  image.region = text_value(*object, "location");
  const json::object& profile = inside(inside(*object, "properties"), "publishingProfile");
  for_each_object(profile, "targetRegions",
                  [&](const json::object& region) { image.regions.insert(region_word(text_value(region, "name"))); });
  return image;
}

Result<std::string> parse_region(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  return text_value(*object, "location");
}

}  // namespace slipway::cloud::azure
