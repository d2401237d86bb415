// A machine for the agent's tests: namespaces of its own around a forked child that runs the real agent and the real
// munged, with a stand-in for slurmd, and a stand-in for the daemon on the test's loop. Needs root, as the machines
// themselves do.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/setup.h"
#include "base/channel.h"
#include "base/loop.h"
#include "join/boot_data.h"
#include "join/claim.h"
#include "join/handshake.h"
#include "join/messages.h"

namespace slipway::agent {

// Runs the loop until `condition` holds; false after `patience`.
bool pump_until(Loop& loop, const std::function<bool()>& condition, Duration patience = Duration(10'000));
void pump_for(Loop& loop, Duration time);
// One network namespace for the whole test program: nothing of the box can be reached or disturbed. The fixtures here
// do it themselves.
void enter_own_network();

// The daemon's end: greets every agent with `welcome` and remembers what it hears.
class FakeDaemon {
 public:
  FakeDaemon(Loop& loop, const join::Key& master);

  join::Welcome welcome;
  std::vector<join::Report> reports;  // of all connections
  unsigned heartbeats = 0;
  unsigned connections = 0;
  unsigned refused = 0;               // connections that ended before a frame of theirs could be opened
  std::vector<join::Claim> claims;    // of hellos that brought one
  std::vector<join::Notice> notices;  // of all connections
  std::vector<uint16_t> ports;        // that connections came from
  bool vouches = true;                // else connections with a claim are closed
  void say(const join::FromDaemon& message);
  const join::Report& last() const;
  bool heard(join::Phase phase, const std::string& node = "") const;  // as the last report
  void drop_all() { open_.clear(); }

 private:
  struct Connection {
    std::unique_ptr<Channel> channel;
    bool greeted = false;
    bool welcomed = false;
  };
  void accept(std::unique_ptr<Channel> channel);
  void received(unsigned id, const std::string& frame);

  Loop& loop_;
  join::Key master_;
  std::map<unsigned, Connection> open_;
  std::unique_ptr<Listener> listener_;
};

inline constexpr const char* daemon_address = "127.0.0.1:6830";

struct MachineOptions {
  std::string role = "compute";
  bool own_pids = true;  // the agent is PID 1
  bool without_slurmd = false;
  std::string prepare_status = "0";  // controller: how the first `slipwayd --prepare` ends
  std::vector<model::User> users;
  std::string imds;  // set: the machine is Azure's, with this metadata service
};

class TestMachine {
 public:
  TestMachine(const join::Key& master, const MachineOptions& options);
  ~TestMachine();  // kills what is left

  pid_t pid() const { return pid_; }
  // PIDs, as the test sees them, of processes in the machine whose command line holds `text`.
  std::vector<pid_t> find(const std::string& text) const;
  // The one such process; 0 when there isn't exactly one.
  pid_t one(const std::string& text) const;
  std::string file(const std::string& path) const;  // of the machine; "" when missing
  std::filesystem::path path(const std::string& path_inside) const;
  std::string log(const std::string& name) const;
  void set_slurmd_mode(const std::string& mode);  // serve | die | stubborn
  unsigned zombies() const;
  void terminate();  // SIGTERM to the agent
  bool wait_for_end(Loop& loop, Duration patience);
  int status() const { return status_; }  // of waitpid, after its end

 private:
  std::filesystem::path folder_;
  join::BootData boot_;
  pid_t pid_ = 0;
  int status_ = -1;
};

}  // namespace slipway::agent
