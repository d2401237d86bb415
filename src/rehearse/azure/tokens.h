// Access tokens as Entra issues them: JSON Web Tokens signed with RS256, and the keys by which others verify them.
// https://learn.microsoft.com/entra/identity-platform/access-tokens
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace boost::json {
class object;
}

namespace slipway::rehearse::azure {

class Tokens {
 public:
  // `key`: PEM, of an earlier start; empty: a new one is made.
  Tokens(const Clock& clock, std::string key);

  // Adds iat, nbf and exp (24 h, as managed identities' are) to `claims`.
  std::string issue(boost::json::object claims) const;
  // The claims of a token of ours that is valid now; denied: it isn't one. Five minutes of skew are forgiven.
  Result<boost::json::object> verify(std::string_view token) const;

  std::string key_set() const;  // {"keys":[…]}
  const std::string& key() const { return key_; }

 private:
  const Clock& clock_;
  std::string key_;
  std::string certificate_;
  std::string id_;
};

inline constexpr Duration token_life = std::chrono::hours(24);

}  // namespace slipway::rehearse::azure
