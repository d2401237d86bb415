// The admin door of a simulated cloud: levers, and what happens to machines behind everybody's back. JSON over HTTP;
// docs/rehearsal.md describes the calls. On the loop's thread.
//
//   GET /healthz    without a token
//   GET, PUT /levers                PUT writes levers.json too
//   GET /machines[?group=…]
//   POST /evict     {"machines": [names], "notice_ms"} or {"group", "market", "count", "notice_ms"}
//   POST /vanish    the same without notice
//   POST /return    {"group"}: evicted machines boot again, as far as there is room
//   GET, DELETE /calls              calls by operation, since the start or the last DELETE
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "http/server.h"
#include "rehearse/gate.h"
#include "rehearse/site.h"

namespace slipway::rehearse {

class Admin {
 public:
  // `levers_written`: after a PUT changed the file.
  Admin(Site& site, Gate& gate, std::string token, std::filesystem::path levers_file,
        std::function<void()> levers_written);
  void handle(const http::Asked& asked, const http::Answer& answer);

 private:
  struct Chosen;
  http::Response levers(const http::Asked& asked);
  http::Response machines(const http::Asked& asked) const;
  http::Response change(const std::string& call, const http::Asked& asked);
  http::Response calls(const http::Asked& asked);
  Result<Chosen> choose(const std::string& call, const std::string& body) const;

  Site& site_;
  Gate& gate_;
  const std::string token_;
  const std::filesystem::path levers_file_;
  const std::function<void()> levers_written_;
};

}  // namespace slipway::rehearse
