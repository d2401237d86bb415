// The simulated Azure: the Batch data plane, the part of ARM and of the compute API that Slipway uses, Entra's token
// endpoint, and what a machine sees at 169.254.169.254. As strict as the published descriptions (data/azure-api/).
// On the loop's thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/loop.h"
#include "http/server.h"
#include "rehearse/gate.h"
#include "rehearse/site.h"

namespace slipway::rehearse {

struct BatchAccount {
  std::string name;
  std::string key;  // base64; SharedKey
  std::string subscription;
  std::string resource_group;
  std::string region;
  uint32_t dedicated_cores = 0;  // quota; 0: 100,000
  uint32_t low_priority_cores = 0;
  uint32_t pools = 0;  // 0: 100
};

// What exists in this Azure before anybody made anything.
struct AzureWorld {
  std::string tenant = "72f988bf-0000-4000-8000-000000000001";
  std::vector<std::string> subscriptions;
  std::vector<std::string> resource_groups;  // "subscription/name/region"; those that resources are in are added
  std::vector<std::string> subnets;          // resource ids; each has room for 65,000 addresses
  std::vector<std::string> identities;       // resource ids of user-assigned identities
  std::vector<std::string>
      images;  // resource ids, "publisher:offer:sku:version"; those that Batch accepts are built in
  std::vector<BatchAccount> batch_accounts;
  std::vector<std::string> client_ids;  // service principals; any secret that isn't empty is theirs
  std::string machine_image;            // root file system of the machines; empty: the box's own
};

struct AzureOptions {
  std::string certificate;  // PEM chain and key of the HTTPS doors
  std::string key;
  std::string ca_certificate;  // PEM; the authority that attested data is signed under
  std::string ca_key;
  std::string host;  // what the world calls this server: "198.18.16.1", in URLs that it hands out
};

class AzureFace {
 public:
  AzureFace(Loop& loop, const Clock& clock, Site& site, Gate& gate, AzureWorld world, AzureOptions options);
  ~AzureFace();

  // What each door of the server speaks. A Batch door is one account's.
  enum class Plane : uint8_t { arm, login, batch };
  void handle(Plane plane, const std::string& batch_account, http::Asked asked, http::Answer answer);
  // IMDS, asked from inside a machine. `machine` null: from the controller, which has the system-assigned identity.
  void handle_imds(const Machine* machine, http::Asked asked, http::Answer answer);

  // For URLs in answers; set once the doors are open. "https://198.18.16.1:7443"
  void set_urls(std::string arm, std::string login, std::vector<std::pair<std::string, std::string>> batch_by_account);

  // Everything that exists besides machines, as JSON: pools, scale sets, placement groups, signing keys. load() comes
  // before the site's machines are loaded and before the first call; bad_config: the text isn't what save() wrote.
  std::string save() const;
  Result<void> load(std::string_view json);
  // A saved order with its functions given back; null: its group isn't there any more.
  std::shared_ptr<const Order> order_of(Order saved) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway::rehearse
