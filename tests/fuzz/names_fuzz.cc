// What arrives on the daemon's name server: any bytes must give an answer or none.
#include <cstdint>

#include "daemon/names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const slipway::daemon::NameLookup lookup{[](std::string_view name) { return std::optional<std::string>(name); },
                                                  [](std::string_view address) { return std::optional<std::string>(address); }};
  (void)slipway::daemon::answer_query({reinterpret_cast<const char*>(data), size}, lookup);
  return 0;
}
