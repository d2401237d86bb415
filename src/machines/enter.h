// Runs a program inside a machine, as `docker exec` would. Root on the box only; used by `slipway exec`, `shell` and
// tests.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "machines/machine.h"

namespace slipway::machines {

struct EnterOptions {
  std::string user;               // name in the machine's /etc/passwd; empty is root
  std::string folder;             // start there; empty is the user's home
  std::vector<std::string> argv;  // empty: the user's login shell
};

// Joins the machine's namespaces, becomes the user and runs the program with this process's stdin, stdout and stderr.
// Returns the program's exit status (128 + signal when it was killed). Signals that the terminal sends reach the
// program. Fails with not_found when the machine doesn't run or the user doesn't exist there.
Result<int> enter_machine(const Machine& machine, const EnterOptions& options);

}  // namespace slipway::machines
