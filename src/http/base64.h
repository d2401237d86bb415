// Base64 of RFC 4648, and its URL-safe alphabet without padding as JSON Web Tokens use it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace slipway::http {

std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);
std::string to_base64url(std::string_view bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace slipway::http
