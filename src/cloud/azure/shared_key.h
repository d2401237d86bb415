// Batch's SharedKey: every request is signed with the account's key.
// learn.microsoft.com/rest/api/batchservice/authenticate-requests-to-the-azure-batch-service
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {

// What is signed: the method, eleven headers, the ocp- headers, "/<account><path>" and the query, decoded and sorted.
// bad_config: the URL can't be read.
Result<std::string> string_to_sign(const http::Request& request, const std::string& account);

// `key`: base64, as Azure shows it. Fails with bad_config when it isn't.
Result<std::shared_ptr<Authorizer>> make_shared_key(std::string account, std::string_view key, const Clock& clock);

// "Sun, 22 Nov 2026 20:00:00 GMT"
std::string http_date(TimePoint time);

}  // namespace slipway::cloud::azure
