// The local provider: machines made of namespaces on one Linux box, through the machine host's socket (machines/client.h).
#pragma once

#include <filesystem>
#include <memory>

#include "cloud/provider.h"
#include "model/cluster.h"

namespace slipway::cloud {

// `host_socket`: the machine host's Unix socket, as seen from this process (/run/slipway-host/host.sock on a controller).
// `daemon_address`: where agents find the daemon, "198.18.0.2:6830"; it goes into each machine's boot data.
// The provider keeps no connection and no state: every call connects anew, so a restarted machine host is found again.
std::unique_ptr<Provider> make_local_provider(const model::Cluster& cluster, std::filesystem::path host_socket,
                                              std::string daemon_address);

}  // namespace slipway::cloud
