// What agent and daemon say to each other, after the handshake. JSON objects in sealed frames; unknown keys are
// ignored, so that an older agent and a newer daemon understand each other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/cluster.h"

namespace slipway::join {

// Where a compute machine's agent stands. Each step is reported as it begins.
enum class Phase {
  preparing,  // connected; munge, users and the pool's prep script are being set up
  waiting,    // ready for a name
  starting,   // has a name; slurmd is being started
  serving,    // slurmd runs
  failed,     // gave up; `message` and `log_tail` say why
};
std::string_view to_string(Phase phase);

// agent → daemon
struct Report {
  Phase phase = Phase::preparing;
  std::string node;  // the name it is bound to; kept across reconnects: the agent is the first record of a binding
  uint64_t slurmd_started_ms = 0;  // Unix time; 0 when slurmd doesn't run
  std::string message;             // one line
  std::string log_tail;            // on failure: the last lines of the log that matters
};
struct Heartbeat {};

// What the machine's cloud says that it will do with it. The whole truth of now: the next one replaces it, `none`
// withdraws it. Said again on every connection, once it is known.
enum class NoticeKind { none, preempt, terminate, redeploy, reboot, freeze };
std::string_view to_string(NoticeKind kind);
bool ends_machine(NoticeKind kind);  // what runs there is lost: all but none and freeze, which lasts seconds
struct Notice {
  NoticeKind kind = NoticeKind::none;
  uint64_t at_ms = 0;  // Unix time; not before then
  std::string event;   // the cloud's id of it
};

// daemon → agent
struct Welcome {           // after the handshake
  std::string munge_key;   // binary
  std::string slurm_conf;  // for login machines; empty for compute ones, whose slurmd fetches it (configless)
  std::string hosts;       // lines for /etc/hosts
  std::vector<model::User> users;
  std::string prep;         // the pool's prep script; empty: none
  std::string conf_server;  // "198.18.0.2:6817"
  std::string nameserver;   // IPv4 for /etc/resolv.conf; empty: the machine keeps its own
  Duration heartbeat_every{20'000};
};
// Become this node: set the host name, start slurmd. The same name again: restart slurmd.
struct Bind {
  std::string node;
};
// Stop slurmd; the machine will be terminated.
struct Leave {
  std::string reason;
};

using FromAgent = std::variant<Report, Heartbeat, Notice>;
using FromDaemon = std::variant<Welcome, Bind, Leave>;

std::string encode(const FromAgent& message);
std::string encode(const FromDaemon& message);
Result<FromAgent> decode_from_agent(std::string_view frame);
Result<FromDaemon> decode_from_daemon(std::string_view frame);

}  // namespace slipway::join
