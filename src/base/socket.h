// Socket addresses and options, shared by everything in base/channel.h.
#pragma once

#include <netinet/in.h>
#include <sys/un.h>

#include <filesystem>
#include <string>

#include "base/channel.h"
#include "base/files.h"
#include "base/result.h"

namespace slipway {

// The address of a Unix socket's path. A path too long for sockaddr_un is reached through its open folder in
// /proc/self/fd, so the object must live until bind or connect is done.
struct UnixAddress {
  sockaddr_un address{};
  socklen_t length = 0;
  Fd folder;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

Result<UnixAddress> unix_address(const std::filesystem::path& path);

// "198.18.0.5:6820"; fails with bad_config on anything else. Names are never looked up.
Result<sockaddr_in> tcp_address(const std::string& ipv4_and_port);
std::string to_string(const sockaddr_in& address);

// A non-blocking, close-on-exec stream socket.
Result<Fd> open_socket(int domain);
// Small messages at once; a peer that vanished without a word is noticed within half a minute. Ignored for other than
// TCP.
void set_tcp_options(int socket);
// Who is at the other end of a connected Unix socket.
Peer unix_peer(int socket);

}  // namespace slipway
