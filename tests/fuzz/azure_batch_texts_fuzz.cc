#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "cloud/azure/batch_settings.h"
#include "cloud/azure/credentials.h"
#include "cloud/azure/shared_key.h"

namespace azure = slipway::cloud::azure;

// A URL that Batch hands out (a next page) is signed or refused, an image and a certificate of the cluster file too.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto parts = azure::marketplace_image(text);
  if (!parts.empty() && parts.size() != 4) abort();
  const auto url = azure::string_to_sign({"GET", "https://a.b/" + text, {}, ""}, "acc");
  if (url && !url->starts_with("GET\n")) abort();
  const slipway::TimePoint now{slipway::Duration(1'800'000'000'000)};
  // OpenSSL takes milliseconds to see that a text is no PEM.
  if (text.find("-----BEGIN") != std::string::npos) (void)azure::client_assertion(text, "c", "a", now);
  slipway::model::Pool pool;
  pool.name = slipway::PoolName("cpu");
  pool.machines = {text, "x"};
  if (azure::batch_pool_id("demo", pool, text).size() > 64) abort();
  return 0;
}
