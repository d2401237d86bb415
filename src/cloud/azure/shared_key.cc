#include "cloud/azure/shared_key.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>
#include <utility>

#include "http/base64.h"
#include "http/digest.h"
#include "http/url.h"

namespace slipway::cloud::azure {
namespace {

// In this order; Content-Length stands third and isn't among the request's headers.
constexpr std::string_view signed_before_length[] = {"Content-Encoding", "Content-Language"};
constexpr std::string_view signed_after_length[] = {"Content-MD5",         "Content-Type", "Date",
                                                    "If-Modified-Since",   "If-Match",     "If-None-Match",
                                                    "If-Unmodified-Since", "Range"};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// As the http client sends it: a POST without a body says 0, a GET or DELETE says nothing.
std::string content_length(const http::Request& request) {
  const bool says = request.method != "GET" && request.method != "HEAD" && request.method != "DELETE";
  return says || !request.body.empty() ? std::to_string(request.body.size()) : std::string();
}

class SharedKey final : public Authorizer {
 public:
  SharedKey(std::string account, std::string key, const Clock& clock)
      : account_(std::move(account)), key_(std::move(key)), clock_(clock) {}

  Result<void> authorize(http::Request& request, Duration /*timeout*/) override {
    request.headers.emplace_back("ocp-date", http_date(clock_.now()));
    const auto text = string_to_sign(request, account_);
    if (!text) return fail(text.error());
    request.headers.emplace_back("Authorization",
                                 "SharedKey " + account_ + ":" + http::to_base64(http::hmac_sha256(key_, *text)));
    return {};
  }

 private:
  const std::string account_;
  const std::string key_;
  const Clock& clock_;
};

}  // namespace

Result<std::string> string_to_sign(const http::Request& request, const std::string& account) {
  const auto url = http::parse_url(request.url);
  if (!url) return fail(url.error());
  const auto target = http::parse_target(url->target);
  if (!target) return fail(target.error());

  std::string text = request.method + "\n";
  const auto add = [&](std::string_view name) { (text += http::find_header(request.headers, name)) += '\n'; };
  for (const std::string_view name : signed_before_length) add(name);
  text += content_length(request) + "\n";
  for (const std::string_view name : signed_after_length) add(name);

  std::map<std::string, std::string> ocp;
  for (const auto& [name, value] : request.headers) {
    const std::string key = lower(name);
    if (key.starts_with("ocp-")) ocp[key] = value;
  }
  for (const auto& [name, value] : ocp) (text += name) += ":" + value + "\n";

  text += "/" + account + url->target.substr(0, url->target.find('?'));
  std::map<std::string, std::string> query;
  for (const auto& [name, value] : target->query) query.emplace(lower(name), value);
  for (const auto& [name, value] : query) {
    if (!value.empty()) (text += "\n" + name) += ":" + value;
  }
  return text;
}

Result<std::shared_ptr<Authorizer>> make_shared_key(std::string account, std::string_view key, const Clock& clock) {
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r' || key.back() == ' ')) key.remove_suffix(1);
  auto bytes = http::from_base64(key);
  if (!bytes || bytes->empty()) {
    return fail(ErrorCode::bad_config, "the key of Batch account " + account + " isn't base64, as Azure shows it");
  }
  return std::shared_ptr<Authorizer>(std::make_shared<SharedKey>(std::move(account), std::move(*bytes), clock));
}

std::string http_date(TimePoint time) {
  constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[utc.tm_wday % 7], utc.tm_mday,
                months[utc.tm_mon % 12], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  return text.data();
}

}  // namespace slipway::cloud::azure
