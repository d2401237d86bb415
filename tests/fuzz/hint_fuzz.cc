// Whatever arrives on the hook's socket: no crash, and a hint only from a frame of the right shape.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "slurm/hook_protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  const auto hint = slipway::slurm::decode_hint(frame);
  if (hint && !frame.starts_with(std::string_view("1\0", 2))) std::abort();
  return 0;
}
