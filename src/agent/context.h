// What every part of a running agent works with; owned by run_agent().
#pragma once

#include <functional>
#include <random>

#include "agent/processes.h"
#include "base/clock.h"
#include "base/loop.h"
#include "join/boot_data.h"

namespace slipway::agent {

inline constexpr const char* log_folder = "/var/log/slipway";
inline constexpr const char* run_folder = "/run/slipway";
// In there, where the agent was started by --join: held for the agent's life; and how far it came.
inline constexpr const char* lock_file = "agent.lock";
inline constexpr const char* status_file = "agent.status";
inline constexpr const char* status_joined = "joined";  // else why it isn't yet

// The machine proves itself by a claim: it has a metadata service, and something else than us is PID 1.
inline bool is_claimed(const join::BootData& boot) {
  return boot.provider == "azure";
}

struct Context {
  Loop& loop;
  const Clock& clock;
  Processes& processes;
  const join::BootData& boot;
  std::mt19937_64& random;
};

// What a machine is for. On the loop's thread.
class Role {
 public:
  virtual ~Role() = default;
  virtual void start() = 0;
  // Ends the role's daemons in order and calls `done`; the caller doesn't wait for ever.
  virtual void shut_down(std::function<void()> done) = 0;
};

std::unique_ptr<Role> make_compute(Context context);
std::unique_ptr<Role> make_login(Context context);
std::unique_ptr<Role> make_controller(Context context);

// Where `program` is; not_found names the Debian package that has it.
Result<std::string> need_program(const std::string& program, const std::string& package);

}  // namespace slipway::agent
