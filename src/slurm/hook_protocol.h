// What slurmctld's programs (ResumeProgram, SuspendProgram, ResumeFailProgram) hand to the daemon. The sender is src/hook/, which links nothing of
// ours: this file and src/hook/hook.cc must agree.
//
// One frame (4-byte big-endian length) of NUL-separated fields: "1", kind, hostlist, SLURM_JOB_ID or "", resume file's text or "".
// The daemon answers nothing; the hook closes at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ids.h"

namespace slipway::slurm {

enum class HintKind { resume, suspend, resume_fail };

struct HintJob {
  JobId id = 0;
  std::vector<NodeName> nodes;        // of this resume
};

struct Hint {
  HintKind kind = HintKind::resume;
  std::vector<NodeName> nodes;
  std::vector<HintJob> jobs;          // in slurmctld's order; empty without a resume file
};

// Understands the resume file of 22.05 ("all_nodes", jobs[].nodes) and of 23.02 and later ("all_nodes_resume", jobs[].nodes_resume, nullable).
// A resume file that doesn't parse costs the job list, not the hint.
Result<Hint> decode_hint(std::string_view frame);

inline constexpr const char* hook_socket_default = "/run/slipway/hook.sock";

}  // namespace slipway::slurm
