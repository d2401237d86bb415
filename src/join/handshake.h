// How a machine proves who it is, and how the rest of the conversation is kept private.
//
// Every machine has a secret of its own, derived from the cluster's master key: secret = BLAKE2b(key = master, instance id). The machine host
// gives it to the machine; the daemon, which has the master key, derives it again. So neither side keeps a list, and a machine can't speak as another.
//
//   agent  → daemon   hello  {v: 1, instance, nonce_a}            in clear
//   daemon → agent    hello  {v: 1, nonce_b}                      in clear
//   both: key = BLAKE2b(key = secret, nonce_a | nonce_b); from here on every frame is sealed with XChaCha20-Poly1305 (libsodium), one
//   sub-key a direction, a counter as nonce. Whoever doesn't hold the secret can neither produce nor read a frame.
//
// This is the local provider's proof; a cloud's attested identity document takes its place in front of TLS.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/channel.h"
#include "base/result.h"

namespace slipway::join {

using Key = std::array<unsigned char, 32>;

Result<Key> parse_key(std::string_view hex);     // 64 hex digits
std::string to_hex(const Key& key);
Key random_key();                                // from the kernel
Key machine_secret(const Key& master, std::string_view instance);

struct AgentHello { std::string instance; Key nonce; };
std::string encode_agent_hello(const AgentHello& hello);
Result<AgentHello> decode_agent_hello(std::string_view frame);   // strict; bad_config on anything else
std::string encode_daemon_hello(const Key& nonce);
Result<Key> decode_daemon_hello(std::string_view frame);

enum class Side { agent, daemon };
std::unique_ptr<Sealer> make_sealer(Side side, const Key& secret, const Key& agent_nonce, const Key& daemon_nonce);

}  // namespace slipway::join
