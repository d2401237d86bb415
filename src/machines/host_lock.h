// One machine host for a state folder: an flock on <state>/host/lock, which also names the process that has it.
#pragma once

#include <filesystem>

#include "base/files.h"
#include "base/result.h"
#include "machines/process.h"

namespace slipway::machines {

class HostLock {
 public:
  // Fails with bad_config when another machine host has the folder.
  static Result<HostLock> take(const std::filesystem::path& state);

 private:
  explicit HostLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The machine host that has the lock now; pid 0 when nobody has it.
ProcessId lock_holder(const std::filesystem::path& state);

}  // namespace slipway::machines
