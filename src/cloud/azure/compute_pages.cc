#include "cloud/azure/compute_pages.h"

#include "http/url.h"

namespace slipway::cloud::azure {

bool is_of(std::string_view endpoint, std::string_view url) {
  const auto there = http::parse_url(url);
  const auto here = http::parse_url(std::string(endpoint) + "/");
  return there && here && there->scheme == here->scheme && lower_case(there->host) == lower_case(here->host) &&
         there->port == here->port;
}

}  // namespace slipway::cloud::azure
