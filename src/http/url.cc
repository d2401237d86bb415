#include "http/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

namespace slipway::http {

namespace {

constexpr size_t host_bytes_max = 253;

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_unreserved(char c) {
  return is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool is_visible(char c) {
  return c > ' ' && c < 0x7f;
}

// Visible, and yet barred from URLs by RFC 3986; servers put some of them into links to next pages.
bool is_barred(char c) {
  return std::string_view("\"<>\\^`{|}").find(c) != std::string_view::npos;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

bool is_name(std::string_view host) {
  if (host.empty() || host.size() > host_bytes_max) return false;
  bool label_begins = true;
  for (size_t i = 0; i < host.size(); ++i) {
    const char c = host[i];
    if (c == '.') {
      if (label_begins) return false;
      label_begins = true;
      continue;
    }
    if (!is_alphanumeric(c) && c != '_' && (c != '-' || label_begins)) return false;
    label_begins = false;
  }
  return true;
}

bool has_good_escapes(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') continue;
    if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) return false;
    i += 2;
  }
  return true;
}

Failure bad_url(std::string_view url, const char* what) {
  // What follows the "?" may be a secret.
  return fail(ErrorCode::bad_config,
              "not a URL like https://host/path: \"" + std::string(url.substr(0, url.find('?'))) + "\": " + what);
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  Url url;
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return bad_url(text, "it begins with neither http:// nor https://");
  url.scheme = lower(text.substr(0, scheme_end));
  if (url.scheme != "http" && url.scheme != "https") {
    return bad_url(text, "it begins with neither http:// nor https://");
  }
  std::string_view rest = text.substr(scheme_end + 3);
  const size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  rest.remove_prefix(authority_end);

  if (authority.find('@') != std::string_view::npos) return bad_url(text, "user names in URLs aren't used");
  std::string_view port;
  bool has_port = false;
  if (!authority.empty() && authority.front() == '[') {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) return bad_url(text, "\"[\" without \"]\"");
    url.host = lower(authority.substr(1, end - 1));
    in6_addr address{};
    if (inet_pton(AF_INET6, url.host.c_str(), &address) != 1 || url.host.find('\0') != std::string::npos) {
      return bad_url(text, "not an IPv6 address between the brackets");
    }
    authority.remove_prefix(end + 1);
    has_port = !authority.empty();
    if (has_port && authority.front() != ':') return bad_url(text, "something follows the \"]\"");
    port = authority.substr(has_port ? 1 : 0);
  } else {
    const size_t colon = authority.find(':');
    url.host = lower(authority.substr(0, colon));
    if (!is_name(url.host)) return bad_url(text, "not a host's name");
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
  }
  url.port = url.scheme == "https" ? 443 : 80;
  if (has_port) {
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || stop != port.data() + port.size() || url.port == 0) {
      return bad_url(text, "not a port between 1 and 65535");
    }
  }
  rest = rest.substr(0, rest.find('#'));  // a fragment is never sent
  if (!std::all_of(rest.begin(), rest.end(), is_visible) || !has_good_escapes(rest)) {
    return bad_url(text, "characters that must be encoded");
  }
  if (rest.empty() || rest.front() != '/') url.target = "/";
  for (const char& c : rest) url.target += is_barred(c) ? encode({&c, 1}) : std::string(1, c);
  return url;
}

std::string encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    if (is_unreserved(c)) {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += {'%', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return result;
}

std::string encode_query(const Query& query) {
  std::string result;
  for (const auto& [name, value] : query) {
    if (!result.empty()) result += '&';
    result += encode(name) + '=' + encode(value);
  }
  return result;
}

Result<std::string> decode(std::string_view text, bool plus_is_space) {
  if (!has_good_escapes(text)) return fail(ErrorCode::bad_config, "\"%\" without two hexadecimal digits");
  std::string result;
  result.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      result += static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
      i += 2;
    } else {
      result += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return result;
}

Result<Target> parse_target(std::string_view target) {
  if (target.empty() || target.front() != '/') return fail(ErrorCode::bad_config, "a path begins with \"/\"");
  if (!std::all_of(target.begin(), target.end(), is_visible)) {
    return fail(ErrorCode::bad_config, "characters that must be encoded");
  }
  if (!has_good_escapes(target)) return fail(ErrorCode::bad_config, "\"%\" without two hexadecimal digits");
  Target result;
  const size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      result.path += path[i];
      continue;
    }
    const char c = static_cast<char>(hex_value(path[i + 1]) << 4 | hex_value(path[i + 2]));
    // A decoded slash would part what is one segment.
    if (c == '/') {
      result.path += "%2F";
    } else {
      result.path += c;
    }
    i += 2;
  }
  std::string_view rest = target.substr(std::min(question + 1, target.size()));
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    // Escapes were checked above.
    result.query.emplace_back(*decode(pair.substr(0, equals), true),
                              *decode(pair.substr(std::min(equals + 1, pair.size())), true));
  }
  return result;
}

}  // namespace slipway::http
