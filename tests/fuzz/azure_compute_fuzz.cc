// Whatever ARM, or somebody in its place, answers: no crash, and nothing that isn't there.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cloud/azure/compute_pages.h"
#include "cloud/azure/compute_parse.h"
#include "cloud/azure/skus.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::cloud::azure;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto set = parse_scale_set(text);
  if (set && set->name.empty()) std::abort();
  // Each entry takes at least the two bytes of its braces.
  const auto sets = parse_scale_sets(text);
  if (sets && sets->items.size() > size / 2) std::abort();
  const auto vms = parse_vms(text);
  if (vms) {
    for (const auto& vm : vms->items) {
      if (vm.name.empty() || vm.vm_id != lower_case(vm.vm_id)) std::abort();
    }
  }
  const auto nics = parse_nics(text);
  if (nics && nics->items.size() > size / 2) std::abort();
  const auto operation = parse_operation(text);
  if (operation && operation->running && operation->failure) std::abort();
  if (parse_time(text) < slipway::TimePoint{} - std::chrono::hours(48)) std::abort();
  const auto skus = parse_skus(text);
  if (skus) {
    for (const auto& sku : skus->items) {
      if (sku.type.cores > 100'000 || sku.type.memory_mib > (uint64_t{1} << 40)) std::abort();
    }
  }
  static_cast<void>(parse_usages(text));
  static_cast<void>(is_of("https://management.azure.com", text));
  return 0;
}
