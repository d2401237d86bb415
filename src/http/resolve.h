// From a host's name to its addresses, within a deadline.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <vector>

#include "base/result.h"

namespace slipway::http {

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Addresses as text need no look-up. Names are looked up in /etc/hosts and by DNS (/etc/resolv.conf) and nowhere else:
// a static program can't load other name services. transient: there is no such name, or no answer until `deadline`.
Result<std::vector<Address>> resolve(const std::string& host, uint16_t port,
                                     std::chrono::steady_clock::time_point deadline);

}  // namespace slipway::http
