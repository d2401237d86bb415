// The Batch pools of one Batch account.
//
// launch(), terminate() and withdraw() ask Azure nothing: they note what is wanted and answer at once. list() looks and
// then does the next step of every pool (batch_plan.h): one listing of the account's pools, one of the nodes of each
// pool that has or may have any, and at most one change a pool. The daemon lists right after every launch, termination
// and withdrawal, and about every second while anything moves, so nothing needs a thread or a timer, a burst of wants
// is one resize, and what waits for a pool to be steady is sent by the first look that finds it so.
//
// Nodes that Batch calls unusable, or whose start task failed, are listed with trouble, and the engine has them
// replaced. They aren't rebooted or reimaged first: that is a call a node, takes as long as a new node (which comes
// with the same resize as everybody's), and hardly ever mends what a start task trips over; removing them is a call for
// a hundred.
//
// Crash windows. Memory (BatchWish) is lost with the process; Batch isn't:
//   1. before a resize is sent: the wants are forgotten, and the engine, which lists no machine for them, asks again;
//   2. sent, its answer lost: the next look compares the pool's targets with what was asked. Either it was taken, or it
//      is sent again with the new look's ETag; should the first one arrive late after all, its ETag is too old (412);
//   3. sent, then the process ends: the pool resizes, and what is missing to its targets is Listing::on_the_way;
//   4. it failed meanwhile: resizeErrors stay in the pool while it is steady. The first look of the new process tells
//      them once, as does each look that finds a new steady state with a target that was missed, and puts the target
//      down to what exists, so that Batch doesn't come back to it when nobody wants it any more;
//   5. stopResize sent, then the process ends: the pool becomes steady with fewer machines; what was still wanted of
//      them is asked again by the engine;
//   6. a removal that waited is forgotten: the engine still sees the node and terminates it again. Removal of a node
//      that leaves already is never sent; one of several in a row that was lost is seen by its nodes staying;
//   7. a pool deleted to be made anew, then the process ends: the next one finds none and makes it.
// Two daemons, or a person, at the same pool: every change carries the ETag of the look that it was derived from, but
// stopResize, which only ever makes fewer machines; the second is refused, looks again and goes on from there.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cloud/azure/fleet.h"

namespace slipway::cloud::azure {

// `pools`: all of one account (batch_url) and key file. `rest`: Batch's API with a token or a SharedKey. Fails with
// bad_config when a file that a pool names can't be read.
Result<std::unique_ptr<Fleet>> make_batch_fleet(const FleetContext& context, std::shared_ptr<Rest> rest,
                                                std::vector<PoolName> pools);

}  // namespace slipway::cloud::azure
