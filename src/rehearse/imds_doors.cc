#include "rehearse/imds_doors.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

#include "base/log.h"
#include "machines/netlink.h"
#include "machines/process.h"

namespace slipway::rehearse {
namespace {

constexpr uint32_t imds_address = 169u << 24 | 254u << 16 | 169u << 8 | 254u;
constexpr uint16_t imds_port = 80;
constexpr int backlog = 64;
constexpr size_t environment_max = 1 << 20;

// Whether it is the first process of one of the cluster's machines: its number may be another's by now.
bool is_machine(int pid, const std::filesystem::path& state_folder) {
  const std::string proc = "/proc/" + std::to_string(pid);
  const auto status = read_file(proc + "/status", environment_max);
  const auto environment = read_file(proc + "/environ", environment_max);
  if (!status || !environment || !machines::is_first_process(*status)) return false;
  const std::string whole = '\0' + *environment + '\0';
  const std::string name = std::string(1, '\0') + "SLIPWAY_STATE=";
  const size_t at = whole.find(name);
  if (at == std::string::npos) return false;
  std::error_code error;
  const std::filesystem::path state(whole.c_str() + at + name.size());
  return std::filesystem::equivalent(state, state_folder, error);
}

// In the namespace, on a thread that ends there.
Result<Fd> listen_here() {
  const unsigned loopback = ::if_nametoindex("lo");
  auto netlink = machines::Netlink::open();
  if (!netlink) return fail(netlink.error());
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 32;
  header.ifa_scope = RT_SCOPE_HOST;
  header.ifa_index = loopback;
  machines::NetlinkBatch batch;
  // An earlier server may have left the address.
  batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header, "give lo the address 169.254.169.254")
      .address(IFA_LOCAL, imds_address)
      .address(IFA_ADDRESS, imds_address);
  if (auto added = netlink->run(batch); !added) return fail(added.error());

  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("make a socket");
  const int on = 1;
  (void)::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(imds_port);
  address.sin_addr.s_addr = htonl(imds_address);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    return fail_errno("listen on 169.254.169.254:80");
  }
  return socket;
}

}  // namespace

Result<Fd> listen_inside(int pid, const std::filesystem::path& state_folder) {
  const auto gone = [&] {
    return fail(ErrorCode::not_found, "process " + std::to_string(pid) + " is no machine of this cluster");
  };
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process || !is_machine(pid, state_folder)) return gone();
  const Fd net(::open(("/proc/" + std::to_string(pid) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
  struct stat theirs {};
  struct stat ours {};
  // It lived all the while, so what was opened is its own. Never the box's own network, whatever happens.
  if (!net || machines::has_ended(process) || ::fstat(net.get(), &theirs) != 0 ||
      ::stat("/proc/self/ns/net", &ours) != 0 || theirs.st_ino == ours.st_ino) {
    return gone();
  }
  Result<Fd> socket = fail(ErrorCode::permanent, "not tried");
  std::thread([&] {
    if (::setns(net.get(), CLONE_NEWNET) != 0) {
      socket = fail_errno("enter the machine's network");
    } else {
      socket = listen_here();
    }
  }).join();
  return socket;
}

ImdsDoors::ImdsDoors(Loop& loop, http::Server& server, std::filesystem::path state_folder)
    : server_(server), state_(std::move(state_folder)), workers_(loop, 2) {}

ImdsDoors::~ImdsDoors() {
  for (const auto& [id, inside] : insides_) {
    if (inside.door) server_.close(*inside.door);
  }
}

void ImdsDoors::open(const std::string& id, MachineKey key, int pid, std::function<void()> done) {
  close(id);
  const uint64_t turn = ++last_turn_;
  insides_[id].turn = turn;
  workers_.run([pid, state = state_] { return listen_inside(pid, state); },
               [this, id, key, turn, done = std::move(done)](Result<Fd> socket) {
                 const auto it = insides_.find(id);
                 if (it == insides_.end() || it->second.turn != turn) return done();
                 auto opened = socket ? server_.add({"", std::move(*socket), "", ""})
                                      : Result<http::Server::Opened>(fail(socket.error()));
                 if (opened) {
                   it->second.door = opened->door;
                   keys_[opened->door] = key;
                 } else {
                   log_warning("imds_door_closed", {{"machine", id}, {"why", opened.error().message}});
                 }
                 done();
               });
}

void ImdsDoors::close(const std::string& id) {
  const auto it = insides_.find(id);
  if (it == insides_.end()) return;
  if (it->second.door) {
    server_.close(*it->second.door);
    keys_.erase(*it->second.door);
  }
  insides_.erase(it);
}

std::optional<MachineKey> ImdsDoors::key_of(size_t door) const {
  const auto it = keys_.find(door);
  return it == keys_.end() ? std::nullopt : std::optional(it->second);
}

}  // namespace slipway::rehearse
