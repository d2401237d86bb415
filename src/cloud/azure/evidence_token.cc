#include "cloud/azure/evidence_token.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <memory>

#include "cloud/azure/compute_parse.h"
#include "cloud/azure/json_values.h"
#include "http/base64.h"

namespace slipway::cloud::azure {
namespace {

namespace json = boost::json;
constexpr int key_bits_min = 2'048;
constexpr int key_bits_max = 8'192;  // more would cost time and none is so long
constexpr size_t keys_max = 64;

Failure no_token(const std::string& why) {
  return fail(ErrorCode::denied, "not a token of a managed identity: " + why);
}

Result<json::object> decode_part(std::string_view part) {
  const auto text = http::from_base64url(part);
  if (!text) return no_token("its parts aren't base64url");
  auto object = parse_object(*text);
  if (!object) return no_token("its parts aren't JSON");
  return object;
}

// Seconds since 1970, not in the next thousand years' noise.
bool time_claim(const json::object& claims, std::string_view name, TimePoint& time) {
  const json::value* value = claims.if_contains(name);
  if (value == nullptr || !value->is_int64()) return false;
  const int64_t seconds = value->get_int64();
  if (seconds <= 0 || seconds > 32'503'680'000) return false;
  time = TimePoint(Duration(seconds * 1000));
  return true;
}

template <class T, void (*release)(T*)>
struct Free {
  void operator()(T* thing) const { release(thing); }
};
using Number = std::unique_ptr<BIGNUM, Free<BIGNUM, BN_free>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY, EVP_PKEY_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX, EVP_MD_CTX_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM, OSSL_PARAM_free>>;

Number number_of(const std::string& bytes) {
  return Number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
}

Key public_key(const SigningKey& from) {
  if (from.modulus.empty() || from.modulus.size() > key_bits_max / 8 || from.exponent.empty() ||
      from.exponent.size() > 8)
    return nullptr;
  const Number n = number_of(from.modulus);
  const Number e = number_of(from.exponent);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_num_bits(n.get()) < key_bits_min ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
    return nullptr;
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
  EVP_PKEY* key = nullptr;
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
    return nullptr;
  return Key(key);
}

}  // namespace

Result<Token> parse_token(std::string_view text) {
  if (text.size() > evidence_bytes_max) return no_token("longer than " + std::to_string(evidence_bytes_max) + " bytes");
  const size_t first = text.find('.');
  const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos)
    return no_token("it hasn't three parts");
  const auto header = decode_part(text.substr(0, first));
  if (!header) return fail(header.error());
  // Never the token's own choice: an HMAC "signed" with a public key, or none at all, would pass otherwise.
  if (text_value(*header, "alg") != "RS256") return no_token("it isn't signed by RS256");
  if (header->contains("crit")) return no_token("it demands extensions");
  const std::string type = lower_case(text_value(*header, "typ"));
  if (!type.empty() && type != "jwt" && type != "at+jwt") return no_token("its type is another");
  const auto claims = decode_part(text.substr(first + 1, second - first - 1));
  if (!claims) return fail(claims.error());
  const auto signature = http::from_base64url(text.substr(second + 1));
  if (!signature || signature->empty()) return no_token("its signature isn't base64url");
  Token token;
  token.key = text_value(*header, "kid");
  token.signed_text = text.substr(0, second);
  token.signature = *signature;
  token.issuer = text_value(*claims, "iss");
  token.audience = text_value(*claims, "aud");
  token.tenant = text_value(*claims, "tid");
  token.resource = text_value(*claims, "xms_mirid");
  if (token.key.empty()) return no_token("it doesn't name its key");
  if (!time_claim(*claims, "exp", token.expires) || !time_claim(*claims, "nbf", token.not_before))
    return no_token("it doesn't say from when to when it is good");
  return token;
}

Result<std::vector<SigningKey>> parse_keys(std::string_view body) {
  const auto object = parse_object(body);
  if (!object) return fail(object.error());
  const json::value* list = object->if_contains("keys");
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::transient, "a key set without keys");
  std::vector<SigningKey> keys;
  for_each_object(*object, "keys", [&](const json::object& one) {
    const std::string use = text_value(one, "use");
    if (text_value(one, "kty") != "RSA" || (!use.empty() && use != "sig") || keys.size() == keys_max) return;
    const auto modulus = http::from_base64url(text_value(one, "n"));
    const auto exponent = http::from_base64url(text_value(one, "e"));
    if (!modulus || !exponent || modulus->empty() || exponent->empty()) return;
    keys.push_back({text_value(one, "kid"), *modulus, *exponent});
  });
  return keys;
}

bool verify_rs256(const SigningKey& from, std::string_view signed_text, std::string_view signature) {
  const Key key = public_key(from);
  const Digest digest(EVP_MD_CTX_new());
  const bool good =
      key && digest && EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.get()) == 1 &&
      EVP_DigestVerify(digest.get(), reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
                       reinterpret_cast<const unsigned char*>(signed_text.data()), signed_text.size()) == 1;
  ERR_clear_error();
  return good;
}

Result<void> check_claims(const Token& token, const TokenRules& rules) {
  const auto among = [](const std::string& one, const std::vector<std::string>& all) {
    return !one.empty() && std::find(all.begin(), all.end(), one) != all.end();
  };
  const auto denied = [](const std::string& what) { return fail(ErrorCode::denied, "a token " + what); };
  if (token.expires + clock_skew <= rules.now) return denied("that has expired");
  if (token.not_before - clock_skew > rules.now) return denied("that isn't good yet; are the clocks right?");
  if (!among(token.issuer, rules.issuers)) return denied("of another issuer: " + token.issuer);
  if (!among(token.audience, rules.audiences)) return denied("for another audience: " + token.audience);
  if (rules.tenant.empty() || token.tenant != rules.tenant) return denied("of another tenant: " + token.tenant);
  if (rules.resource.empty() || lower_case(token.resource) != lower_case(rules.resource))
    return denied("of another identity: " + token.resource + "; the pool's is " + rules.resource);
  return {};
}

}  // namespace slipway::cloud::azure
