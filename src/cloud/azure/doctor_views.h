// What `doctor` reads out of Azure's answers, as plain data. Pure; takes whatever is sent: a body that isn't JSON is an
// error, what is missing in it is empty.
//
// Shapes: Microsoft.Authorization 2022-04-01, Microsoft.Batch and Microsoft.Compute 2024-07-01, Microsoft.Network
// 2024-01-01.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cloud/azure/compute_parse.h"
#include "cloud/azure/role.h"

namespace slipway::cloud::azure {

// Who a token says that its bearer is. Nothing is verified.
struct TokenClaims {
  std::string application;  // client id
  std::string object;       // of the service principal or person, as role assignments name it
  std::string tenant;
  std::string name;  // of a person; empty for applications
};
Result<TokenClaims> parse_claims(std::string_view token);

Result<Page<Grant>> parse_permissions(std::string_view body);

struct BatchAccountView {
  std::string region;
  std::string state;                     // "Succeeded"
  std::string endpoint;                  // "account.region.batch.azure.com"
  bool user_subscription = false;        // its machines count against the subscription's quotas
  bool is_public = true;                 // its API can be reached from the Internet
  std::set<std::string> authentication;  // "AAD", "SharedKey"; empty: not told, which means all
  std::optional<uint32_t> dedicated_cores;
  std::optional<uint32_t> low_priority_cores;
  bool per_family = false;
  std::map<std::string, uint32_t> family_cores;  // lower case
  uint32_t pools = 0;
};
Result<BatchAccountView> parse_batch_account(std::string_view body);

Result<Page<std::string>> parse_batch_sizes(std::string_view body);  // lower case

struct SubnetView {
  uint64_t addresses = 0;  // IPv4, without the five of each range that Azure keeps
  uint64_t used = 0;
  std::string delegated_to;  // a service that has it for itself; empty: none
};
Result<SubnetView> parse_subnet(std::string_view body);

struct ImageView {
  std::string region;             // of a managed image
  std::set<std::string> regions;  // of a gallery image's version: where it has copies
};
Result<ImageView> parse_image(std::string_view body);
// "location" of any resource.
Result<std::string> parse_region(std::string_view body);

// "West Europe" and "westeurope" are the same region.
std::string region_word(std::string_view region);

}  // namespace slipway::cloud::azure
