#include "machines/netlink.h"

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace slipway::machines {
namespace {

constexpr int receive_patience_seconds = 20;  // the kernel answers at once; this only bounds a hang

size_t aligned(size_t size) {
  return (size + 3) & ~size_t{3};
}

template <class T>
T load(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(sizeof value, bytes.size()));
  return value;
}

// The sentence that the kernel adds to a refusal, if any.
std::string kernel_words(std::string_view error_message) {
  nlmsgerr error = load<nlmsgerr>(error_message);
  // With NETLINK_CAP_ACK only the request's header is repeated.
  std::string_view text = error_message.size() > sizeof error
                              ? find_attribute(error_message.substr(sizeof error), NLMSGERR_ATTR_MSG)
                              : std::string_view();
  while (!text.empty() && text.back() == '\0') text.remove_suffix(1);
  std::string words = std::strerror(-error.error);
  if (!text.empty()) words += " (" + std::string(text) + ")";
  return words;
}

ErrorCode code_of(int number) {
  switch (number) {
    case ENODEV:
    case ENOENT:
    case ESRCH:
      return ErrorCode::not_found;
    case EPERM:
      return ErrorCode::denied;
    case ENOMEM:
    case ENOBUFS:
    case EXFULL:  // a bridge without a free port
      return ErrorCode::no_capacity;
    default:
      return ErrorCode::permanent;
  }
}

constexpr int dump_attempts = 5;

}  // namespace

void NetlinkBatch::start(uint16_t type, uint16_t flags, const void* header, size_t size, std::string what) {
  SLIPWAY_CHECK(nests_.empty());
  starts_.push_back(buffer_.size());
  whats_.push_back(std::move(what));
  nlmsghdr message{};
  message.nlmsg_type = type;
  message.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  buffer_.append(reinterpret_cast<const char*>(&message), sizeof message);
  raw(header, size);
}

void NetlinkBatch::grow_current() {
  buffer_.resize(aligned(buffer_.size()));
  auto length = static_cast<uint32_t>(buffer_.size() - starts_.back());
  std::memcpy(buffer_.data() + starts_.back(), &length, sizeof length);
}

NetlinkBatch& NetlinkBatch::raw(const void* data, size_t size) {
  buffer_.append(static_cast<const char*>(data), size);
  grow_current();
  return *this;
}

NetlinkBatch& NetlinkBatch::bytes(uint16_t type, const void* data, size_t size) {
  rtattr attribute{};
  attribute.rta_len = static_cast<unsigned short>(sizeof attribute + size);
  attribute.rta_type = type;
  buffer_.append(reinterpret_cast<const char*>(&attribute), sizeof attribute);
  return raw(data, size);
}

NetlinkBatch& NetlinkBatch::text(uint16_t type, std::string_view value) {
  std::string with_nul(value);
  return bytes(type, with_nul.c_str(), with_nul.size() + 1);
}

NetlinkBatch& NetlinkBatch::address(uint16_t type, uint32_t ipv4_host_order) {
  return u32(type, htonl(ipv4_host_order));
}

NetlinkBatch& NetlinkBatch::open(uint16_t type) {
  nests_.push_back(buffer_.size());
  return bytes(type | NLA_F_NESTED, nullptr, 0);
}

NetlinkBatch& NetlinkBatch::close() {
  SLIPWAY_CHECK(!nests_.empty());
  auto length = static_cast<uint16_t>(buffer_.size() - nests_.back());
  std::memcpy(buffer_.data() + nests_.back(), &length, sizeof length);
  nests_.pop_back();
  return *this;
}

std::string_view find_attribute(std::string_view attributes, uint16_t type) {
  while (attributes.size() >= sizeof(rtattr)) {
    rtattr attribute = load<rtattr>(attributes);
    if (attribute.rta_len < sizeof attribute || attribute.rta_len > attributes.size()) return {};
    if ((attribute.rta_type & NLA_TYPE_MASK) == type) {
      return attributes.substr(sizeof attribute, attribute.rta_len - sizeof attribute);
    }
    attributes.remove_prefix(std::min(aligned(attribute.rta_len), attributes.size()));
  }
  return {};
}

Result<Netlink> Netlink::open() {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return fail_errno("open the kernel's routing socket");
  int on = 1;
  timeval patience{receive_patience_seconds, 0};
  int room = 1 << 20;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  return Netlink(std::move(fd));
}

Result<size_t> Netlink::receive(std::string& buffer) {
  for (;;) {
    ssize_t size = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (size >= 0) return static_cast<size_t>(size);
    if (errno != EINTR) return fail_errno("read from the kernel's routing socket");
  }
}

Result<void> Netlink::run(NetlinkBatch& batch, std::vector<int>* refused) {
  if (batch.empty()) return {};
  uint32_t first = sequence_ + 1;
  for (size_t start : batch.starts_) {
    ++sequence_;
    std::memcpy(batch.buffer_.data() + start + offsetof(nlmsghdr, nlmsg_seq), &sequence_, sizeof sequence_);
  }
  if (refused) refused->assign(batch.starts_.size(), 0);
  if (::send(fd_.get(), batch.buffer_.data(), batch.buffer_.size(), 0) < 0)
    return fail_errno("write to the kernel's routing socket");

  std::string buffer(64 << 10, '\0');
  std::optional<Error> trouble;
  for (size_t answered = 0; answered < batch.starts_.size();) {
    auto size = receive(buffer);
    if (!size) return fail(size.error());
    std::string_view rest(buffer.data(), *size);
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header = load<nlmsghdr>(rest);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) break;
      // Answers to an earlier batch that was given up are skipped.
      if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_seq - first < batch.starts_.size()) {
        ++answered;
        std::string_view body = rest.substr(sizeof header, header.nlmsg_len - sizeof header);
        int number = -load<nlmsgerr>(body).error;
        if (refused) (*refused)[header.nlmsg_seq - first] = number;
        if (number != 0 && !trouble) {
          trouble = Error{code_of(number), batch.whats_[header.nlmsg_seq - first] + ": " + kernel_words(body)};
        }
      }
      rest.remove_prefix(std::min(aligned(header.nlmsg_len), rest.size()));
    }
  }
  if (trouble) return fail(*trouble);
  return {};
}

Result<bool> Netlink::dump(uint16_t type, uint8_t family, const std::function<void(std::string_view)>& each) {
  struct {
    nlmsghdr header;
    // The biggest of the fixed headers: kernels that check strictly only look at the family when the rest is zero.
    union {
      ifinfomsg link;
      ifaddrmsg address;
      rtmsg route;
      ndmsg neighbour;
    };
  } request{};
  size_t body = type == RTM_GETLINK    ? sizeof(ifinfomsg)
                : type == RTM_GETADDR  ? sizeof(ifaddrmsg)
                : type == RTM_GETROUTE ? sizeof(rtmsg)
                                       : sizeof(ndmsg);
  request.header.nlmsg_len = static_cast<uint32_t>(sizeof(nlmsghdr) + body);
  request.header.nlmsg_type = type;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = ++sequence_;
  request.link.ifi_family = family;
  if (::send(fd_.get(), &request, request.header.nlmsg_len, 0) < 0)
    return fail_errno("write to the kernel's routing socket");

  std::string buffer(256 << 10, '\0');
  bool consistent = true;
  for (;;) {
    auto size = receive(buffer);
    if (!size) return fail(size.error());
    std::string_view rest(buffer.data(), *size);
    while (rest.size() >= sizeof(nlmsghdr)) {
      nlmsghdr header = load<nlmsghdr>(rest);
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > rest.size()) break;
      std::string_view message = rest.substr(sizeof header, header.nlmsg_len - sizeof header);
      if (header.nlmsg_seq == sequence_) {
        if (header.nlmsg_flags & NLM_F_DUMP_INTR) consistent = false;
        if (header.nlmsg_type == NLMSG_DONE) return consistent;
        if (header.nlmsg_type == NLMSG_ERROR)
          return fail(ErrorCode::permanent, "list links or routes: " + kernel_words(message));
        each(message);
      }
      rest.remove_prefix(std::min(aligned(header.nlmsg_len), rest.size()));
    }
  }
}

Result<std::vector<Link>> list_links(Netlink& netlink) {
  auto text = [](std::string_view value) {
    while (!value.empty() && value.back() == '\0') value.remove_suffix(1);
    return std::string(value);
  };
  std::vector<Link> links;
  for (int attempt = 1;; ++attempt) {
    links.clear();
    auto consistent = netlink.dump(RTM_GETLINK, AF_UNSPEC, [&](std::string_view body) {
      if (body.size() < sizeof(ifinfomsg)) return;
      std::string_view attributes = body.substr(sizeof(ifinfomsg));
      Link link;
      link.index = load<ifinfomsg>(body).ifi_index;
      link.name = text(find_attribute(attributes, IFLA_IFNAME));
      link.alias = text(find_attribute(attributes, IFLA_IFALIAS));
      if (auto master = find_attribute(attributes, IFLA_MASTER); !master.empty()) link.master = load<int>(master);
      link.kind = text(find_attribute(find_attribute(attributes, IFLA_LINKINFO), IFLA_INFO_KIND));
      links.push_back(std::move(link));
    });
    if (!consistent) return fail(consistent.error());
    // Links come and go all the time when machines do; after a few attempts a list with a doubled entry has to do.
    if (*consistent || attempt == dump_attempts) break;
  }
  return links;
}

}  // namespace slipway::machines
