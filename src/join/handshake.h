// How a machine proves who it is, and how the rest of the conversation is kept private.
//
// Every machine has a secret of its own, derived from the cluster's master key: secret = BLAKE2b(key = master, instance
// id). The machine host gives it to the machine; the daemon, which has the master key, derives it again. So neither
// side keeps a list, and a machine can't speak as another.
//
//   agent  → daemon   hello  {v: 1, instance, nonce_a[, claim]}   in clear; the claim is sealed to the daemon
//   daemon → agent    hello  {v: 1, nonce_b}                      in clear
//   both: key = BLAKE2b(key = secret, nonce_a | nonce_b); from here on every frame is sealed with XChaCha20-Poly1305
//   (libsodium), one sub-key a direction, a counter as nonce. Whoever doesn't hold the secret can neither produce nor
//   read a frame.
//
// A cloud's machine has no secret of the master key. It brings one of its own in a claim (join/claim.h), which the
// daemon opens and has vouched for before it says its hello.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/channel.h"
#include "base/result.h"

namespace slipway::join {

using Key = std::array<unsigned char, 32>;

Result<Key> parse_key(std::string_view hex);  // 64 hex digits
std::string to_hex(const Key& key);
Key random_key();  // from the kernel
Key machine_secret(const Key& master, std::string_view instance);

// Bytes: of an instance's id ("i-0000000a", "<pool>/<machine>"); of a sealed claim, which holds a document of 16 KiB,
// 400 bytes around it and 48 of the sealing, as base64; of a hello without and with one.
inline constexpr size_t instance_bytes_max = 192;
inline constexpr size_t claim_bytes_max = 23 << 10;
inline constexpr size_t plain_hello_bytes_max = 1 << 10;
inline constexpr size_t hello_bytes_max = 24 << 10;

struct AgentHello {
  std::string instance;
  Key nonce;
  std::string claim = {};  // sealed; empty: the machine has its maker's secret
};
std::string encode_agent_hello(const AgentHello& hello);
Result<AgentHello> decode_agent_hello(std::string_view frame);  // strict; bad_config on anything else
std::string encode_daemon_hello(const Key& nonce);
Result<Key> decode_daemon_hello(std::string_view frame);

enum class Side { agent, daemon };
std::unique_ptr<Sealer> make_sealer(Side side, const Key& secret, const Key& agent_nonce, const Key& daemon_nonce);

}  // namespace slipway::join
