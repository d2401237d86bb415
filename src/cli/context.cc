#include "cli/context.h"

#include <unistd.h>

#include <charconv>

#include "cli/hostname.h"
#include "cli/suggest.h"
#include "daemon/api.h"
#include "deploy/deploy.h"
#include "machines/host.h"

namespace slipway::cli {

namespace fs = std::filesystem;

namespace {

std::string names_of(const std::vector<fs::path>& clusters) {
  std::string text;
  for (const fs::path& state : clusters) text += (text.empty() ? "" : ", ") + state.filename().string();
  return text;
}

bool is_instance_id(std::string_view text) {
  return text.size() == 10 && text.substr(0, 2) == "i-" &&
         text.find_first_not_of("0123456789abcdef", 2) == std::string_view::npos;
}

bool is_role(std::string_view text) {
  return text == "controller" || text == "login";
}

}  // namespace

Result<ClusterRef> choose_cluster(const Options& options) {
  if (::geteuid() != 0) {
    return fail(ErrorCode::denied, "only root reaches the clusters of this box; run this with sudo");
  }
  std::error_code error;
  const fs::path base = fs::absolute(options.state_base, error);
  const auto clusters = deploy::find_clusters(base);
  if (!options.cluster.empty()) {
    for (const fs::path& state : clusters) {
      if (state.filename() == options.cluster) return ClusterRef{options.cluster, state};
    }
    std::vector<std::string> known;
    for (const fs::path& state : clusters) known.push_back(state.filename().string());
    const std::string near = nearest_word(options.cluster, known);
    return fail(ErrorCode::not_found, "no cluster \"" + options.cluster + "\" is up on this box" +
                                          (clusters.empty() ? "; bring it up with `slipway up FILE`"
                                           : near.empty()   ? "; there is " + names_of(clusters)
                                                            : "; did you mean \"" + near + "\"?"));
  }
  if (clusters.empty()) {
    return fail(ErrorCode::not_found,
                "no cluster is up on this box (none in " + base.string() + "); bring one up with `slipway up FILE`");
  }
  if (clusters.size() > 1) {
    return fail(ErrorCode::not_found,
                "there are several clusters on this box; say which one with --cluster: " + names_of(clusters));
  }
  return ClusterRef{clusters.front().filename().string(), clusters.front()};
}

Result<Json> ask_daemon(const ClusterRef& cluster, const std::string& call, std::vector<Argument> arguments,
                        Duration timeout) {
  arguments.insert(arguments.begin(), Argument("call", call));
  auto answer = daemon::call(deploy::api_socket(cluster.state).string(), object(arguments), timeout);
  if (!answer) {
    Error error = answer.error();
    if (error.code == ErrorCode::not_found && !fs::exists(deploy::api_socket(cluster.state))) {
      error.message = "the daemon of cluster " + cluster.name + " doesn't run; see `slipway logs daemon`";
    }
    return Failure(error);
  }
  return Json::parse(*answer);
}

machines::Client host_of(const ClusterRef& cluster) {
  return machines::Client(machines::host_socket(cluster.state), Duration(30'000));
}

Result<Target> parse_target(std::string_view text) {
  const auto refuse = [&](const std::string& why) {
    return fail(ErrorCode::bad_config, "\"" + std::string(text) + "\" " + why +
                                           "; name a machine as controller, login, login:2, a node, or an instance");
  };
  if (text.empty() || text.size() > 255) return refuse("is no machine");
  const size_t colon = text.find(':');
  const std::string_view word = text.substr(0, colon);
  if (is_role(word)) {
    Target target{Target::Kind::role, std::string(word), 1};
    if (colon == std::string_view::npos) return target;
    const std::string_view number = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), target.number);
    if (error != std::errc{} || end != number.data() + number.size() || target.number == 0) {
      return refuse("has no number after the colon; they count from 1");
    }
    return target;
  }
  const auto usable = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  };
  if (!std::all_of(text.begin(), text.end(), usable) || text.front() == '-') return refuse("is no machine's name");
  return Target{is_instance_id(text) ? Target::Kind::instance : Target::Kind::node, std::string(text), 1};
}

Result<machines::Machine> pick_machine(const std::vector<machines::Machine>& all, const Target& target) {
  if (target.kind == Target::Kind::instance) {
    for (const machines::Machine& machine : all) {
      if (machine.id == target.name) return machine;
    }
    return fail(ErrorCode::not_found,
                "there is no instance " + target.name + "; `slipway nodes` lists those that serve");
  }
  std::vector<machines::Machine> of_role;
  for (const machines::Machine& machine : all) {
    if (machine.role == target.name && machine.state != machines::MachineState::gone) of_role.push_back(machine);
  }
  std::sort(of_role.begin(), of_role.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  if (target.number >= 1 && target.number <= of_role.size()) return of_role[target.number - 1];
  const std::string count = std::to_string(of_role.size());
  return fail(ErrorCode::not_found, of_role.empty()
                                        ? "no " + target.name + " machine runs"
                                        : "there is no " + target.name + ":" + std::to_string(target.number) + "; " +
                                              count + (count == "1" ? " runs" : " run"));
}

Result<machines::Machine> find_machine(const ClusterRef& cluster, const Target& target) {
  auto all = host_of(cluster).list();
  if (!all) return Failure(all.error());
  if (target.kind != Target::Kind::node) return pick_machine(*all, target);
  const auto located = ask_daemon(cluster, "locate", {{"node", target.name}});
  if (located) {
    // A simulated cloud has names of its own for the host's machines; addresses are the same.
    const std::string address = located->text("address");
    for (const machines::Machine& machine : *all) {
      if (machine.role == "vm" && !address.empty() && machine.address == address && machine.pid > 0) return machine;
    }
    return pick_machine(*all, {Target::Kind::instance, located->text("instance"), 1});
  }
  // A machine carries its node's name as its host name, so the answer can be found without the daemon.
  for (const machines::Machine& machine : *all) {
    if ((machine.role == "compute" || machine.role == "vm") && machine.pid > 0 &&
        hostname_of(machine.pid) == target.name)
      return machine;
  }
  return Failure(located.error());
}

}  // namespace slipway::cli
