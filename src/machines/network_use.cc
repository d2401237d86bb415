#include "machines/network_use.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "machines/host.h"

namespace slipway::machines {
namespace {

constexpr Ipv4 pool_network = 198u << 24 | 18u << 16;  // 198.18.0.0/15, set aside for tests of networks (RFC 2544)
constexpr int pool_prefix = 15;
constexpr int cluster_prefix = 20;

Ipv4 address_in(std::string_view attribute) {
  uint32_t value = 0;
  std::memcpy(&value, attribute.data(), std::min(sizeof value, attribute.size()));
  return ntohl(value);
}

Subnet subnet_of(Ipv4 address, int prefix) {
  Subnet subnet{address, prefix};
  subnet.network &= subnet.mask();
  return subnet;
}

}  // namespace

Result<std::vector<SubnetUse>> subnets_in_use(Netlink& netlink) {
  auto links = list_links(netlink);
  if (!links) return fail(links.error());
  std::map<int, std::string> names;
  for (const Link& link : *links) names[link.index] = link.name;

  std::vector<SubnetUse> uses;
  auto addresses = netlink.dump(RTM_GETADDR, AF_INET, [&](std::string_view body) {
    ifaddrmsg header{};
    if (body.size() < sizeof header) return;
    std::memcpy(&header, body.data(), sizeof header);
    auto address = find_attribute(body.substr(sizeof header), IFA_ADDRESS);
    if (header.ifa_family != AF_INET || address.empty()) return;
    int index = static_cast<int>(header.ifa_index);
    uses.push_back({subnet_of(address_in(address), header.ifa_prefixlen), index, names[index], true});
  });
  if (!addresses) return fail(addresses.error());
  auto routes = netlink.dump(RTM_GETROUTE, AF_INET, [&](std::string_view body) {
    rtmsg header{};
    if (body.size() < sizeof header) return;
    std::memcpy(&header, body.data(), sizeof header);
    std::string_view attributes = body.substr(sizeof header);
    auto destination = find_attribute(attributes, RTA_DST);
    bool ours_to_see = header.rtm_type != RTN_LOCAL && header.rtm_type != RTN_BROADCAST && header.rtm_dst_len > 0;
    if (header.rtm_family != AF_INET || destination.empty() || !ours_to_see) return;
    int index = 0;
    auto link = find_attribute(attributes, RTA_OIF);
    std::memcpy(&index, link.data(), std::min(sizeof index, link.size()));
    uses.push_back({subnet_of(address_in(destination), header.rtm_dst_len), index,
                    index == 0 || names[index].empty() ? "a route" : names[index], false});
  });
  if (!routes) return fail(routes.error());
  return uses;
}

Result<void> check_subnet_free(Netlink& netlink, const Subnet& subnet, int own_link) {
  auto uses = subnets_in_use(netlink);
  if (!uses) return fail(uses.error());
  for (const SubnetUse& use : *uses) {
    if (!use.subnet.overlaps(subnet) || (own_link != 0 && use.link == own_link)) continue;
    return fail(ErrorCode::bad_config,
                "the subnet " + subnet_text(subnet) + " is in use on this box: " + use.interface +
                    (use.is_address ? " has an address in " : " has a route to ") + subnet_text(use.subnet) +
                    "; choose another with `subnet:` in the cluster file, or leave it out so that a free one "
                    "is found");
  }
  return {};
}

Result<std::string> choose_subnet() {
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  auto uses = subnets_in_use(*netlink);
  if (!uses) return fail(uses.error());
  for (Ipv4 number = 0; number < 1u << (cluster_prefix - pool_prefix); ++number) {
    Subnet candidate{pool_network + (number << (32 - cluster_prefix)), cluster_prefix};
    bool used =
        std::any_of(uses->begin(), uses->end(), [&](const SubnetUse& use) { return use.subnet.overlaps(candidate); });
    if (!used) return subnet_text(candidate);
  }
  return fail(ErrorCode::no_capacity,
              "all 32 subnets of 198.18.0.0/15 are used on this box; end a cluster with `slipway down`, or name a "
              "subnet of another "
              "range with `subnet:` in the cluster file");
}

}  // namespace slipway::machines
