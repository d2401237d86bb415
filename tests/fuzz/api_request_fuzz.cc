#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "daemon/api_encode.h"
#include "daemon/api_request.h"

// Requests are parsed or refused in words; what is made of any bytes can be sent as JSON.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto request = slipway::daemon::parse_request(text);
  if (!request && request.error().message.empty()) abort();
  const std::string clean = slipway::daemon::clean_utf8(text);
  if (clean.size() > size || slipway::daemon::clean_utf8(clean) != clean) abort();
  return 0;
}
