#include "agent/listening.h"

#include <dirent.h>
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "base/files.h"

namespace slipway::agent {

namespace {

int option(int fd, int name) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

}  // namespace

std::optional<bool> listens(pid_t pid) {
  const Fd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!process) return errno == ESRCH ? std::optional<bool>(false) : std::nullopt;
  const std::string folder = "/proc/" + std::to_string(pid) + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> open_files(opendir(folder.c_str()), closedir);
  if (!open_files) return errno == ENOENT ? std::optional<bool>(false) : std::nullopt;
  while (const dirent* entry = readdir(open_files.get())) {
    char target[32] = {};
    if (readlinkat(dirfd(open_files.get()), entry->d_name, target, sizeof target - 1) <= 0) continue;
    if (std::strncmp(target, "socket:", 7) != 0) continue;
    const Fd copy(static_cast<int>(syscall(SYS_pidfd_getfd, process.get(), std::atoi(entry->d_name), 0)));
    if (!copy) {
      if (errno == EPERM || errno == ENOSYS) return std::nullopt;
      continue;  // closed meanwhile
    }
    const int domain = option(copy.get(), SO_DOMAIN);
    if ((domain == AF_INET || domain == AF_INET6) && option(copy.get(), SO_ACCEPTCONN) == 1) return true;
  }
  return false;
}

}  // namespace slipway::agent
