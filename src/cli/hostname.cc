#include "cli/hostname.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/files.h"

namespace slipway::cli {

std::string hostname_of(pid_t pid) {
  const Fd space(::open(("/proc/" + std::to_string(pid) + "/ns/uts").c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return "";
  // A thread of its own joins the namespace and ends with it; the rest of this process stays where it is.
  std::string name;
  std::thread([&] {
    std::array<char, 256> buffer{};
    if (::setns(space.get(), CLONE_NEWUTS) == 0 && ::gethostname(buffer.data(), buffer.size() - 1) == 0) {
      name = buffer.data();
    }
  }).join();
  return name;
}

}  // namespace slipway::cli
