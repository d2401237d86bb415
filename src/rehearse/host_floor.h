// Simulated machines that are real ones of the box's machine host: role "vm", first process slipway-vm.
//
// A launch asks the host for many machines at once; which of them is which of the site's is written into each machine's
// folder (`vm`, "<key> <boots>") before it may do anything. Then the doors inside it are opened, and only then it gets
// its recipe. Crash windows:
//   1. killed between the host's launch and the note in the folder: nothing runs in the machine. The next floor finds
//      one without a note, ends it, and makes another if the site still wants it;
//   2. killed between note and recipe: the next floor finds it, opens its doors and gives it the recipe that the site
//      boots it with again; one that has said a status got its recipe before.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/loop.h"
#include "rehearse/floor.h"

namespace slipway::rehearse {

// Opens the doors that a cloud has inside its machines. On the loop's thread.
class Insides {
 public:
  virtual ~Insides() = default;
  // `id`: the machine host's; `key` 0: the cluster's controller, which is no machine of the site. `done` is called
  // later, from the loop, whether the doors could be opened or not.
  virtual void open(const std::string& id, MachineKey key, int pid, std::function<void()> done) = 0;
  virtual void close(const std::string& id) = 0;  // unknown ids are ignored
};

// `state_folder`: the cluster's. `insides` may be null and outlives the floor.
std::unique_ptr<Floor> make_host_floor(Loop& loop, std::filesystem::path host_socket,
                                       std::filesystem::path state_folder, Insides* insides);

}  // namespace slipway::rehearse
