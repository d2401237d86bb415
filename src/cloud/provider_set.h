// Several providers as one: each pool's calls go to its own. A listing is complete when all are. Instance ids tell
// their provider by the pool they were last listed in; unknown ones are offered to each.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "cloud/provider.h"

namespace slipway::cloud {

struct ProviderOfPools {
  std::unique_ptr<Provider> provider;
  std::vector<PoolName> pools;
};

// What suits the slower of two suits both: one engine waits for each.
Capabilities most_careful(Capabilities one, const Capabilities& other);

// With one member it is that provider itself.
std::unique_ptr<Provider> join_providers(std::vector<ProviderOfPools> members);

}  // namespace slipway::cloud
