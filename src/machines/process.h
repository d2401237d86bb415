// Processes of the box as the machine host must know them: never by a bare PID, which may belong to somebody else a
// moment later.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/result.h"

namespace slipway::machines {

// Of /proc/<pid>/stat: the 22nd field, clock ticks since the box started; 0 when the process doesn't exist.
uint64_t parse_start_time(std::string_view stat);
uint64_t start_time(pid_t pid);
uint64_t net_namespace(pid_t pid);  // inode of the network namespace; 0 when the process doesn't exist
uint64_t pid_namespace(pid_t pid);
std::string boot_id();  // of the box's kernel: process start times mean nothing after a reboot

// An identity that outlives the PID's reuse.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_time = 0;
  uint64_t net_namespace = 0;
  std::string boot_id;
};
ProcessId identify(pid_t pid);
// A pidfd of that very process; not_found when it ended.
Result<Fd> open_process(const ProcessId& id);
bool send_signal(const Fd& process, int signal);  // false: it ended
bool has_ended(const Fd& process);
// Waits until all have ended; false on the timeout.
bool wait_ended(const std::vector<Fd>& processes, std::chrono::milliseconds timeout);

std::vector<pid_t> all_processes();
// Every process in the PID namespaces given by inode, by namespace.
std::map<uint64_t, std::vector<pid_t>> processes_of(const std::set<uint64_t>& namespaces);
// Stops (SIGSTOP) or continues every process of those namespaces; repeated until no process turns up that wasn't
// signalled before.
void signal_namespaces(const std::set<uint64_t>& namespaces, int signal);

// Processes that are PID 1 of a namespace below ours and have `entry` ("NAME=value") in their environment.
std::vector<pid_t> find_machines(const std::string& entry);

// Whether /proc/<pid>/status says that the process is PID 1 of a PID namespace below this one.
bool is_first_process(std::string_view status);

}  // namespace slipway::machines
