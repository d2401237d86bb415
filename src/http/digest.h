// SHA-256 and its HMAC, for signing requests.
#pragma once

#include <string>
#include <string_view>

namespace slipway::http {

std::string sha256(std::string_view text);                             // 32 bytes
std::string hmac_sha256(std::string_view key, std::string_view text);  // 32 bytes

}  // namespace slipway::http
