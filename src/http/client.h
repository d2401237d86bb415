// HTTP/1.1 to clouds: blocking, for worker threads. Connections are kept alive and shared by threads. Follows no
// redirects, retries nothing (but a kept connection that turns out to be closed before anything of an answer came, for
// GET and HEAD) and adds no authentication: its callers do.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "http/message.h"

namespace slipway::http {

struct ClientOptions {
  std::string ca_file;  // PEM, trusted besides the system's
  size_t idle_max = 8;  // kept connections per origin
  Duration idle_for{30'000};
  size_t body_bytes_max = 64u << 20;  // a longer answer is an error
  std::string user_agent = "slipway/" SLIPWAY_VERSION;
};

// Thread-safe.
class Client {
 public:
  explicit Client(ClientOptions options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Any status is a success: what it means is the caller's knowledge. transient: nothing was sent (no such host,
  // refused, no time to connect). outcome_unknown: it was sent, in part at least, and no whole answer came. bad_config:
  // the URL, or the server's certificate isn't trusted.
  Result<Response> send(const Request& request, Duration timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway::http
