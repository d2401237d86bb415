#include "join/claim.h"

#include <sodium.h>

#include "base/check.h"
#include "join/json_reader.h"

namespace slipway::join {

namespace {

constexpr std::string_view context = "slipway daemon key";  // with spaces: no machine's name, so no machine's secret
constexpr size_t kind_bytes_max = 32;

static_assert(sizeof(Key) == crypto_box_PUBLICKEYBYTES && sizeof(Key) == crypto_box_SECRETKEYBYTES &&
              sizeof(Key) == crypto_box_SEEDBYTES);

// libsodium picks the processor's fastest code here; its primitives must not be used before.
void init_sodium() {
  static const bool ready = sodium_init() >= 0;
  SLIPWAY_CHECK(ready);
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// One sentence for whatever is wrong with a sealed text: who sent it may learn nothing from it.
Failure refused() {
  return fail(ErrorCode::denied, "the claim is not sealed to this cluster's daemon, or is damaged");
}

std::string to_base64(std::string_view bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), bytes_of(bytes), bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();
  return out;
}

Result<std::string> from_base64(std::string_view text) {
  std::string out(text.size(), '\0');
  size_t length = 0;
  const char* end = nullptr;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr,
                        &length, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != text.data() + text.size()) {
    return refused();
  }
  out.resize(length);
  return out;
}

}  // namespace

bool is_document(std::string_view text) {
  if (text.empty() || text.size() > document_bytes_max) return false;
  for (const char c : text) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '-' || c == '_' || c == '+' || c == '/' || c == '=';
    if (!fine) return false;
  }
  return true;
}

KeyPair daemon_key_pair(const Key& master) {
  init_sodium();
  Key seed;
  SLIPWAY_CHECK(crypto_generichash(seed.data(), seed.size(), bytes_of(context), context.size(), master.data(),
                                   master.size()) == 0);
  KeyPair pair;
  SLIPWAY_CHECK(crypto_box_seed_keypair(pair.public_key.data(), pair.secret_key.data(), seed.data()) == 0);
  sodium_memzero(seed.data(), seed.size());
  return pair;
}

std::string seal_claim(const Claim& claim, const Key& daemon) {
  init_sodium();
  std::string plain = "{\"v\":1,\"secret\":\"" + to_hex(claim.secret) +
                      "\",\"instance\":" + json_quoted(claim.instance) + ",\"kind\":" + json_quoted(claim.kind) +
                      ",\"document\":" + json_quoted(claim.document) + "}";
  std::string sealed(plain.size() + crypto_box_SEALBYTES, '\0');
  // Fails only for a point of small order, which no daemon has as its key: nobody can open the text then.
  (void)!crypto_box_seal(reinterpret_cast<unsigned char*>(sealed.data()), bytes_of(plain), plain.size(), daemon.data());
  sodium_memzero(plain.data(), plain.size());
  return to_base64(sealed);
}

Result<Claim> open_claim(std::string_view text, const KeyPair& daemon) {
  init_sodium();
  if (text.size() > claim_bytes_max) return refused();
  auto sealed = from_base64(text);
  if (!sealed) return fail(sealed.error());
  if (sealed->size() <= crypto_box_SEALBYTES) return refused();
  std::string plain(sealed->size() - crypto_box_SEALBYTES, '\0');
  if (crypto_box_seal_open(reinterpret_cast<unsigned char*>(plain.data()), bytes_of(*sealed), sealed->size(),
                           daemon.public_key.data(), daemon.secret_key.data()) != 0) {
    return refused();
  }
  auto reader = JsonReader::parse(plain, claim_bytes_max);
  sodium_memzero(plain.data(), plain.size());
  if (!reader) return fail(ErrorCode::denied, "the claim is " + reader.error().message);
  if (reader->number("v", 1'000'000) != 1) reader->problem("a claim of another version");
  Claim claim;
  const auto secret = parse_key(reader->text("secret", 64));
  if (!secret) reader->problem("\"secret\" must be 64 hex digits");
  claim.instance = reader->text("instance", instance_bytes_max);
  if (!is_instance_id(claim.instance)) reader->problem("\"instance\" is not a machine's name");
  claim.kind = reader->text("kind", kind_bytes_max);
  if (!is_plain_name(claim.kind, kind_bytes_max)) reader->problem("\"kind\" is not a word for a document");
  claim.document = reader->text("document", document_bytes_max);
  if (!is_document(claim.document)) reader->problem("\"document\" must be a token or base64");
  if (reader->size() != 5) reader->problem("a claim holds v, secret, instance, kind and document, nothing else");
  if (auto status = reader->status(); !status) return fail(ErrorCode::denied, status.error().message);
  claim.secret = *secret;
  return claim;
}

}  // namespace slipway::join
