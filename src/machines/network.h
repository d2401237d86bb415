// A cluster's network on the box: a bridge with the subnet's first address, and a veth pair for each machine.
//
// Nothing on it is ever flooded. A broadcast on a bridge with a thousand ports is a thousand packets, and a thousand
// machines that ask for each other's Ethernet address at once would drown the box. So ports neither learn nor flood:
// each machine's address is a permanent entry of the bridge's forwarding table and of its neighbour table, from which
// the bridge itself answers ARP (proxy_arp on each port; neigh_suppress answers only for ports that lack it). Machines
// can't use Ethernet broadcast or multicast.
//
// Names: bridge "slw" + 5 hex digits that follow from the state folder, its alias names the folder; a machine's link on
// the box is "sw" + the same digits + the 8 digits of the machine's id.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "machines/addresses.h"
#include "machines/netlink.h"

namespace slipway::machines {

inline constexpr uint32_t bridge_ports_max = 1023;  // the kernel's BR_MAX_PORTS, less port 0

class Network {
 public:
  // Makes the bridge, or takes over the one that is there. Fails with bad_config when something else on the box uses
  // the subnet.
  static Result<Network> set_up(const std::filesystem::path& state, const Subnet& subnet);

  const std::string& bridge() const { return bridge_; }
  const Subnet& subnet() const { return subnet_; }

  // Joins the network namespace of process `pid` to the bridge: makes its eth0, which is still down, with the address's
  // MAC.
  Result<void> plug_in(const std::string& id, Ipv4 address, pid_t pid);
  // Forgets machines that ended; their links vanish with their network namespaces.
  void forget(const std::set<Ipv4>& addresses);
  // The link's end on the box: down is what a pulled cable is.
  Result<void> set_link(const std::string& id, bool up);

 private:
  Network(Netlink netlink, const Subnet& subnet) : netlink_(std::move(netlink)), subnet_(subnet) {}
  Result<void> make_bridge(const std::string& alias);
  Netlink netlink_;
  Subnet subnet_;
  std::string bridge_;
  int bridge_index_ = 0;
};

// What is left of a cluster's network on the box, whoever made it; for the end of a cluster.
struct NetworkRemains {
  std::string bridge;              // empty: there is none
  std::vector<std::string> links;  // machines' links on the box
};
Result<NetworkRemains> find_network(const std::filesystem::path& state);
// Removes the bridge and every link of the cluster that is still there.
Result<void> remove_network(const std::filesystem::path& state);

// The state folders of clusters that have a bridge on this box.
std::vector<std::filesystem::path> clusters_on_this_box();

// In the machine's network namespace: no IPv6, loopback and eth0 up, address, default route, and permanent neighbour
// entries.
struct MachineNetwork {
  Ipv4 address = 0;
  Subnet subnet;
  std::vector<Ipv4> neighbours;  // machines that everybody talks to, besides the gateway: the controllers
};
Result<void> set_up_inside(const MachineNetwork& network);

}  // namespace slipway::machines
