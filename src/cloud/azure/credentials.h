// Tokens of Microsoft Entra, and requests that carry them. A token is fetched when first needed, kept, and replaced
// well ahead of its end by whichever call comes first; the others go on with the old one meanwhile, and so does
// everybody while it is valid and a new one can't be had.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cloud/azure/endpoints.h"
#include "cloud/azure/rest.h"
#include "http/client.h"
#include "model/azure.h"

namespace slipway::cloud::azure {

struct Token {
  std::string text;
  TimePoint expires_at{};
};

// Where tokens come from. Blocking; thread-safe. Fails with denied (who asks isn't known, or may not), transient, or
// bad_config.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  // `resource`: what it is for, "https://management.azure.com/".
  virtual Result<Token> fetch(const std::string& resource, Duration timeout) = 0;
};

// By the kind of `identity`. Fails with bad_config when a file that it names can't be read or isn't what it should be.
Result<std::shared_ptr<TokenSource>> make_token_source(const model::AzureIdentity& identity, const Endpoints& endpoints,
                                                       http::Client& client, const Clock& clock);

// "Authorization: Bearer …" with a kept token of `source` for `resource`.
std::shared_ptr<Authorizer> make_bearer(std::shared_ptr<TokenSource> source, std::string resource, const Clock& clock);

// The answer of IMDS or of Entra's token endpoint.
Result<Token> parse_token(std::string_view body, TimePoint now);
// What `az account get-access-token --output json` prints; older versions tell the end in local time only.
Result<Token> parse_cli_token(std::string_view text, TimePoint now);

// Signs a client's statement about itself (a JSON Web Token, PS256) with the key of a certificate, both in `pem`.
// bad_config: `pem` lacks one of them, or the key isn't an RSA key without a passphrase.
Result<std::string> client_assertion(std::string_view pem, const std::string& client_id, const std::string& audience,
                                     TimePoint now);

}  // namespace slipway::cloud::azure
