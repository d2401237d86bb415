#include "base/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <charconv>
#include <cstddef>
#include <cstring>

namespace slipway {

namespace {

constexpr int vanished_after_ms = 30'000;

void set_option(int socket, int level, int name, int value) {
  // These only make things better; a kernel that refuses one still carries the connection.
  static_cast<void>(setsockopt(socket, level, name, &value, sizeof value));
}

}  // namespace

Result<UnixAddress> unix_address(const std::filesystem::path& path) {
  UnixAddress result;
  result.address.sun_family = AF_UNIX;
  std::string text = path.string();
  // An empty path or a leading NUL would mean an unnamed or an abstract socket.
  if (text.empty() || text.find('\0') != std::string::npos) {
    return fail(ErrorCode::bad_config, "not a path for a socket: \"" + text + "\"");
  }
  if (text.size() >= sizeof result.address.sun_path) {
    const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    result.folder.reset(open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!result.folder) {
      return fail_errno("open " + folder.string());
    }
    text = "/proc/self/fd/" + std::to_string(result.folder.get()) + "/" + path.filename().string();
    if (text.size() >= sizeof result.address.sun_path) {
      return fail(ErrorCode::bad_config, "too long a name for a socket: " + path.string());
    }
  }
  std::memcpy(result.address.sun_path, text.c_str(), text.size() + 1);
  result.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + 1);
  return result;
}

Result<sockaddr_in> tcp_address(const std::string& ipv4_and_port) {
  const size_t colon = ipv4_and_port.find(':');
  const std::string host = ipv4_and_port.substr(0, colon);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  uint16_t port = 0;
  bool good = colon != std::string::npos && inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1 &&
              host.find('\0') == std::string::npos;
  if (good) {
    const char* begin = ipv4_and_port.data() + colon + 1;
    const char* end = ipv4_and_port.data() + ipv4_and_port.size();
    const auto [stop, error] = std::from_chars(begin, end, port);
    good = error == std::errc() && stop == end;
  }
  if (!good) {
    return fail(ErrorCode::bad_config, "not an address like 198.18.0.5:6820: \"" + ipv4_and_port + "\"");
  }
  address.sin_port = htons(port);
  return address;
}

std::string to_string(const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof text);
  return std::string(text) + ":" + std::to_string(ntohs(address.sin_port));
}

Result<Fd> open_socket(int domain) {
  Fd fd(socket(domain, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno("open a socket");
  }
  return fd;
}

void set_tcp_options(int socket) {
  int domain = 0;
  socklen_t length = sizeof domain;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_INET) {
    return;
  }
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 10);  // seconds
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 5);  // seconds
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set_option(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, vanished_after_ms);
}

Peer unix_peer(int socket) {
  Peer peer;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0) {
    peer.uid = credentials.uid;
    peer.pid = credentials.pid;
  }
  return peer;
}

}  // namespace slipway
