// slipway-rehearse: a simulated cloud. `slipway rehearse` starts it; it may also be run by hand, for other clients.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "base/log.h"
#include "rehearse/server.h"

namespace {

constexpr const char* usage =
    "usage: slipway-rehearse --cluster FILE --folder FOLDER [--address IPV4] [--host-socket SOCKET --state FOLDER] "
    "[--image FOLDER] [--seed N]\n\n"
    "A simulated Azure for the pools of a cluster file. Without --host-socket its machines are virtual.\n"
    "FOLDER/endpoints.json says where it listens, as soon as it does. docs/rehearsal.md tells the rest.\n";

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> given;
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const bool known = name == "--cluster" || name == "--folder" || name == "--address" || name == "--host-socket" ||
                       name == "--state" || name == "--image" || name == "--seed";
    if (!known || i + 1 == argc) {
      std::fputs(usage, name == "--help" ? stdout : stderr);
      return name == "--help" ? 0 : 2;
    }
    given[name] = argv[i + 1];
  }
  if (given["--cluster"].empty() || given["--folder"].empty()) {
    std::fputs(usage, stderr);
    return 2;
  }
  slipway::rehearse::ServerOptions options;
  options.cluster_file = given["--cluster"];
  options.folder = given["--folder"];
  if (!given["--address"].empty()) options.address = given["--address"];
  options.host_socket = given["--host-socket"];
  options.state_folder = given["--state"];
  options.image = given["--image"];
  if (!given["--seed"].empty()) options.seed = std::strtoull(given["--seed"].c_str(), nullptr, 10);
  const auto done = slipway::rehearse::run_server(options);
  if (done) return 0;
  slipway::log_error("rehearsal_failed", {{"why", done.error().message}});
  return 1;
}
