// Whether a machine is who it says it is: what Azure signed for it, checked against the listing.
//
//   azure_token      a token of Entra for the managed identity that the pool's machines have. It says which identity;
//                    which of the pool's machines speaks is said by its address.
//   azure_attested   the instance metadata service's attested data: which VM. A Batch node's VM isn't in any listing
//                    of ours, so there the address alone says which node; Azure's network forges no addresses.
//
// Whoever speaks is privileged on the machine (cloud::Evidence), so that a user's job can't speak for it.
#pragma once

#include <memory>

#include "cloud/azure/fleet.h"

namespace slipway::cloud::azure {

// Thread-safe.
class EvidenceCheck {
 public:
  explicit EvidenceCheck(FleetContext context);
  ~EvidenceCheck();

  // `listed`: the instance of that id in the newest listing. denied: it is somebody else or the evidence is no good;
  // transient: what is needed to tell (Entra's keys, a certificate, the instance's address) can't be had now.
  Result<void> identify(const Evidence& evidence, const model::Instance& listed, const MachineFacts& machine,
                        Duration timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway::cloud::azure
