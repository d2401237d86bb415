// A certificate authority of the server's own, kept in its folder, and a certificate for its doors.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace slipway::rehearse {

struct Certificates {
  std::string ca;  // all of it PEM
  std::string ca_key;
  std::string server;  // with the authority's behind it
  std::string server_key;
};

// Reads ca.pem and ca.key of the folder, or makes them when they aren't there, don't belong together or end within a
// year; makes the server's anew, for the IPv4 addresses and names given, and writes server.pem and server.key. Keys
// are readable by root only.
Result<Certificates> make_certificates(const std::filesystem::path& folder, const std::vector<std::string>& names);

}  // namespace slipway::rehearse
