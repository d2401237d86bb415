// How a machine introduces itself whose maker gave it no secret: a cloud's. It knows the daemon's public key (that is
// no secret, so it may stand in a start task), makes a secret of its own, and sends it sealed to that key together with
// what its cloud signed for it. If the provider vouches for the evidence, that secret is the machine's for this
// connection's handshake (join/handshake.h); who can't open the claim can't go on, and a recorded claim is of no use to
// who replays it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "join/handshake.h"

namespace slipway::join {

inline constexpr size_t document_bytes_max = 16 << 10;

struct Claim {
  Key secret{};
  std::string instance;  // must be the hello's
  std::string kind;      // of the document: the provider's word, "azure_token", "azure_attested"
  std::string document;  // see is_document()
};

// What may stand in Claim::document: 1 to `document_bytes_max` characters of a token or of base64.
bool is_document(std::string_view text);

struct KeyPair {
  Key public_key{};
  Key secret_key{};
};
// The daemon's, from the cluster's master key: both controllers have the same one.
KeyPair daemon_key_pair(const Key& master);

// Base64, at most `claim_bytes_max` (join/handshake.h) when the claim's parts are within their bounds; sealed to
// `daemon` (libsodium's sealed box).
std::string seal_claim(const Claim& claim, const Key& daemon);
Result<Claim> open_claim(std::string_view sealed, const KeyPair& daemon);  // denied: not for us, or not whole

}  // namespace slipway::join
