// What root in a machine may not do.
#pragma once

#include "base/result.h"

namespace slipway::machines {

// Takes capabilities out of this process's bounding set for good, so that neither a machine's programs nor their setuid
// programs ever have them: loading modules, raw I/O, setting the clock, making device nodes, opening files by handle,
// the kernel's log, BPF, LSM policy, …
//
// This keeps accidents inside a machine. It is no boundary against malice: root in a machine is root on the box with
// its hands full (it keeps SYS_ADMIN, because slurmd, munged, sshd and prep scripts mount and join namespaces; there is
// no user namespace). Don't give root in a machine to somebody who may not have it on the box.
void drop_capabilities();

}  // namespace slipway::machines
