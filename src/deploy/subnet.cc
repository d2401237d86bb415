#include "deploy/subnet.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <bit>
#include <charconv>

#include "base/files.h"

namespace slipway::deploy {

namespace {

uint32_t mask_of(int prefix) {
  return prefix == 0 ? 0 : ~uint32_t{0} << (32 - prefix);
}

std::optional<uint32_t> parse_hex(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace

Result<Subnet> parse_subnet(std::string_view text) {
  const auto refuse = [&] {
    return fail(ErrorCode::bad_config, "\"" + std::string(text) + "\" is not a network; write it like 198.18.16.0/20");
  };
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refuse();
  Subnet subnet;
  const std::string_view prefix = text.substr(slash + 1);
  const auto [end, error] = std::from_chars(prefix.data(), prefix.data() + prefix.size(), subnet.prefix);
  if (error != std::errc{} || end != prefix.data() + prefix.size() || subnet.prefix < 0 || subnet.prefix > 32) {
    return refuse();
  }
  in_addr address{};
  if (::inet_pton(AF_INET, std::string(text.substr(0, slash)).c_str(), &address) != 1) return refuse();
  subnet.address = ntohl(address.s_addr);
  const uint32_t network = subnet.address & mask_of(subnet.prefix);
  if (network != subnet.address) {
    return fail(ErrorCode::bad_config, "\"" + std::string(text) + "\" is an address inside a network; the network is " +
                                           to_string(Subnet{network, subnet.prefix}));
  }
  return subnet;
}

std::string to_string(const Subnet& subnet) {
  return host_address(subnet, 0) + "/" + std::to_string(subnet.prefix);
}

bool overlap(const Subnet& a, const Subnet& b) {
  const uint32_t mask = mask_of(std::min(a.prefix, b.prefix));
  return (a.address & mask) == (b.address & mask);
}

bool contains(const Subnet& outer, const Subnet& inner) {
  return inner.prefix >= outer.prefix && overlap(outer, inner);
}

std::string host_address(const Subnet& subnet, uint32_t n) {
  const uint32_t a = subnet.address + n;
  return std::to_string(a >> 24) + "." + std::to_string(a >> 16 & 255) + "." + std::to_string(a >> 8 & 255) + "." +
         std::to_string(a & 255);
}

std::vector<Subnet> parse_routes(std::string_view text) {
  std::vector<Subnet> found;
  bool header = true;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (std::exchange(header, false)) continue;
    std::vector<std::string_view> fields;
    for (size_t at = 0; at < line.size();) {
      const size_t begin = line.find_first_not_of(" \t", at);
      if (begin == std::string_view::npos) break;
      at = std::min(line.find_first_of(" \t", begin), line.size());
      fields.push_back(line.substr(begin, at - begin));
    }
    if (fields.size() < 8) continue;
    const auto destination = parse_hex(fields[1]);
    const auto mask = parse_hex(fields[7]);
    if (!destination || !mask || *mask == 0) continue;
    // The kernel prints the words as they lie in memory.
    const Subnet subnet{ntohl(*destination), std::popcount(*mask)};
    found.push_back({subnet.address & mask_of(subnet.prefix), subnet.prefix});
  }
  return found;
}

std::vector<Subnet> networks_in_use() {
  std::vector<Subnet> found;
  if (const auto routes = read_file("/proc/net/route")) found = parse_routes(*routes);
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return found;
  for (const ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_netmask == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    const uint32_t address = ntohl(reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr.s_addr);
    const int prefix =
        std::popcount(static_cast<uint32_t>(reinterpret_cast<const sockaddr_in*>(one->ifa_netmask)->sin_addr.s_addr));
    found.push_back({address & mask_of(prefix), prefix});
  }
  ::freeifaddrs(list);
  return found;
}

}  // namespace slipway::deploy
