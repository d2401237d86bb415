// Batch's SharedKey: whether a request is signed with an account's key.
// https://learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"

namespace slipway::rehearse::azure {

// denied, with a sentence for the error's details. `key`: base64. The date may be 15 minutes off.
Result<void> verify_shared_key(const http::Asked& asked, const std::string& account, const std::string& key,
                               TimePoint now);

}  // namespace slipway::rehearse::azure
