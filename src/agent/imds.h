// Azure's Instance Metadata Service, asked from inside a machine: who it is, what proves it, and what is about to
// happen to it. Facts from the published description (metadata API 2023-07-01) and from Azure's page on Scheduled
// Events, November 2026.
//
// Blocking, for worker threads; thread-safe. The parsers are for the tests and fuzzers too: what answers at the address
// is the cloud, or whoever took its place.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::agent {

inline constexpr const char* imds_origin = "http://169.254.169.254";

struct MachineFacts {
  std::string name;     // the VM's, as its scale set and Scheduled Events call it
  std::string vm_id;    // a GUID that Azure gives once
  std::string address;  // the first private IPv4; empty: none
  std::string cloud;    // "AzurePublicCloud", "AzureUSGovernmentCloud", "AzureChinaCloud"
};

enum class EventKind { freeze, reboot, redeploy, preempt, terminate, other };
struct ScheduledEvent {
  std::string id;
  EventKind kind = EventKind::other;
  bool started = false;                // it happens now
  TimePoint not_before{};              // epoch: not said, or not understood
  std::vector<std::string> resources;  // names of the VMs; of all in the scale set
};
struct ScheduledEvents {
  uint64_t incarnation = 0;
  std::vector<ScheduledEvent> events;  // those that are over or called off are left out
};

// All fail with transient when the document isn't what it must be: the next one may.
Result<std::string> parse_token(std::string_view json);     // the access token
Result<std::string> parse_attested(std::string_view json);  // the PKCS #7 signature with its text, base64
Result<MachineFacts> parse_instance(std::string_view json);
Result<ScheduledEvents> parse_events(std::string_view json);

class Imds {
 public:
  // `origin`: empty is Azure's own address.
  explicit Imds(const std::string& origin);
  ~Imds();

  // All fail with transient when nobody answers, throttled or transient as the answer says; denied when there is no
  // such identity.

  // `identity`: the client id or the resource id of a user-assigned identity. For the Resource Manager of the machine's
  // cloud, which the first call asks for.
  Result<std::string> identity_token(const std::string& identity, Duration timeout);
  // Its nonce is `now` in seconds, ten digits: the daemon sees how old the document is.
  Result<std::string> attested_document(TimePoint now, Duration timeout);
  Result<MachineFacts> instance(Duration timeout);
  // The very first call of a machine's life switches the service on, which takes up to two minutes.
  Result<ScheduledEvents> events(Duration timeout);
  // The machine is ready: the cloud needn't wait for the event's time.
  Result<void> start_event(const std::string& id, Duration timeout);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace slipway::agent
