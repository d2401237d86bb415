// Whatever the text: no crash, bounds kept, and what expands comes back the same through both compressors.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <string_view>

#include "base/hostlist.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t names_max = 2'000;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto names = slipway::expand_hostlist(text, names_max);
  if (!names) {
    return 0;
  }
  if (names->size() > names_max) {
    std::abort();
  }
  const auto ordered = slipway::expand_hostlist(slipway::compress_hostlist_ordered(*names), names_max);
  if (!ordered || *ordered != *names) {
    std::abort();
  }
  const auto folded = slipway::expand_hostlist(slipway::compress_hostlist(*names), names_max);
  if (!folded || std::set(folded->begin(), folded->end()) != std::set(names->begin(), names->end()) ||
      std::set(folded->begin(), folded->end()).size() != folded->size()) {
    std::abort();
  }
  return 0;
}
