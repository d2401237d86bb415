// What the metadata service answers: tokens, documents, who the machine is, scheduled events.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/imds.h"

using namespace slipway::agent;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)parse_token(text);
  (void)parse_attested(text);
  (void)parse_instance(text);
  (void)parse_events(text);
  return 0;
}
