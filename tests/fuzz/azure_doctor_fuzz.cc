// What Azure answers the doctor: any bytes are read or refused, and no pattern of a role makes the comparison hang.
#include <cstdint>

#include "cloud/azure/doctor_views.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::cloud::azure;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] % 7) {
    case 0:
      (void)parse_claims(text);
      break;
    case 1:
      if (const auto page = parse_permissions(text)) {
        (void)allows(page->items, "Microsoft.Batch/batchAccounts/pools/write");
      }
      break;
    case 2:
      (void)parse_batch_account(text);
      break;
    case 3:
      (void)parse_batch_sizes(text);
      break;
    case 4:
      (void)parse_subnet(text);
      break;
    case 5:
      (void)parse_image(text);
      break;
    default:
      (void)allows({{{std::string(text.substr(0, text.size() / 2))}, {}}}, text.substr(text.size() / 2));
      break;
  }
  return 0;
}
