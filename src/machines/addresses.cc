#include "machines/addresses.h"

#include <charconv>

namespace slipway::machines {
namespace {

// A number of at most three digits without a leading zero, up to `max`.
std::optional<uint32_t> small_number(std::string_view text, uint32_t max) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  uint32_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

}  // namespace

Result<Ipv4> parse_ipv4(std::string_view text) {
  Ipv4 address = 0;
  std::string_view rest = text;
  for (int part = 0; part < 4; ++part) {
    size_t dot = rest.find('.');
    if ((dot == std::string_view::npos) != (part == 3)) dot = 0;  // an empty part: refused below
    auto value = small_number(rest.substr(0, dot), 255);
    if (!value) return fail(ErrorCode::bad_config, "not an IPv4 address: '" + std::string(text) + "'");
    address = address << 8 | *value;
    if (part < 3) rest.remove_prefix(dot + 1);
  }
  return address;
}

std::string ipv4_text(Ipv4 address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string(address >> shift & 255);
    if (shift > 0) text += '.';
  }
  return text;
}

Result<Subnet> parse_subnet(std::string_view text) {
  auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::bad_config, "not a subnet for a cluster: '" + std::string(text) + "': " + std::string(why));
  };
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return refuse("expected something like 198.18.0.0/20");
  auto address = parse_ipv4(text.substr(0, slash));
  auto prefix = small_number(text.substr(slash + 1), 32);
  if (!address || !prefix) return refuse("expected something like 198.18.0.0/20");
  if (*prefix < 16 || *prefix > 29) return refuse("its prefix must be /16 to /29");
  Subnet subnet{*address, static_cast<int>(*prefix)};
  if ((subnet.network & subnet.mask()) != subnet.network) return refuse("bits are set behind the prefix");
  return subnet;
}

std::string subnet_text(const Subnet& subnet) {
  return ipv4_text(subnet.network) + '/' + std::to_string(subnet.prefix);
}

Mac mac_of(Ipv4 address) {
  return {0x02,
          0x53,
          static_cast<uint8_t>(address >> 24),
          static_cast<uint8_t>(address >> 16),
          static_cast<uint8_t>(address >> 8),
          static_cast<uint8_t>(address)};
}

AddressPool::AddressPool(const Subnet& subnet, Ipv4 cursor) : subnet_(subnet), cursor_(cursor) {
  if (!subnet_.contains(cursor_) || cursor_ < subnet_.gateway()) cursor_ = subnet_.gateway();
}

std::optional<Ipv4> AddressPool::take() {
  if (available() == 0) return std::nullopt;
  for (;;) {
    ++cursor_;
    if (cursor_ >= subnet_.broadcast()) cursor_ = subnet_.gateway() + 1;
    if (taken_.insert(cursor_).second) return cursor_;
  }
}

bool AddressPool::take_this(Ipv4 address) {
  if (!subnet_.contains(address) || address <= subnet_.gateway() || address >= subnet_.broadcast()) return false;
  return taken_.insert(address).second;
}

void AddressPool::give_back(Ipv4 address) {
  taken_.erase(address);
}

size_t AddressPool::available() const {
  return subnet_.broadcast() - subnet_.gateway() - 1 - taken_.size();
}

}  // namespace slipway::machines
