// Azure as a provider: pools that are Batch pools or scale sets, in any number of accounts, regions and subscriptions.
//
// Nothing is remembered that Azure doesn't know itself. A pool of the cluster file is one Batch pool, or one scale set
// a market, for each of its machine types; they are made and corrected when they are first looked at, carry the
// cluster's name as metadata or tags, and are never touched when another owner's name is on them.
//
// Instance ids are "<pool>/<Batch node id>" and "<pool>/<VM name>".
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "cloud/provider.h"
#include "model/cluster.h"

namespace slipway::cloud {

struct AzureOptions {
  std::string daemon;      // "10.0.0.4:6830", for the agents
  std::string daemon_key;  // its public key in hex (join/claim.h)
};

// The pools of `cluster` whose provider is azure. Fails with bad_config when a key or certificate file can't be read;
// asks Azure nothing yet.
Result<std::unique_ptr<Provider>> make_azure_provider(const model::Cluster& cluster, const Clock& clock,
                                                      AzureOptions options);

}  // namespace slipway::cloud
