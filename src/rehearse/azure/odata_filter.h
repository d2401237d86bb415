// $filter as Batch and ARM take it: comparisons of properties with literals, and, or, not, startswith, parentheses.
// https://learn.microsoft.com/rest/api/batchservice/odata-filters-in-batch
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace boost::json {
class object;
}

namespace slipway::rehearse::azure {

class ODataFilter {
 public:
  // bad_config with what is wrong. Empty: everything fits.
  static Result<ODataFilter> parse(std::string_view text);

  // A property that isn't there compares as null: it equals nothing.
  bool fits(const boost::json::object& object) const;
  // Names of the properties that it asks for: "state", "isDedicated", "virtualMachineScaleSet/id".
  const std::vector<std::string>& properties() const { return properties_; }

  struct Node;

 private:
  std::shared_ptr<const Node> root_;
  std::vector<std::string> properties_;
};

}  // namespace slipway::rehearse::azure
