#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "base/channel.h"
#include "base/frame.h"
#include "base/socket.h"

namespace slipway {

namespace {

using Steady = std::chrono::steady_clock;

constexpr Duration timeout_max = std::chrono::hours(24 * 365);
constexpr Duration retry_connect{10};
constexpr size_t receive_size_max = 1 << 20;

Steady::time_point deadline_after(Duration timeout) {
  return Steady::now() + std::clamp(timeout, Duration(0), timeout_max);
}

// Waits until the socket has one of `events`; false when the deadline came first.
bool wait_for(int socket, short events, Steady::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<Duration>(deadline - Steady::now());
    pollfd wait{socket, events, 0};
    const int ready = poll(&wait, 1, static_cast<int>(std::clamp(left, Duration(0), Duration(3'600'000)).count()));
    if (ready > 0) {
      return true;
    }
    if (Steady::now() >= deadline) {
      return false;
    }
  }
}

}  // namespace

Result<BlockingChannel> BlockingChannel::connect_unix(const std::filesystem::path& path, Duration timeout) {
  const Steady::time_point deadline = deadline_after(timeout);
  auto address = unix_address(path);
  if (!address) {
    return fail(address.error());
  }
  while (true) {
    auto socket = open_socket(AF_UNIX);
    if (!socket) {
      return fail(socket.error());
    }
    if (connect(socket->get(), address->get(), address->length) == 0) {
      return BlockingChannel(std::move(*socket));
    }
    if (errno == ENOENT || errno == ECONNREFUSED) {
      return fail(ErrorCode::not_found, errno_message("nothing listens at " + path.string()));
    }
    // EAGAIN: the listener lives, but its queue of waiting connections is full.
    if (errno != EAGAIN && errno != EINTR) {
      return fail_errno("connect to " + path.string());
    }
    if (Steady::now() >= deadline) {
      return fail(ErrorCode::transient, "timed out connecting to " + path.string());
    }
    std::this_thread::sleep_for(retry_connect);
  }
}

Result<void> BlockingChannel::send(std::string_view message, Duration timeout) {
  if (!fd_) {
    return fail(ErrorCode::outcome_unknown, "the connection is closed");
  }
  if (message.size() > message_max_default) {
    return fail(ErrorCode::permanent, "message of " + std::to_string(message.size()) + " bytes is too long to send");
  }
  const Steady::time_point deadline = deadline_after(timeout);
  std::string header;
  append_frame_header(header, message.size());
  size_t sent = 0;
  while (sent < header.size() + message.size()) {
    const std::string_view head = std::string_view(header).substr(std::min(sent, header.size()));
    const std::string_view body = message.substr(sent - std::min(sent, header.size()));
    iovec parts[2] = {{const_cast<char*>(head.data()), head.size()}, {const_cast<char*>(body.data()), body.size()}};
    msghdr out{};
    out.msg_iov = parts;
    out.msg_iovlen = 2;
    const ssize_t count = sendmsg(fd_.get(), &out, MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<size_t>(count);
      continue;
    }
    if (errno == EINTR) {
      continue;
    }
    if (errno != EAGAIN) {
      const std::string reason = errno_message("send");
      fd_.reset();
      return fail(ErrorCode::outcome_unknown, reason);
    }
    if (!wait_for(fd_.get(), POLLOUT, deadline)) {
      if (sent == 0) {
        return fail(ErrorCode::transient, "timed out sending: the peer does not read");
      }
      fd_.reset();  // the rest could never be told from a new message
      return fail(ErrorCode::outcome_unknown, "timed out in the middle of a message: the peer does not read");
    }
  }
  return {};
}

Result<std::string> BlockingChannel::receive(Duration timeout) {
  const Steady::time_point deadline = deadline_after(timeout);
  while (fd_) {
    size_t wanted = frame_header_size - std::min(incoming_.size(), frame_header_size);
    if (wanted == 0) {
      const size_t size = frame_body_size(incoming_);
      if (size > message_max_default) {
        fd_.reset();
        return fail(ErrorCode::permanent, "frame too long: " + std::to_string(size) + " bytes");
      }
      wanted = size - (incoming_.size() - frame_header_size);
      if (wanted == 0) {
        std::string message = incoming_.substr(frame_header_size);
        incoming_.clear();
        return message;
      }
    }
    // Asks for no byte beyond this message, and for memory only as its bytes arrive.
    const size_t before = incoming_.size();
    incoming_.resize(before + std::min(wanted, receive_size_max));
    const ssize_t count = recv(fd_.get(), incoming_.data() + before, incoming_.size() - before, 0);
    const int error = errno;
    incoming_.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) {
      fd_.reset();
      return fail(ErrorCode::outcome_unknown, "closed by peer");
    }
    if (count < 0 && error == EAGAIN) {
      if (!wait_for(fd_.get(), POLLIN, deadline)) {
        return fail(ErrorCode::transient, "timed out waiting for an answer");
      }
    } else if (count < 0 && error != EINTR) {
      fd_.reset();
      errno = error;
      return fail(ErrorCode::outcome_unknown, errno_message("receive"));
    }
  }
  return fail(ErrorCode::outcome_unknown, "the connection is closed");
}

}  // namespace slipway
