// HTTP requests and responses as data.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace slipway::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

// The first value of `name`, whatever its case; empty: not there.
std::string_view find_header(const Headers& headers, std::string_view name);

// What a method or a header's name may be (RFC 9110 5.6.2), and a header's value: no line ends, so that nobody's text
// becomes another header.
bool is_token(std::string_view text);
bool is_field_value(std::string_view text);

struct Request {
  std::string method = "GET";
  std::string url;  // "https://host[:port]/path?query", already encoded
  Headers headers;  // Host, Content-Length and Connection are added
  std::string body;
};

struct Response {
  int status = 0;
  Headers headers;
  std::string body;
  std::string_view header(std::string_view name) const { return find_header(headers, name); }
};

}  // namespace slipway::http
