// slipway-agent [BOOT-DATA]: the first process of every machine. slipway-agent --join: makes a cloud's machine one.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "agent/agent.h"
#include "agent/join_machine.h"
#include "base/files.h"
#include "base/log.h"

namespace {

// Descriptors 0 to 2 exist, so that no socket becomes somebody's stderr; what nobody would see goes to the agent's own
// log.
void open_standard_streams() {
  for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = open("/dev/null", O_RDWR)) {
    if (fd > 2) {
      close(fd);
      break;
    }
  }
  struct stat err {};
  struct stat null {};
  if (fstat(2, &err) != 0 || stat("/dev/null", &null) != 0 || !S_ISCHR(err.st_mode) || err.st_rdev != null.st_rdev)
    return;
  mkdir("/var/log/slipway", 0755);
  const slipway::Fd log(open("/var/log/slipway/agent.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (log) dup2(log.get(), 2);
}

slipway::agent::Environment environment_now() {
  slipway::agent::Environment environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--join") == 0) return slipway::agent::join_machine(environment_now());
  open_standard_streams();
  if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
    std::fprintf(
        stderr,
        "usage: slipway-agent [BOOT-DATA]\n       slipway-agent --join\n\n"
        "Runs on a machine of a cluster; not meant for people. BOOT-DATA: %s\n"
        "--join: writes it from the environment that Slipway gives to its machines in a cloud, and starts the agent.\n",
        slipway::join::boot_data_path);
    return 2;
  }
  const char* path = argc == 2 ? argv[1] : slipway::join::boot_data_path;
  const auto text = slipway::read_file(path, 4 << 20);
  if (!text) {
    slipway::log_error("agent_failed", {{"why", text.error().message}});
    return 1;
  }
  const auto boot = slipway::join::parse_boot_data(*text);
  if (!boot) {
    slipway::log_error("agent_failed", {{"why", std::string(path) + ": " + boot.error().message}});
    return 1;
  }
  return slipway::agent::run_agent(*boot);
}
