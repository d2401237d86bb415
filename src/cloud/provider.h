// What a provider of machines must offer. One implementation a cloud; tests/contract/ holds the suite that each must
// pass.
//
// Shaped by the clouds, not by one of them. EC2 launches N machines in one call, tags the call, and lists them seconds
// later; Azure Batch resizes a pool of anonymous machines, removes a hundred at a time when the pool is steady, and
// reports what went wrong minutes later in the pool; a scale set does a bit of both. So:
//   - a launch asks for a number, not for names, and returns when the request is *accepted*. Machines appear in list();
//   - what fails later appears in Listing::troubles, with the launch token where the provider knows it;
//   - a listing says whether it is complete. An instance that is absent from an incomplete one is unknown, not gone;
//   - terminate() is repeated until the instance is listed as gone or not listed in a complete listing.
//
// Calls block, have a deadline, and may be made from several worker threads at once. Nothing here retries: the engine
// decides.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/cluster.h"
#include "model/instance.h"

namespace slipway::cloud {

struct LaunchRequest {
  PoolName pool;
  uint32_t count = 0;
  uint32_t minimum = 1;  // fewer are of no use: then none is launched and none is billed
  // From what is wanted, not from the attempt: a launch whose token was seen before returns the earlier launch and
  // makes nothing, as long as any of that launch's instances exists.
  std::string token;
  model::Market market = model::Market::on_demand;
  std::vector<model::Offer>
      offers;             // in order of preference: the next is for what the earlier ones could not give. Empty: any
  std::string placement;  // machines with one placement are next to each other; empty: anywhere
};

struct Refusal {
  model::Offer offer;  // empty: any that were asked for
  Error error;
};

struct LaunchReceipt {
  uint32_t accepted = 0;              // at most `count`; of the rest, `refusals` tell why
  std::vector<InstanceId> instances;  // when the provider names them at once (EC2, local); else empty (Batch)
  std::vector<Refusal> refusals;      // offers that gave less than was asked of them; also when others made up for it
};

struct PoolTrouble {
  PoolName pool;
  std::string launch_token;  // empty when unknown
  model::Market market = model::Market::on_demand;
  model::Offer offer;  // empty: any
  uint32_t count = 0;  // machines it cost; 0 when unknown
  TimePoint at{};
  Error error;
};

// Machines that were asked for and are on their way, but don't exist yet: an anonymous resize that goes on. After a
// restart they stand for the launches that the daemon forgot.
struct OnTheWay {
  PoolName pool;
  model::Market market = model::Market::on_demand;
  uint32_t count = 0;
};

struct Listing {
  std::vector<model::Instance> instances;  // every one that carries our tag, in any state
  bool complete = true;                    // false: a page, a region or an account could not be read
  TimePoint as_of{};                       // what the listing is true of; not later than the call's start
  std::vector<PoolTrouble> troubles;       // since the previous listing
  std::vector<OnTheWay> on_the_way;        // besides `instances`; only of providers that don't name instances at launch
};

// What a machine shows to prove that it is the instance it says it is.
struct Evidence {
  InstanceId instance;
  std::string kind;      // the provider's word for the document
  std::string document;  // signed by the provider, or a token of it
  std::string address;   // where the machine speaks from; it is privileged there (source port below 1024)
};

struct Capabilities {
  Duration consistency_delay{0};  // a new instance may be missing from listings for so long
  Duration launch_delay{0};  // machines of an accepted launch may take so long to exist, or to be refused in troubles
  Duration look_every{0};    // listings more often than this show nothing new, and cost
  uint32_t terminate_batch_max = 1000;  // more are split by the implementation; for planning only
  bool names_instances_at_launch = true;
  model::LaunchWindow launch_window;  // what suits its API, where the cluster file says nothing
  model::ApiBudget api;
};

class Provider {
 public:
  virtual ~Provider() = default;
  virtual Capabilities capabilities() const = 0;

  // A receipt may hold fewer than asked, never fewer than `minimum` but none. Fails with no_capacity, quota, throttled,
  // denied, bad_config (image, subnet, type), transient, or outcome_unknown (the reply was lost).
  virtual Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) = 0;

  virtual Result<Listing> list(Duration timeout) = 0;

  // Accepted is not done: look at the next listings. Unknown ids are fine (already gone). Some may be accepted and
  // others not: the result holds the ids that the provider refused, with the first reason in the log.
  virtual Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) = 0;

  // Takes back up to `count` machines that are on their way (Listing::on_the_way) and don't exist yet; returns how
  // many.
  virtual Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration timeout) {
    (void)pool, (void)market, (void)count, (void)timeout;
    return 0;
  }

  // Success: the evidence is genuine, fresh and of that instance, which is listed at that address. denied: it isn't;
  // transient: couldn't be checked now. By default machines prove themselves by a secret that their maker gave them.
  virtual Result<void> identify(const Evidence& evidence, Duration timeout) {
    (void)timeout;
    return fail(ErrorCode::denied, "this provider doesn't vouch for " + evidence.instance.str());
  }
};

}  // namespace slipway::cloud
