// The kernel's routing socket: links, addresses, neighbours and routes, several changes in one write.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

struct nlmsghdr;

namespace slipway::machines {

// Messages for one write. The kernel carries out each, in order, whatever becomes of the others.
class NetlinkBatch {
 public:
  // Starts a message: its type (RTM_…), flags besides request and ack, its fixed header, and what to call it in an
  // error.
  template <class Header>
  NetlinkBatch& message(uint16_t type, uint16_t flags, const Header& header, std::string what) {
    start(type, flags, &header, sizeof header, std::move(what));
    return *this;
  }
  NetlinkBatch& bytes(uint16_t type, const void* data, size_t size);
  NetlinkBatch& text(uint16_t type, std::string_view value);  // with its NUL
  NetlinkBatch& u8(uint16_t type, uint8_t value) { return bytes(type, &value, sizeof value); }
  NetlinkBatch& u32(uint16_t type, uint32_t value) { return bytes(type, &value, sizeof value); }
  NetlinkBatch& address(uint16_t type, uint32_t ipv4_host_order);
  NetlinkBatch& open(uint16_t type);  // a nested attribute, until close()
  NetlinkBatch& close();
  NetlinkBatch& raw(const void* data, size_t size);  // a fixed header inside a nested attribute

  bool empty() const { return starts_.empty(); }

 private:
  friend class Netlink;
  void start(uint16_t type, uint16_t flags, const void* header, size_t size, std::string what);
  void grow_current();

  std::string buffer_;
  std::vector<size_t> starts_;
  std::vector<std::string> whats_;
  std::vector<size_t> nests_;
};

// Attributes of a message that the kernel sent: finds the first of `type`; empty when there is none.
std::string_view find_attribute(std::string_view attributes, uint16_t type);

// Belongs to the network namespace in which it was opened. Blocking; one thread at a time.
class Netlink {
 public:
  static Result<Netlink> open();

  // Fails with the first message that the kernel refused: "<what>: <the kernel's words>". `refused`, when given, gets
  // errno per message.
  Result<void> run(NetlinkBatch& batch, std::vector<int>* refused = nullptr);
  // Asks for everything of `type` (RTM_GETLINK, …) and calls `each` with a message's fixed header and attributes. False
  // when something changed meanwhile: entries may be missing or doubled.
  Result<bool> dump(uint16_t type, uint8_t family, const std::function<void(std::string_view body)>& each);

 private:
  explicit Netlink(Fd fd) : fd_(std::move(fd)) {}
  Result<size_t> receive(std::string& buffer);
  Fd fd_;
  uint32_t sequence_ = 0;
};

struct Link {
  int index = 0;
  int master = 0;
  std::string name;
  std::string alias;
  std::string kind;  // "bridge", "veth", or empty
};
Result<std::vector<Link>> list_links(Netlink& netlink);

}  // namespace slipway::machines
