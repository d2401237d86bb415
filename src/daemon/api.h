// The daemon's own socket for people and scripts: /run/slipway/api.sock on the controller, <state>/run/api.sock on the
// box. JSON frames (base/channel.h), one request a connection; root only.
//
//   request   {"call": "status" | "nodes" | "jobs" | "events" | "explain" | "locate", …arguments}
//   answer    {"ok": true, "result": …}   or   {"ok": false, "error": {"code": "not_found", "message": "…"}}
//
//   status    → {cluster, daemon: {version, pid, started, rss_kib}, lease: {holder, epoch},
//                slurm: {version, known, as_of, error}, provider: {complete, as_of, error},
//                nodes: {total, up, busy, booting, down, asleep}, instances: {total, unbound},
//                jobs: {pending, configuring, running},
//                pools: [{name, max, warm, up, busy, booting, failed, instances, not_before, why, short}]}
//   nodes     → [{node, pool, state, situation, since, instance, address, jobs, reason}];
//               arguments: pool, all (false: without sleeping ones)
//   jobs      → [{job, array, name, user, partition, state, reason, nodes, node_count, comment}]
//   events    → [{id, at, kind, pool, node, instance, job, message}]; arguments: after, node, limit;
//               with "follow": true the answer is a sequence of frames, each {"ok": true, "result": [events]}, until
//               the client closes
//   explain   → {text}; arguments: node or job
//   locate    → {instance, address}; argument: node (for `exec` and `logs`)
//
// Times are ISO 8601 text in UTC, "" when unknown; docs/api.md has every field.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::daemon {

// Sends one request (JSON text) and returns the "result" (JSON text). Fails with the daemon's own error, or not_found
// when no daemon listens.
Result<std::string> call(const std::string& socket, std::string_view request, Duration timeout);

}  // namespace slipway::daemon
