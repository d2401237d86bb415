// Entra's endpoints: tokens for clients with a secret or an assertion, and what others need to verify tokens.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
#pragma once

#include <string>

#include "http/server.h"
#include "http/url.h"
#include "rehearse/azure/core.h"

namespace slipway::rehearse::azure {

class Login {
 public:
  explicit Login(Core& core) : core_(core) {}
  void handle(http::Asked asked, http::Answer answer);

 private:
  http::Response act(const http::Asked& asked) const;
  http::Response token(const std::string& tenant, const http::Query& form, bool second_version) const;
  http::Response discovery(const std::string& tenant, bool second_version) const;

  Core& core_;
};

// What a token of an application says of it, besides audience and times. `identity`: a managed identity's resource id,
// or empty.
std::string issue_token(const Core& core, const std::string& audience, const std::string& client_id,
                        const std::string& object_id, const std::string& identity, const std::string& resource);

}  // namespace slipway::rehearse::azure
