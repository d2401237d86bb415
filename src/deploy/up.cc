// Crash windows of `up`: it may be killed anywhere. The state folder is known for Slipway's from its first file on
// (state_folder.h), and everything that exists besides it is known to the machine host or to its records on disk, so
// `down` removes what was made. `up` itself never repairs what it finds half done: it refuses and names `down`.
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>

#include "config/config.h"
#include "deploy/deploy.h"
#include "deploy/host_process.h"
#include "deploy/image.h"
#include "deploy/preflight.h"
#include "deploy/probe.h"
#include "deploy/remove.h"
#include "deploy/secrets.h"
#include "deploy/state_folder.h"
#include "deploy/subnet.h"
#include "deploy/wait.h"
#include "join/handshake.h"
#include "machines/client.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

namespace {

constexpr Duration daemon_start_max{90'000};
constexpr Duration login_start_max{60'000};
constexpr Duration probe_timeout{5'000};
constexpr int daemon_port = 6830;
constexpr uint32_t controller_number = 2;  // of its address in the subnet; 1 is the bridge
constexpr size_t munge_key_bytes = 1024;

Error refusal(const std::vector<std::string>& obstacles) {
  if (obstacles.size() == 1) return {ErrorCode::bad_config, obstacles.front()};
  std::string text = "the cluster can't be brought up, for " + std::to_string(obstacles.size()) + " reasons:";
  for (const std::string& obstacle : obstacles) text += "\n  - " + obstacle;
  return {ErrorCode::bad_config, text};
}

Result<std::string> random_bytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t at = 0; at < count;) {
    const ssize_t got = ::getrandom(bytes.data() + at, count - at, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return fail_errno("getrandom");
    at += static_cast<size_t>(got);
  }
  return bytes;
}

Result<void> make_owned_folder(const fs::path& path, mode_t mode, uint32_t uid, uint32_t gid) {
  if (auto made = make_folder(path, mode); !made) return made;
  if (::chown(path.c_str(), uid, gid) != 0) return fail_errno("chown " + path.string());
  return {};
}

class Bringup {
 public:
  Bringup(model::Cluster cluster, const UpOptions& options, fs::path state)
      : cluster_(std::move(cluster)),
        options_(options),
        state_(std::move(state)),
        host_(machines::host_socket(state_)) {}

  Result<void> run() {
    say("laying out " + state_.string());
    if (auto done = lay_out(); !done) return done;
    if (auto done = start_machine_host(); !done) return done;
    if (auto done = settle_cluster_file(); !done) return done;
    if (auto done = start_controller(); !done) return done;
    if (auto done = wait_for_daemon(); !done) return done;
    if (auto done = start_logins(); !done) return done;
    return wait_for_logins();
  }

 private:
  void say(const std::string& text) const {
    if (options_.progress) options_.progress(text);
  }
  // Then no log says anything about the reason.
  bool was_interrupted() const { return options_.interrupted && options_.interrupted(); }
  fs::path logs(const std::string& id) const { return machines::machine_logs(state_, id); }

  Result<void> lay_out();
  Result<void> make_shared_folders();
  Result<void> start_machine_host();
  Result<void> settle_cluster_file();
  Result<void> start_controller();
  Result<void> wait_for_daemon();
  Result<void> start_logins();
  Result<void> wait_for_logins();
  Result<machines::Machine> find_machine(const std::string& id) const;
  Result<std::string> launch_one(const machines::MachineSpec& spec, const std::string& token,
                                 const std::string& address) const;

  model::Cluster cluster_;
  const UpOptions& options_;
  fs::path state_;
  machines::Client host_;
  std::string subnet_;
  std::string gateway_;  // the bridge's own address
  std::string daemon_;   // "198.18.0.2:6830"
  std::string controller_;
  std::vector<std::string> logins_;
};

Result<void> Bringup::lay_out() {
  for (const char* name : {"keys", "host", "machines"}) {
    if (auto made = make_folder(state_ / name, 0700); !made) return made;
  }
  // slurmctld's programs run as SlurmUser and reach the hook's socket in there; the state folder itself lets nobody in
  // on the box.
  for (const char* name : {"run", "data", "shared"}) {
    if (auto made = make_folder(state_ / name, 0755); !made) return made;
  }
  const fs::path controller_root = cluster_.controllers.image.empty() ? "/" : cluster_.controllers.image;
  const auto slurm = image_account(controller_root, "slurm");
  if (!slurm) return fail(ErrorCode::bad_config, "the user slurm doesn't exist on the controller's root");
  if (auto made = make_owned_folder(state_ / "slurm", 0700, slurm->uid, slurm->gid); !made) return made;

  auto munge_key = random_bytes(munge_key_bytes);
  if (!munge_key) return Failure(munge_key.error());
  if (auto done = write_file(state_ / "keys" / "munge.key", *munge_key, 0600); !done) return done;
  const std::string master = join::to_hex(join::random_key()) + "\n";
  if (auto done = write_file(state_ / "keys" / "master.key", master, 0600); !done) return done;

  return make_shared_folders();
}

Result<void> Bringup::make_shared_folders() {
  for (const model::SharedFolder& shared : cluster_.storage) {
    const fs::path folder = state_ / "shared" / shared.name;
    const bool home = shared.mount == "/home";
    // Every user may write into a shared folder, as into /tmp; below /home each has a folder of their own.
    if (auto made = make_folder(folder, home ? 0755 : 01777); !made) return made;
    if (!home) continue;
    for (const model::User& user : cluster_.users) {
      if (fs::exists(folder / user.name)) continue;
      if (auto made = make_owned_folder(folder / user.name, 0700, user.uid, user.uid); !made) return made;
    }
  }
  return {};
}

Result<void> Bringup::start_machine_host() {
  // Two clusters that come up at the same time must not choose the same subnet: the second waits until the first has
  // its bridge.
  auto network_lock = lock_network(Duration(30'000));
  if (!network_lock) return Failure(network_lock.error());
  subnet_ = cluster_.subnet;
  if (subnet_.empty()) {
    auto chosen = machines::choose_subnet();
    if (!chosen) return Failure(chosen.error());
    subnet_ = *chosen;
  }
  const auto subnet = parse_subnet(subnet_);
  if (!subnet) return Failure(subnet.error());
  gateway_ = host_address(*subnet, 1);
  daemon_ = host_address(*subnet, controller_number) + ":" + std::to_string(daemon_port);

  say("starting the machine host on " + subnet_);
  machines::HostOptions options;
  options.cluster = cluster_.name;
  options.state = state_;
  options.subnet = subnet_;
  options.programs = options_.programs;
  for (const model::SharedFolder& shared : cluster_.storage) {
    options.shared.push_back({(state_ / "shared" / shared.name).string(), shared.mount, false});
  }
  auto started = start_host(options, host_log(state_), options_.interrupted);
  if (!started) return Failure(started.error());
  return {};
}

// The controller may have another root than this box: it gets a file that needs no other.
Result<void> Bringup::settle_cluster_file() {
  if (options_.before_controller) {
    if (auto done = options_.before_controller(cluster_, {state_, gateway_}); !done) return done;
  }
  if (auto done = bring_secrets(cluster_, state_ / "keys"); !done) return done;
  return write_file(kept_cluster_file(state_), config::to_yaml(cluster_), 0644);
}

Result<std::string> Bringup::launch_one(const machines::MachineSpec& spec, const std::string& token,
                                        const std::string& address) const {
  auto launched = host_.launch(spec, 1, token, {.address = address});
  if (!launched) return Failure(launched.error());
  if (!launched->refusals.empty()) return Failure(launched->refusals.front().error);
  if (launched->ids.size() != 1)
    return fail(ErrorCode::permanent, "the machine host launched no machine for the " + spec.role);
  return launched->ids.front();
}

Result<void> Bringup::start_controller() {
  say("starting the controller");
  machines::MachineSpec spec;
  spec.role = "controller";
  spec.image = cluster_.controllers.image;
  const auto mount = [&](const char* name, const char* target, bool read_only) {
    spec.mounts.push_back({(state_ / name).string(), target, read_only});
  };
  mount("cluster.yaml", "/etc/slipway/cluster.yaml", true);
  mount("keys", "/etc/slipway/keys", true);
  mount("run", "/run/slipway", false);
  mount("host", "/run/slipway-host", false);
  mount("data", "/var/lib/slipway-data", false);
  mount("slurm", "/var/spool/slurmctld", false);
  boost::json::array users;
  for (const model::User& user : cluster_.users) users.push_back({{"name", user.name}, {"uid", user.uid}});
  spec.boot_data = boost::json::serialize(
      boost::json::object{{"daemon", daemon_}, {"hostname", "controller"}, {"users", std::move(users)}});
  auto id = launch_one(spec, "controller", daemon_.substr(0, daemon_.find(':')));
  if (!id) return Failure(id.error());
  controller_ = *id;
  return {};
}

Result<machines::Machine> Bringup::find_machine(const std::string& id) const {
  auto machines = host_.list();
  if (!machines) return Failure(machines.error());
  for (machines::Machine& machine : *machines) {
    if (machine.id != id) continue;
    if (machine.state == machines::MachineState::gone) {
      return fail(ErrorCode::permanent, "the " + machine.role + " " + id + " ended: " + machine.end);
    }
    return std::move(machine);
  }
  return fail(ErrorCode::permanent, "the machine " + id + " vanished");
}

Result<void> Bringup::wait_for_daemon() {
  say("waiting for slurmctld and slipwayd");
  auto known =
      wait_until("the start of slurmctld and slipwayd", daemon_start_max, options_.interrupted, [&]() -> Result<bool> {
        const auto machine = find_machine(controller_);
        if (!machine) return Failure(machine.error());
        const auto answer = ask_status(api_socket(state_), probe_timeout);
        return answer && status_knows_slurm(*answer);
      });
  if (known || was_interrupted()) return known;
  Error error = known.error();
  error.message += log_excerpts(logs(controller_), {"agent.log", "munged.log", "slurmctld.log", "slipwayd.log"});
  return Failure(error);
}

Result<void> Bringup::start_logins() {
  say(cluster_.logins.count == 1 ? "starting the login node"
                                 : "starting " + std::to_string(cluster_.logins.count) + " login nodes");
  for (uint32_t n = 1; n <= cluster_.logins.count; ++n) {
    const std::string hostname = n == 1 ? "login" : "login" + std::to_string(n);
    machines::MachineSpec spec;
    spec.role = "login";
    spec.image = cluster_.logins.image;
    spec.boot_data = boost::json::serialize(boost::json::object{{"daemon", daemon_}, {"hostname", hostname}});
    auto id = launch_one(spec, hostname, "");
    if (!id) return Failure(id.error());
    logins_.push_back(*id);
  }
  return {};
}

Result<void> Bringup::wait_for_logins() {
  const std::string user = cluster_.users.empty() ? "" : cluster_.users.front().name;
  for (const std::string& id : logins_) {
    auto works = wait_until(
        "the login node " + id, login_start_max, options_.interrupted,
        [&]() -> Result<bool> {
          const auto machine = find_machine(id);
          if (!machine) return Failure(machine.error());
          return machine->pid > 0 && runs_on(*machine, user, {"sinfo", "--noheader"}, probe_timeout);
        },
        Duration(50));
    if (works) continue;
    if (was_interrupted()) return works;
    Error error = works.error();
    error.message += log_excerpts(logs(id), {"agent.log", "munged.log"});
    error.message += log_excerpts(logs(controller_), {"slipwayd.log"});
    return Failure(error);
  }
  return {};
}

}  // namespace

Result<void> up(const model::Cluster& cluster, const UpOptions& options) {
  const fs::path state = options.state_base / cluster.name;
  std::vector<std::string> obstacles = preflight(cluster, {state, options.programs}, this_box());
  if (!obstacles.empty()) return Failure(refusal(obstacles));

  const auto before = look_at_state(state);
  const bool had_data = before && before->state == FolderState::clean;
  if (auto made = make_folder(options.state_base, 0755); !made) return made;
  auto lock = StateLock::take(state, Duration(0));
  if (!lock) return Failure(lock.error());
  // Somebody may have brought it up between the look and the lock.
  const auto now = look_at_state(state);
  if (!now || now->state != FolderState::clean) {
    return fail(ErrorCode::bad_config, "cluster " + cluster.name + " was brought up by somebody else just now");
  }

  auto done = Bringup(cluster, options, state).run();
  if (done) return {};
  if (options.progress) options.progress("that failed; removing what was made");
  Error error = done.error();
  if (auto removed = remove_cluster(state, had_data, options.progress); !removed) {
    error.message += "\nand not everything could be removed again: " + removed.error().message;
  }
  return Failure(error);
}

}  // namespace slipway::deploy
