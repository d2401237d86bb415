#include "rehearse/azure/tokens.h"

#include <boost/json.hpp>

#include "http/base64.h"
#include "rehearse/azure/certificates.h"
#include "rehearse/azure/json_access.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

int64_t seconds(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

Result<json::object> decode_part(std::string_view part) {
  const auto text = http::from_base64url(part);
  boost::system::error_code error;
  if (!text) return fail(ErrorCode::denied, "a part of the token isn't base64url");
  json::value value = json::parse(*text, error);
  if (error || !value.is_object()) return fail(ErrorCode::denied, "a part of the token isn't a JSON object");
  return std::move(value.get_object());
}

}  // namespace

Tokens::Tokens(const Clock& clock, std::string key) : clock_(clock), key_(std::move(key)) {
  if (key_.empty()) key_ = new_rsa_key();
  certificate_ = new_certificate("accounts.accesscontrol.windows.net", key_, "", "", clock.now());
  // The id is the key's, not the certificate's, which is made anew at each start.
  id_ = http::to_base64url(sha1(rsa_numbers(key_).modulus));
}

std::string Tokens::issue(json::object claims) const {
  const int64_t now = seconds(clock_.now());
  claims["iat"] = now - 300;
  claims["nbf"] = now - 300;
  claims["exp"] = now + std::chrono::duration_cast<std::chrono::seconds>(token_life).count();
  const json::object head{{"typ", "JWT"}, {"alg", "RS256"}, {"x5t", id_}, {"kid", id_}};
  const std::string text =
      http::to_base64url(json::serialize(head)) + "." + http::to_base64url(json::serialize(claims));
  return text + "." + http::to_base64url(sign_rs256(text, key_));
}

Result<json::object> Tokens::verify(std::string_view token) const {
  const size_t first = token.find('.');
  const size_t last = token.rfind('.');
  if (first == std::string_view::npos || last == first || token.find('.', first + 1) != last) {
    return fail(ErrorCode::denied, "the token doesn't have three parts");
  }
  const auto head = decode_part(token.substr(0, first));
  if (!head) return fail(head.error());
  if (text_at(*head, "alg") != "RS256") return fail(ErrorCode::denied, "the token isn't signed with RS256");
  const auto signature = http::from_base64url(token.substr(last + 1));
  if (!signature || !verify_rs256(token.substr(0, last), *signature, key_)) {
    return fail(ErrorCode::denied, "the token's signature is invalid");
  }
  auto claims = decode_part(token.substr(first + 1, last - first - 1));
  if (!claims) return claims;
  const int64_t now = seconds(clock_.now());
  const int64_t skew = 300;
  if (integer_at(*claims, "exp").value_or(0) + skew < now) return fail(ErrorCode::denied, "the token expired");
  if (integer_at(*claims, "nbf").value_or(0) - skew > now) return fail(ErrorCode::denied, "the token isn't valid yet");
  return claims;
}

std::string Tokens::key_set() const {
  const RsaNumbers numbers = rsa_numbers(key_);
  const json::object key{{"kty", "RSA"},
                         {"use", "sig"},
                         {"alg", "RS256"},
                         {"kid", id_},
                         {"x5t", id_},
                         {"n", http::to_base64url(numbers.modulus)},
                         {"e", http::to_base64url(numbers.exponent)},
                         {"x5c", json::array{json::value(http::to_base64(certificate_der(certificate_)))}}};
  return json::serialize(json::object{{"keys", json::array{key}}});
}

}  // namespace slipway::rehearse::azure
