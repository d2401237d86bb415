// Whatever the text: no crash, and levers that are understood are understood the same after another round.
#include "rehearse/levers.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::rehearse;
  const auto levers = parse_levers({reinterpret_cast<const char*>(data), size});
  if (!levers) return 0;
  const auto again = parse_levers(to_json(*levers));
  if (!again || to_json(*again) != to_json(*levers)) std::abort();
  return 0;
}
