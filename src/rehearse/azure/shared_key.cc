#include "rehearse/azure/shared_key.h"

#include <algorithm>
#include <array>
#include <map>

#include "http/base64.h"
#include "http/digest.h"
#include "http/url.h"
#include "rehearse/azure/spec.h"
#include "rehearse/azure/times.h"

namespace slipway::rehearse::azure {
namespace {

constexpr std::array signed_headers{
    "content-encoding",  "content-language", "content-length", "content-md5",         "content-type", "date",
    "if-modified-since", "if-match",         "if-none-match",  "if-unmodified-since", "range"};
constexpr Duration skew_max = std::chrono::minutes(15);

std::string header(const http::Asked& asked, std::string_view name) {
  return std::string(http::find_header(asked.headers, name));
}

// The text that is signed. Clients disagree on how an empty body's length is written: "0", or nothing.
std::string text_to_sign(const http::Asked& asked, const std::string& account, bool empty_length_is_zero) {
  std::string out = asked.method + "\n";
  for (const char* name : signed_headers) {
    const std::string_view known = name;
    std::string value = header(asked, known);
    if (known == "content-length" && (value.empty() || value == "0")) value = empty_length_is_zero ? "0" : "";
    out += value + "\n";
  }
  std::map<std::string, std::string> own;
  for (const auto& [name, value] : asked.headers) {
    if (const std::string small = lower(name); small.starts_with("ocp-")) own[small] = value;
  }
  for (const auto& [name, value] : own) out += name + ":" + value + "\n";
  const size_t question = asked.target.find('?');
  out += "/" + account + asked.target.substr(0, question);
  std::map<std::string, std::string> parameters;
  if (const auto target = http::parse_target(asked.target)) {
    for (const auto& [name, value] : target->query) parameters.try_emplace(lower(name), value);
  }
  for (const auto& [name, value] : parameters) {
    if (!value.empty()) out += "\n" + name + ":" + value;
  }
  return out;
}

bool same_bytes(std::string_view left, std::string_view right) {
  unsigned char differ = left.size() == right.size() ? 0 : 1;
  for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    differ = static_cast<unsigned char>(differ | (left[i] ^ right[i]));
  }
  return differ == 0;
}

}  // namespace

Result<void> verify_shared_key(const http::Asked& asked, const std::string& account, const std::string& key,
                               TimePoint now) {
  const std::string authorization = header(asked, "Authorization");
  const std::string_view scheme = "SharedKey ";
  const size_t colon = authorization.find(':');
  if (!authorization.starts_with(scheme) || colon == std::string::npos) {
    return fail(ErrorCode::denied, "the Authorization header isn't SharedKey account:signature");
  }
  if (authorization.substr(scheme.size(), colon - scheme.size()) != account) {
    return fail(ErrorCode::denied, "the signature is of another account");
  }
  const std::string date = header(asked, "ocp-date").empty() ? header(asked, "Date") : header(asked, "ocp-date");
  const auto said = parse_rfc1123(date);
  if (!said) return fail(ErrorCode::denied, "the Date or ocp-date header is missing or malformed");
  if (*said < now - skew_max || *said > now + skew_max) {
    return fail(ErrorCode::denied, "the request's date is more than 15 minutes off: " + date);
  }
  const auto secret = http::from_base64(key);
  const auto given = http::from_base64(std::string_view(authorization).substr(colon + 1));
  if (!secret || !given) return fail(ErrorCode::denied, "the signature isn't base64");
  for (const bool zero : {false, true}) {
    if (same_bytes(*given, http::hmac_sha256(*secret, text_to_sign(asked, account, zero)))) return {};
  }
  return fail(ErrorCode::denied, "the signature doesn't match; the text that was signed here begins with '" +
                                     text_to_sign(asked, account, false).substr(0, 300) + "'");
}

}  // namespace slipway::rehearse::azure
