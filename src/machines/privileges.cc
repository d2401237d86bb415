#include "machines/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>

namespace slipway::machines {

void drop_capabilities() {
  // By number where an older libc's header lacks the name.
  constexpr int perfmon = 38;
  constexpr int bpf = 39;
  constexpr int checkpoint_restore = 40;
  for (int capability :
       {CAP_DAC_READ_SEARCH, CAP_LINUX_IMMUTABLE, CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_PACCT, CAP_SYS_BOOT,
        CAP_SYS_TIME, CAP_MKNOD, CAP_AUDIT_CONTROL, CAP_AUDIT_READ, CAP_MAC_OVERRIDE, CAP_MAC_ADMIN, CAP_SYSLOG,
        CAP_WAKE_ALARM, CAP_BLOCK_SUSPEND, perfmon, bpf, checkpoint_restore}) {
    // Fails for capabilities that this kernel doesn't know, which nobody can have.
    ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  }
}

}  // namespace slipway::machines
