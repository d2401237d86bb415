// Whether a request is one that the published description allows: api-version, parameters, headers, and the body down
// to its last property. Also used by tests on what the simulated Azure answers.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/url.h"
#include "rehearse/azure/spec.h"

namespace boost::json {
class value;
}

namespace slipway::rehearse::azure {

struct Complaint {
  enum class Kind : uint8_t {
    no_version,
    bad_version,
    missing_query,
    unknown_query,
    invalid_query,
    out_of_range_query,
    missing_header,
    unsupported_header,
    invalid_header,
    missing_body,
    missing_property,
    unknown_property,
    read_only_property,
    invalid_property,
    out_of_range_property,
  };
  Kind kind = Kind::invalid_property;
  std::string name;    // of the parameter, or where in the body: "properties.sku.capacity"
  std::string value;   // what was sent, when short
  std::string reason;  // a sentence
};

// `body` null: none was sent. Headers that an operation doesn't know are ignored, but for conditions (If-…): who sends
// one relies on it.
std::optional<Complaint> check_request(const Operation& operation, const http::Query& query,
                                       const http::Headers& headers, const boost::json::value* body);

enum class Direction : uint8_t { request, answer };
// The first thing in `value` that `schema` doesn't allow. In a request null is as good as absent, and read-only
// properties may not be sent; in an answer nothing is required that a $select may leave out.
std::optional<Complaint> check_value(const Schema& schema, const boost::json::value& value, Direction direction,
                                     const std::string& where);

// "PT5M", "P1DT2H": seconds; empty: not an ISO 8601 duration of days to seconds.
std::optional<double> parse_iso_duration(std::string_view text);
std::string to_iso_duration(double seconds);

}  // namespace slipway::rehearse::azure
