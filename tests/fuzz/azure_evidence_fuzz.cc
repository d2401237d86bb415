// Whatever a machine shows as its evidence, and whatever stands where Entra's keys should be: no crash, and never good.
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloud/azure/evidence_attested.h"
#include "cloud/azure/evidence_token.h"
#include "http/base64.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::cloud::azure;
  using namespace slipway;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const TimePoint now(Duration(1'795'000'000'000));
  const auto keys = parse_keys(text);
  if (keys) {
    for (const SigningKey& key : *keys) {
      if (verify_rs256(key, text, text)) std::abort();
    }
  }
  const auto token = parse_token(text);
  if (token && (token->signature.empty() || token->key.empty())) std::abort();
  if (token && check_claims(*token, {.issuers = {"i"}, .audiences = {"a"}, .now = now})) std::abort();
  static_cast<void>(parse_attested(text));
  static_cast<void>(is_issuer_url(text));
  static X509_STORE* const trust = X509_STORE_new();  // trusts nobody
  const AttestedRules rules{.host = "metadata.azure.com", .trust = trust, .now = now};
  if (open_attested(text, rules) || open_attested(http::to_base64(text), rules)) std::abort();
  return 0;
}
