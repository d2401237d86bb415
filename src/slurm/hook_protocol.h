// What slurmctld's programs (ResumeProgram, SuspendProgram, ResumeFailProgram, PrologSlurmctld) hand to the daemon. The
// sender is src/hook/, which links nothing of ours: this file and src/hook/hook.cc must agree.
//
// One frame (4-byte big-endian length) of NUL-separated fields: "1", kind, hostlist, SLURM_JOB_ID or "", resume file's
// text or "".
//
// resume, suspend, resume_fail: the daemon answers nothing; the hook closes at once.
//
// job_start: a job has its nodes and may start when they are up. The hook stays connected and waits for the daemon's
// frames: `hook_wait` within five seconds and again at least every 20 s while a node of the job isn't up yet; `hook_go`
// when all are (or when waiting makes no sense any more), and at once when they were up already. slurmctld starts the
// job the moment the hook ends; without this it looks only every 30 s. The hook that closes by itself is a cancelled
// job's or a dying slurmctld's. After a daemon's restart the hook comes again by itself, and after a slurmctld's
// restart it may come twice.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ids.h"

namespace slipway::slurm {

enum class HintKind { resume, suspend, resume_fail, job_start };

struct HintJob {
  JobId id = 0;
  std::vector<NodeName> nodes;  // of this resume
};

struct Hint {
  HintKind kind = HintKind::resume;
  std::vector<NodeName> nodes;
  std::vector<HintJob> jobs;  // in slurmctld's order; empty without a resume file
  JobId job = 0;              // job_start: the job that waits for `nodes`; else 0, or the job that asked for a reboot
};

// Understands the resume file of 22.05 ("all_nodes", jobs[].nodes) and of 23.02 and later ("all_nodes_resume",
// jobs[].nodes_resume, nullable). A resume file that doesn't parse costs the job list, not the hint.
Result<Hint> decode_hint(std::string_view frame);

inline constexpr const char* hook_wait = "wait";
inline constexpr const char* hook_go = "go";
// The socket must be writable for SlurmUser, as whom slurmctld runs its programs.
inline constexpr const char* hook_socket_default = "/run/slipway/hook.sock";

}  // namespace slipway::slurm
