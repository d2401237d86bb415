// The cluster's names, as a small DNS server on the controller (UDP, port 53 of its address in the cluster).
//
// Nodes are bound to machines late, so no file can hold their addresses; yet Slurm's programs ask for them wherever a job runs, and Debian's retry a name
// that nobody knows ten times, a second apart. So every name of the cluster has an answer at once: the address of the machine that is bound to it, or
// the controller's for a node that sleeps (no slurmd listens there, so a connection is refused at once). Other names don't exist.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/loop.h"
#include "base/result.h"

namespace slipway::daemon {

struct NameLookup {
  std::function<std::optional<std::string>(std::string_view name)> address_of;    // "cpu-0001" → "198.18.0.7"; lower case
  std::function<std::optional<std::string>(std::string_view address)> name_of;    // the other way round
};

// The answer to one DNS query (RFC 1035): A and PTR questions, one a message; empty for what isn't a query at all. Pure.
std::string answer_query(std::string_view query, const NameLookup& lookup);

class NameServer {
 public:
  // `endpoint`: "198.18.0.2:53".
  static Result<std::unique_ptr<NameServer>> open(Loop& loop, const std::string& endpoint, NameLookup lookup);
  ~NameServer();
  NameServer(const NameServer&) = delete;
  NameServer& operator=(const NameServer&) = delete;

 private:
  NameServer(Loop& loop, Fd socket, NameLookup lookup);
  void serve();

  Loop& loop_;
  Fd socket_;
  const NameLookup lookup_;
};

}  // namespace slipway::daemon
