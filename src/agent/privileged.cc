#include "agent/privileged.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/files.h"
#include "base/log.h"
#include "base/socket.h"

namespace slipway::agent {

namespace {

constexpr uint16_t first_port = 512;
constexpr uint16_t ports = 512;
constexpr const char* unprivileged_from = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

}  // namespace

Result<std::unique_ptr<Channel>> connect_privileged(Loop& loop, std::mt19937_64& random, const std::string& to) {
  const auto address = tcp_address(to);
  if (!address) return fail(address.error());
  const auto start = static_cast<uint16_t>(random() % ports);
  for (uint16_t i = 0; i < ports; ++i) {
    // A socket whose connect was refused the port can't be bound again: a new one for each try.
    auto socket = open_socket(AF_INET);
    if (!socket) return fail(socket.error());
    const int fd = socket->get();
    // So that the ports of our earlier connections, which the kernel keeps for a minute, don't run out.
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_port = htons(static_cast<uint16_t>(first_port + (start + i) % ports));
    if (bind(fd, reinterpret_cast<const sockaddr*>(&from), sizeof from) != 0) {
      if (errno == EADDRINUSE) continue;
      if (errno == EACCES || errno == EPERM) {
        return fail(ErrorCode::denied,
                    "the agent may not speak from a port below 1024, which proves to the daemon that it isn't some "
                    "user's program; run slipway-agent as root (with CAP_NET_BIND_SERVICE)");
      }
      return fail_errno("bind a port below 1024");
    }
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) != 0 && errno != EINPROGRESS) {
      if (errno == EADDRNOTAVAIL || errno == EADDRINUSE) continue;
      return fail(ErrorCode::transient, errno_message("connect to " + to));
    }
    // A TCP socket that still connects takes nothing (EAGAIN) and becomes writable once it is connected; a refusal is
    // its first error. Both are what a channel expects of an open one; how long it may take is the caller's to bound.
    Peer peer;
    peer.address = to;
    return std::make_unique<Channel>(loop, std::move(*socket), std::move(peer));
  }
  return fail(ErrorCode::transient, "all ports from 512 to 1023 of this machine are in use; the agent needs one");
}

void reserve_privileged_ports() {
  const auto text = read_file(unprivileged_from, 64);
  if (!text || std::atoi(text->c_str()) >= first_port + ports) return;
  const Fd fd(open(unprivileged_from, O_WRONLY | O_CLOEXEC));
  if (fd && write(fd.get(), "1024\n", 5) == 5) return;
  log_warning("ports_not_reserved", {{"why", errno_message(unprivileged_from)},
                                     {"meaning", "any user of this machine may speak to the daemon as the machine"}});
}

}  // namespace slipway::agent
