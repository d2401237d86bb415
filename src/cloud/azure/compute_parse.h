// What the compute and network APIs answer, as plain data. Everything here is pure and takes whatever is sent: a body
// that isn't what the published description says is an error, an unknown value of a known field isn't.
//
// Shapes: Microsoft.Compute 2024-07-01, Microsoft.Network 2024-01-01; asynchronous operations as ARM's common API has
// them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace slipway::cloud::azure {

template <class Item>
struct Page {
  std::vector<Item> items;
  std::string next;  // the next page's URL; empty: this was the last
};

struct ScaleSetView {
  std::string name;
  std::string id;
  std::string sku;
  uint32_t capacity = 0;
  bool counted = true;                      // false: the capacity couldn't be read; nothing is known of it
  std::string provisioning_state;           // "Succeeded", "Failed", "Canceled", or something goes on
  std::string etag;                         // empty where the API didn't say
  std::map<std::string, std::string> tags;  // names in lower case: ARM compares them without regard to case
  bool flexible = false;

  bool busy() const {
    return provisioning_state != "Succeeded" && provisioning_state != "Failed" && provisioning_state != "Canceled";
  }
};
Result<ScaleSetView> parse_scale_set(std::string_view body);
Result<Page<ScaleSetView>> parse_scale_sets(std::string_view body);

struct VmView {
  std::string name;
  std::string id;                  // its resource id
  std::string vm_id;               // unique, lower case; what attested data say
  std::string provisioning_state;  // "Creating", "Succeeded", "Failed", "Deleting", …
  std::string power;               // "running", "deallocated", …; empty: not told yet
  bool spot = false;
  std::string size;
  std::string zone;
  TimePoint created_at{};
  std::string failure_code;  // of instanceView's ProvisioningState/failed/<code>
  std::string failure_message;
};
Result<Page<VmView>> parse_vms(std::string_view body);

struct NicView {
  std::string vm;       // resource id, lower case; empty: attached to none
  std::string address;  // private, of the primary configuration; empty: none yet
};
Result<Page<NicView>> parse_nics(std::string_view body);

struct OperationView {
  bool running = false;
  // Why it failed. Unset for one that was preempted: a later one took its place, and nobody cares.
  std::optional<Error> failure;
};
Result<OperationView> parse_operation(std::string_view body);

// "2024-07-01T12:00:00.1234567+00:00", "…Z". Epoch: not such a time.
TimePoint parse_time(std::string_view text);

std::string lower_case(std::string_view text);  // ASCII

}  // namespace slipway::cloud::azure
