#include "machines/network.h"

#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "machines/host.h"
#include "machines/network_use.h"

namespace slipway::machines {
namespace {

constexpr uint8_t in6_addr_gen_mode_none = 1;  // linux/if_link.h names it, but not every libc's copy
constexpr std::string_view alias_start = "slipway ";
constexpr size_t alias_max = 255;       // the kernel's IFALIASZ, less its NUL
constexpr size_t forget_at_once = 256;  // the answers must fit into the socket
constexpr int name_attempts = 16;

std::string hex(uint64_t value, int digits) {
  std::string text(static_cast<size_t>(digits), '0');
  for (int i = digits - 1; i >= 0; --i, value >>= 4) text[static_cast<size_t>(i)] = "0123456789abcdef"[value & 15];
  return text;
}

// FNV-1a: the digits only have to be the same tomorrow and rarely those of another folder.
std::string digits_for(const std::filesystem::path& state, int attempt) {
  uint64_t hash = 14695981039346656037u + static_cast<uint64_t>(attempt);
  for (unsigned char byte : state.string()) hash = (hash ^ byte) * 1099511628211u;
  return hex(hash ^ hash >> 32, 5);
}

std::string alias_for(const std::filesystem::path& state) {
  std::string alias = std::string(alias_start) + state.string();
  return alias.substr(0, alias_max);
}

int index_of(const std::string& name) {
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return socket && ::ioctl(socket.get(), SIOCGIFINDEX, &request) == 0 ? request.ifr_ifindex : 0;
}

ifinfomsg link_header(int index, uint8_t family = AF_UNSPEC) {
  ifinfomsg header{};
  header.ifi_family = family;
  header.ifi_index = index;
  return header;
}

ifinfomsg link_header_up(int index, bool up) {
  ifinfomsg header = link_header(index);
  header.ifi_flags = up ? IFF_UP : 0;
  header.ifi_change = IFF_UP;
  return header;
}

// Before the link comes up, so that the kernel never gives it an IPv6 address to announce and to check for doubles.
void no_ipv6_address(NetlinkBatch& batch, int index, const std::string& name) {
  batch.message(RTM_SETLINK, 0, link_header(index), "keep IPv6 off " + name)
      .open(IFLA_AF_SPEC)
      .open(AF_INET6)
      .u8(IFLA_INET6_ADDR_GEN_MODE, in6_addr_gen_mode_none)
      .close()
      .close();
}

void permanent_neighbour(NetlinkBatch& batch, int index, Ipv4 address, const std::string& what) {
  ndmsg header{};
  header.ndm_family = AF_INET;
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  Mac mac = mac_of(address);
  batch.message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header, what)
      .address(NDA_DST, address)
      .bytes(NDA_LLADDR, mac.data(), mac.size());
}

std::string link_name(const std::string& bridge, const std::string& id) {
  return "sw" + bridge.substr(3) + (id.starts_with("i-") ? id.substr(2) : id);
}

bool is_link_of(const std::string& bridge, const std::string& name) {
  return name.size() == 15 && name.starts_with("sw" + bridge.substr(3));
}

// A box that hands bridged packets to iptables (Docker's does) may drop what machines say to each other.
void warn_about_bridge_filter() {
  auto setting = read_file("/proc/sys/net/bridge/bridge-nf-call-iptables", 16);
  if (!setting || !setting->starts_with('1')) return;
  auto tables = read_file("/proc/net/ip_tables_names", 4096);
  if (!tables || tables->find("filter") == std::string::npos) return;
  log_warning("bridge_filtered",
              {{"why",
                "net.bridge.bridge-nf-call-iptables is 1 and this box has iptables rules: if they drop forwarded "
                "packets, machines can't talk to each other; set it to 0 or let 198.18.0.0/15 through"}});
}

}  // namespace

Result<Network> Network::set_up(const std::filesystem::path& state, const Subnet& subnet) {
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  auto links = list_links(*netlink);
  if (!links) return fail(links.error());
  Network network(std::move(*netlink), subnet);
  std::string alias = alias_for(state);

  for (const Link& link : *links) {
    if (link.alias == alias && link.kind == "bridge") {
      network.bridge_ = link.name;
      network.bridge_index_ = link.index;
    }
  }
  if (auto free = check_subnet_free(network.netlink_, subnet, network.bridge_index_); !free) return fail(free.error());
  for (int attempt = 0; network.bridge_.empty(); ++attempt) {
    if (attempt == name_attempts)
      return fail(ErrorCode::permanent, "no free name for the cluster's bridge: slw… are all taken");
    std::string name = "slw" + digits_for(state, attempt);
    bool taken = std::any_of(links->begin(), links->end(), [&](const Link& link) { return link.name == name; });
    if (!taken) network.bridge_ = name;
  }
  if (auto made = network.make_bridge(alias); !made) return fail(made.error());
  warn_about_bridge_filter();
  return network;
}

Result<void> Network::make_bridge(const std::string& alias) {
  if (bridge_index_ == 0) {
    Mac mac = mac_of(subnet_.gateway());
    NetlinkBatch batch;
    batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{}, "make the bridge " + bridge_)
        .text(IFLA_IFNAME, bridge_)
        .bytes(IFLA_ADDRESS, mac.data(), mac.size())
        .open(IFLA_LINKINFO)
        .text(IFLA_INFO_KIND, "bridge")
        .open(IFLA_INFO_DATA)
        .u32(IFLA_BR_STP_STATE, 0)
        .u32(IFLA_BR_FORWARD_DELAY, 0)
        .u8(IFLA_BR_MCAST_SNOOPING, 0)
        .close()
        .close();
    if (auto made = netlink_.run(batch); !made) return made;
    bridge_index_ = index_of(bridge_);
    // At once, for the alias is how a later run finds this bridge.
    NetlinkBatch name;
    name.message(RTM_SETLINK, 0, link_header(bridge_index_), "name the bridge's cluster").text(IFLA_IFALIAS, alias);
    if (auto named = netlink_.run(name); !named) return named;
  }
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = static_cast<uint8_t>(subnet_.prefix);
  address.ifa_index = static_cast<uint32_t>(bridge_index_);
  NetlinkBatch batch;
  no_ipv6_address(batch, bridge_index_, bridge_);
  batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address, "give the bridge its address")
      .address(IFA_LOCAL, subnet_.gateway())
      .address(IFA_ADDRESS, subnet_.gateway())
      .address(IFA_BROADCAST, subnet_.broadcast());
  batch.message(RTM_NEWLINK, 0, link_header_up(bridge_index_, true), "bring the bridge up");
  std::vector<int> refused;
  auto done = netlink_.run(batch, &refused);
  // A kernel without IPv6 refuses the first message, and needs it least.
  if (!done && refused.size() == 3 && refused[1] == 0 && refused[2] == 0) return {};
  return done;
}

Result<void> Network::plug_in(const std::string& id, Ipv4 address, pid_t pid) {
  std::string name = link_name(bridge_, id);
  Mac mac = mac_of(address);
  NetlinkBatch create;
  create.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{}, "make the link of " + id)
      .text(IFLA_IFNAME, name)
      .u32(IFLA_MASTER, static_cast<uint32_t>(bridge_index_))
      .u32(IFLA_NUM_TX_QUEUES, 1)
      .u32(IFLA_NUM_RX_QUEUES, 1)
      .open(IFLA_LINKINFO)
      .text(IFLA_INFO_KIND, "veth")
      .open(IFLA_INFO_DATA)
      .open(VETH_INFO_PEER);
  ifinfomsg peer{};
  create.raw(&peer, sizeof peer)
      .text(IFLA_IFNAME, "eth0")
      .bytes(IFLA_ADDRESS, mac.data(), mac.size())
      .u32(IFLA_NUM_TX_QUEUES, 1)
      .u32(IFLA_NUM_RX_QUEUES, 1)
      .u32(IFLA_NET_NS_PID, static_cast<uint32_t>(pid))
      .close()
      .close()
      .close();
  if (auto made = netlink_.run(create); !made) return made;

  int index = index_of(name);
  ndmsg forwarding{};
  forwarding.ndm_family = AF_BRIDGE;
  forwarding.ndm_ifindex = index;
  forwarding.ndm_state = NUD_NOARP;  // static; NUD_PERMANENT would mean the bridge's own address
  forwarding.ndm_flags = NTF_MASTER;
  NetlinkBatch batch;
  no_ipv6_address(batch, index, name);
  batch.message(RTM_SETLINK, 0, link_header(index, AF_BRIDGE), "set the bridge port of " + id)
      .open(IFLA_PROTINFO)
      .u8(IFLA_BRPORT_LEARNING, 0)
      .u8(IFLA_BRPORT_UNICAST_FLOOD, 0)
      .u8(IFLA_BRPORT_MCAST_FLOOD, 0)
      .u8(IFLA_BRPORT_BCAST_FLOOD, 0)
      .u8(IFLA_BRPORT_PROXYARP, 1)
      .close();
  batch.message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, forwarding, "tell the bridge where " + id + " is")
      .bytes(NDA_LLADDR, mac.data(), mac.size());
  permanent_neighbour(batch, bridge_index_, address, "tell the box where " + id + " is");
  batch.message(RTM_NEWLINK, 0, link_header_up(index, true), "bring the link of " + id + " up");
  std::vector<int> refused;
  auto done = netlink_.run(batch, &refused);
  if (!done && std::all_of(refused.begin() + 1, refused.end(), [](int number) { return number == 0; })) return {};
  return done;
}

void Network::forget(const std::set<Ipv4>& addresses) {
  // A stale entry does no harm: it is replaced when the address is used again.
  auto run = [&](NetlinkBatch batch) {
    if (auto done = netlink_.run(batch); !done) log_debug("neighbour_kept", {{"why", done.error().message}});
  };
  NetlinkBatch batch;
  size_t waiting = 0;
  for (Ipv4 address : addresses) {
    ndmsg header{};
    header.ndm_family = AF_INET;
    header.ndm_ifindex = bridge_index_;
    batch.message(RTM_DELNEIGH, 0, header, "forget " + ipv4_text(address)).address(NDA_DST, address);
    if (++waiting % forget_at_once == 0) run(std::exchange(batch, {}));
  }
  run(std::move(batch));
}

Result<void> Network::set_link(const std::string& id, bool up) {
  int index = index_of(link_name(bridge_, id));
  if (index == 0) return fail(ErrorCode::not_found, "the link of " + id + " doesn't exist");
  NetlinkBatch batch;
  batch.message(RTM_NEWLINK, 0, link_header_up(index, up), "set the link of " + id);
  return netlink_.run(batch);
}

Result<NetworkRemains> find_network(const std::filesystem::path& state) {
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  auto links = list_links(*netlink);
  if (!links) return fail(links.error());
  NetworkRemains remains;
  std::string alias = alias_for(state);
  for (const Link& link : *links) {
    if (link.kind == "bridge" && link.alias == alias) remains.bridge = link.name;
  }
  if (remains.bridge.empty()) return remains;
  for (const Link& link : *links) {
    if (link.kind == "veth" && is_link_of(remains.bridge, link.name)) remains.links.push_back(link.name);
  }
  return remains;
}

Result<void> remove_network(const std::filesystem::path& state) {
  auto remains = find_network(state);
  if (!remains) return fail(remains.error());
  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  // Links first: the bridge is how they are found when this is interrupted.
  remains->links.push_back(remains->bridge);
  for (const std::string& name : remains->links) {
    int index = name.empty() ? 0 : index_of(name);
    if (index == 0) continue;
    NetlinkBatch batch;
    batch.message(RTM_DELLINK, 0, link_header(index), "remove " + name);
    auto removed = netlink->run(batch);
    if (!removed && index_of(name) == index) return removed;
  }
  return {};
}

std::vector<std::filesystem::path> clusters_on_this_box() {
  std::vector<std::filesystem::path> states;
  auto netlink = Netlink::open();
  if (!netlink) return states;
  auto links = list_links(*netlink);
  if (!links) return states;
  for (const Link& link : *links) {
    if (link.kind == "bridge" && link.alias.starts_with(alias_start))
      states.emplace_back(link.alias.substr(alias_start.size()));
  }
  return states;
}

Result<void> set_up_inside(const MachineNetwork& network) {
  // Missing in a kernel without IPv6, and then there is nothing to switch off.
  Fd ipv6(::open("/proc/sys/net/ipv6/conf/all/disable_ipv6", O_WRONLY | O_CLOEXEC));
  if (ipv6 && ::write(ipv6.get(), "1\n", 2) != 2) return fail_errno("switch IPv6 off");
  ipv6.reset();

  auto netlink = Netlink::open();
  if (!netlink) return fail(netlink.error());
  int loopback = index_of("lo");
  int ethernet = index_of("eth0");
  if (loopback == 0 || ethernet == 0) return fail(ErrorCode::permanent, "the machine has no lo or no eth0");
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = static_cast<uint8_t>(network.subnet.prefix);
  address.ifa_index = static_cast<uint32_t>(ethernet);
  rtmsg route{};
  route.rtm_family = AF_INET;
  route.rtm_table = RT_TABLE_MAIN;
  route.rtm_protocol = RTPROT_BOOT;
  route.rtm_scope = RT_SCOPE_UNIVERSE;
  route.rtm_type = RTN_UNICAST;

  NetlinkBatch batch;
  batch.message(RTM_NEWLINK, 0, link_header_up(loopback, true), "bring lo up");
  batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address, "give eth0 its address")
      .address(IFA_LOCAL, network.address)
      .address(IFA_ADDRESS, network.address)
      .address(IFA_BROADCAST, network.subnet.broadcast());
  batch.message(RTM_NEWLINK, 0, link_header_up(ethernet, true), "bring eth0 up");
  permanent_neighbour(batch, ethernet, network.subnet.gateway(), "remember the gateway");
  for (Ipv4 neighbour : network.neighbours) {
    if (neighbour != network.address) permanent_neighbour(batch, ethernet, neighbour, "remember a controller");
  }
  batch.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route, "set the default route")
      .address(RTA_GATEWAY, network.subnet.gateway())
      .u32(RTA_OIF, static_cast<uint32_t>(ethernet));
  return netlink->run(batch);
}

}  // namespace slipway::machines
