// From clone() to the exec of its program, usually the agent: what a new machine's PID 1 does to its own namespaces.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"
#include "machines/network.h"
#include "machines/root_plan.h"

namespace slipway::machines {

struct BootPlan {
  std::string id;  // also the first host name
  std::shared_ptr<const RootPlan> root;
  MachineNetwork network;
  std::filesystem::path
      stage;  // an empty folder of the box: the machine's tmpfs is mounted there, in its own mount namespace
  std::filesystem::path programs;  // → /opt/slipway/bin
  std::string program;             // one of them: "slipway-agent"
  std::filesystem::path logs;      // → /var/log/slipway
  std::string boot_data;           // → /run/slipway/boot.json
  std::string state;               // in PID 1's environment as SLIPWAY_STATE: how a stray machine is told
  Duration delay{0};               // before the program starts
  bool never = false;              // the program never starts
};

struct Booting {
  pid_t pid = 0;
  Fd process;  // pidfd
  // The machine waits until let_go() and ends if this closes before. Then it reads as its failure's text, or as the end
  // of file when the agent runs (or when the machine is as far as a boot with `delay` or `never` gets).
  Fd line;
};

// Makes the process in its namespaces; it waits. The caller must have no other thread: the child allocates memory.
Result<Booting> start_machine(const BootPlan& plan);
Result<void> let_go(const Booting& booting);

}  // namespace slipway::machines
