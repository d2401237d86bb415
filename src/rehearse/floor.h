// What the machines of a simulated cloud are made of.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/result.h"

namespace slipway::rehearse {

using MachineKey = uint64_t;

// What a machine runs when it boots.
struct Recipe {
  std::string image;    // folder with a root file system; empty: the box's own
  std::string command;  // of /bin/sh -c, as root; empty: none
  std::vector<std::pair<std::string, std::string>> environment;
};

// On the loop's thread. A machine may boot several times, one boot after the other: its key and the boot's number name
// a boot.
class Floor {
 public:
  struct Boot {
    MachineKey key = 0;
    uint32_t boots = 1;  // which boot of the machine
    std::string group;
    std::string name;
    std::string address;  // which it had before, and should have again; empty: any
    Recipe recipe;
    bool never = false;   // the machine exists but nothing runs in it
    bool silent = false;  // it runs, its start task doesn't
    bool fails = false;   // its start task fails (a command that exits with 1 is run instead)
  };
  struct Kept {
    MachineKey key = 0;
    uint32_t boots = 1;
    std::string address;
  };
  struct Facts {  // what became of a boot
    MachineKey key = 0;
    uint32_t boots = 1;
    bool exists = false;
    std::string address;
    int pid = 0;  // of its first process, as the box sees it; 0: none
    bool start_task_begun = false;
    std::optional<int> start_task_status;  // it ended
    std::string end;                       // it is gone, and why
  };
  virtual ~Floor() = default;
  // Begins to; what becomes of each is told by watch(). A boot that is there already isn't made twice.
  virtual void boot(std::vector<Boot> machines) = 0;
  // Ends whatever boot of them there is.
  virtual void end(const std::vector<MachineKey>& machines, bool power_cut) = 0;
  // After a restart, before boot(): these boots were made earlier. Others that are still there are ended; those of
  // them that aren't there any more are told as gone.
  virtual void adopt(const std::vector<Kept>& machines) = 0;
  // Calls `changed` from the loop's thread, never from inside another call, whenever a boot's facts changed.
  virtual void watch(std::function<void(const Facts&)> changed) = 0;
};

// Machines that are rows of a table: they exist at once, and their start task succeeds.
std::unique_ptr<Floor> make_virtual_floor(Loop& loop);

}  // namespace slipway::rehearse
