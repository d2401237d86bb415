#include <cstddef>
#include <cstdint>
#include <string_view>

#include "daemon/hosts_file.h"
#include "daemon/slurm_user.h"

// slurm.conf, passwd and hosts are other people's files.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)slipway::daemon::uid_of(text, slipway::daemon::slurm_user_of(text));
  (void)slipway::daemon::with_hosts_section(std::string(text), "nodes", "127.0.0.1 cpu-0001\n");
  return 0;
}
