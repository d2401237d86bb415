#include "join/handshake.h"

#include <sodium.h>

#include <cstring>

#include "base/check.h"
#include "join/json_reader.h"

namespace slipway::join {

namespace {

constexpr uint64_t protocol_version = 1;

// libsodium picks the processor's fastest code here; its primitives must not be used before.
void init_sodium() {
  static const bool ready = sodium_init() >= 0;
  SLIPWAY_CHECK(ready);
}

Key keyed_hash(const Key& key, std::string_view text) {
  init_sodium();
  Key out;
  SLIPWAY_CHECK(crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()),
                                   text.size(), key.data(), key.size()) == 0);
  return out;
}

std::string_view as_text(const Key& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

class XChaChaSealer final : public Sealer {
 public:
  XChaChaSealer(const Key& sending, const Key& receiving) : sending_(sending), receiving_(receiving) {}
  ~XChaChaSealer() override {
    sodium_memzero(sending_.data(), sending_.size());
    sodium_memzero(receiving_.data(), receiving_.size());
  }

  std::string seal(std::string_view plain) override {
    std::string out(plain.size() + crypto_aead_xchacha20poly1305_ietf_ABYTES, '\0');
    const Nonce nonce = nonce_of(sent_++);
    crypto_aead_xchacha20poly1305_ietf_encrypt(reinterpret_cast<unsigned char*>(out.data()), nullptr,
                                               reinterpret_cast<const unsigned char*>(plain.data()), plain.size(),
                                               nullptr, 0, nullptr, nonce.data(), sending_.data());
    return out;
  }

  Result<std::string> open(std::string_view sealed) override {
    constexpr size_t overhead = crypto_aead_xchacha20poly1305_ietf_ABYTES;
    if (sealed.size() < overhead) return refused();
    std::string out(sealed.size() - overhead, '\0');
    const Nonce nonce = nonce_of(received_);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(reinterpret_cast<unsigned char*>(out.data()), nullptr, nullptr,
                                                   reinterpret_cast<const unsigned char*>(sealed.data()), sealed.size(),
                                                   nullptr, 0, nonce.data(), receiving_.data()) != 0) {
      return refused();
    }
    ++received_;
    return out;
  }

 private:
  using Nonce = std::array<unsigned char, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;

  static Failure refused() {
    return fail(ErrorCode::denied, "a frame was not sealed by the machine it claims to come from, or is out of order");
  }

  static Nonce nonce_of(uint64_t counter) {
    Nonce nonce{};
    for (size_t i = 0; i < 8; ++i) nonce[i] = static_cast<unsigned char>(counter >> (8 * i));
    return nonce;
  }

  Key sending_;
  Key receiving_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
};

}  // namespace

Result<Key> parse_key(std::string_view hex) {
  Key key;
  size_t length = 0;
  const char* end = nullptr;
  // "0X", separators and half bytes are all refused by the exact length.
  if (hex.size() != 2 * key.size() ||
      sodium_hex2bin(key.data(), key.size(), hex.data(), hex.size(), nullptr, &length, &end) != 0 ||
      length != key.size() || end != hex.data() + hex.size()) {
    return fail(ErrorCode::bad_config, "a key must be 64 hex digits");
  }
  return key;
}

std::string to_hex(const Key& key) {
  std::string out(2 * key.size() + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), key.data(), key.size());
  out.pop_back();
  return out;
}

Key random_key() {
  init_sodium();
  Key key;
  randombytes_buf(key.data(), key.size());
  return key;
}

Key machine_secret(const Key& master, std::string_view instance) {
  return keyed_hash(master, instance);
}

std::string encode_agent_hello(const AgentHello& hello) {
  return "{\"v\":1,\"instance\":" + json_quoted(hello.instance) + ",\"nonce\":\"" + to_hex(hello.nonce) + "\"" +
         (hello.claim.empty() ? "" : ",\"claim\":" + json_quoted(hello.claim)) + "}";
}

Result<AgentHello> decode_agent_hello(std::string_view frame) {
  auto reader = JsonReader::parse(frame, hello_bytes_max);
  if (!reader) return fail(reader.error());
  if (reader->number("v", 1'000'000) != protocol_version) reader->problem("a hello of another protocol version");
  AgentHello hello;
  hello.instance = reader->text("instance", instance_bytes_max);
  if (!is_instance_id(hello.instance)) reader->problem("\"instance\" is not a machine's name");
  const auto nonce = parse_key(reader->text("nonce", 64));
  if (!nonce) reader->problem("\"nonce\" must be 64 hex digits");
  hello.claim = reader->text("claim", claim_bytes_max);
  if (reader->size() != (hello.claim.empty() ? 3 : 4)) {
    reader->problem("a hello holds v, instance, nonce and perhaps a claim, nothing else");
  }
  if (hello.claim.empty() && frame.size() > plain_hello_bytes_max) reader->problem("a hello without a claim is short");
  if (auto status = reader->status(); !status) return fail(status.error());
  hello.nonce = *nonce;
  return hello;
}

std::string encode_daemon_hello(const Key& nonce) {
  return "{\"v\":1,\"nonce\":\"" + to_hex(nonce) + "\"}";
}

Result<Key> decode_daemon_hello(std::string_view frame) {
  auto reader = JsonReader::parse(frame, plain_hello_bytes_max);
  if (!reader) return fail(reader.error());
  if (reader->number("v", 1'000'000) != protocol_version) reader->problem("a hello of another protocol version");
  const auto nonce = parse_key(reader->text("nonce", 64));
  if (!nonce) reader->problem("\"nonce\" must be 64 hex digits");
  if (reader->size() != 2) reader->problem("the daemon's hello holds v and nonce, nothing else");
  if (auto status = reader->status(); !status) return fail(status.error());
  return *nonce;
}

std::unique_ptr<Sealer> make_sealer(Side side, const Key& secret, const Key& agent_nonce, const Key& daemon_nonce) {
  std::string nonces(as_text(agent_nonce));
  nonces += as_text(daemon_nonce);
  Key session = keyed_hash(secret, nonces);
  Key from_agent = keyed_hash(session, "slipway 1 agent to daemon");
  Key from_daemon = keyed_hash(session, "slipway 1 daemon to agent");
  auto sealer = side == Side::agent ? std::make_unique<XChaChaSealer>(from_agent, from_daemon)
                                    : std::make_unique<XChaChaSealer>(from_daemon, from_agent);
  for (Key* key : {&session, &from_agent, &from_daemon}) sodium_memzero(key->data(), key->size());
  return sealer;
}

}  // namespace slipway::join
