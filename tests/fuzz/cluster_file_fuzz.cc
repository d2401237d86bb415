// Any text is a cluster or a list of problems, never a crash; and a cluster written out by to_yaml reads back the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "config/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  config::Loaded loaded = config::parse(text, "/nonexistent", false);
  for (const config::Problem& problem : loaded.problems) SLIPWAY_CHECK(!problem.message.empty());
  if (!loaded.ok()) return 0;
  std::string written = config::to_yaml(loaded.cluster);
  config::Loaded again = config::parse(written, "/nonexistent", false);
  SLIPWAY_CHECK(again.ok());
  SLIPWAY_CHECK(config::to_yaml(again.cluster) == written);
  return 0;
}
