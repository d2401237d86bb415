// The providers of a cluster's pools, as one (cloud/provider_set.h).
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cloud/provider.h"
#include "join/handshake.h"
#include "model/cluster.h"

namespace slipway::daemon {

struct ProviderOptions {
  std::filesystem::path host_socket;  // of the machine host: local pools, and the login machines of every cluster
  std::string listen;                 // for agents: "198.18.0.2:6830"
  join::Key master{};
};

// bad_config: a provider's settings can't be used.
Result<std::unique_ptr<cloud::Provider>> make_providers(const model::Cluster& cluster, const Clock& clock,
                                                        const ProviderOptions& options);

}  // namespace slipway::daemon
