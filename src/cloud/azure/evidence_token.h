// JSON Web Tokens of Entra, as far as a managed identity's go: RS256 and nothing else (RFC 7515, 7518, 7519). Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::cloud::azure {

inline constexpr size_t evidence_bytes_max = 16u << 10;
inline constexpr Duration clock_skew{120'000};  // between Azure's clocks and ours

struct Token {
  std::string key;  // kid of the key that signed it
  std::string signed_text;
  std::string signature;
  std::string issuer;
  std::string audience;
  std::string tenant;
  std::string resource;  // xms_mirid: resource id of the identity that it is of, or of the VM
  TimePoint not_before{};
  TimePoint expires{};
};
// denied: not such a token, or signed in another way than RS256. Nothing in it is proven yet.
Result<Token> parse_token(std::string_view text);

struct SigningKey {
  std::string key;  // kid
  std::string modulus;
  std::string exponent;
};
// A JSON Web Key Set (RFC 7517): its RSA keys for signatures. transient: isn't one.
Result<std::vector<SigningKey>> parse_keys(std::string_view body);

// Whether `key` signed it. Keys under 2048 bits sign nothing.
bool verify_rs256(const SigningKey& key, std::string_view signed_text, std::string_view signature);

struct TokenRules {
  std::vector<std::string> issuers;
  std::vector<std::string> audiences;
  std::string tenant;
  std::string resource;
  TimePoint now{};
};
// What the token says, once its signature is known to be good. denied, with the first thing that is wrong.
Result<void> check_claims(const Token& token, const TokenRules& rules);

}  // namespace slipway::cloud::azure
