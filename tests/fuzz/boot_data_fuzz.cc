#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "join/boot_data.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto boot = slipway::join::parse_boot_data({reinterpret_cast<const char*>(data), size});
  if (boot && !slipway::join::parse_boot_data(slipway::join::to_json(*boot))) abort();
  return 0;
}
