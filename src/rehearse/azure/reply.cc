#include "rehearse/azure/reply.h"

#include <boost/json.hpp>

namespace slipway::rehearse::azure {

namespace json = boost::json;
using Kind = Complaint::Kind;

http::Response empty_reply(int status) {
  return {.status = status, .headers = {}, .body = ""};
}

http::Response json_reply(int status, const json::value& body) {
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = json::serialize(body)};
}

http::Response batch_error(int status, std::string_view code, std::string_view message, const Details& details) {
  json::object body{{"odata.metadata", "#Microsoft.Azure.Batch.Protocol.Entities.Container.errors/@Element"},
                    {"code", code},
                    {"message", {{"lang", "en-US"}, {"value", message}}}};
  if (!details.empty()) {
    json::array& values = body["values"].emplace_array();
    for (const auto& [key, value] : details) values.push_back({{"key", key}, {"value", value}});
  }
  return json_reply(status, body);
}

http::Response batch_error(const Complaint& complaint) {
  const auto about = [&](std::string_view code, std::string_view message, const std::string& what) {
    Details details{{what + "Name", complaint.name}};
    if (!complaint.value.empty()) details.emplace_back(what + "Value", complaint.value);
    details.emplace_back("Reason", complaint.reason);
    return batch_error(400, code, message, details);
  };
  switch (complaint.kind) {
    case Kind::no_version:
      return about("MissingRequiredQueryParameter", "A required query parameter was not specified for this request.",
                   "QueryParameter");
    case Kind::bad_version:
      return about("UnsupportedRequestVersion", "The specified request version is not supported.", "QueryParameter");
    case Kind::missing_query:
      return about("MissingRequiredQueryParameter", "A required query parameter was not specified for this request.",
                   "QueryParameter");
    case Kind::unknown_query:
      return about("UnsupportedQueryParameter",
                   "One of the query parameters specified in the request URI is not supported.", "QueryParameter");
    case Kind::invalid_query:
      return about("InvalidQueryParameterValue",
                   "Value for one of the query parameters specified in the request URI is invalid.", "QueryParameter");
    case Kind::out_of_range_query:
      return about("OutOfRangeQueryParameterValue",
                   "A query parameter specified in the request URI is outside the permissible range.",
                   "QueryParameter");
    case Kind::missing_header:
      return about("MissingRequiredHeader", "A required HTTP header was not specified.", "Header");
    case Kind::unsupported_header:
      return about("UnsupportedHeader", "One of the HTTP headers specified in the request is not supported.", "Header");
    case Kind::invalid_header:
      return about("InvalidHeaderValue",
                   "The value provided for one of the HTTP headers was not in the correct format.", "Header");
    case Kind::missing_body:
      return about("InvalidRequestBody", "The specified Request Body is not syntactically valid.", "Property");
    case Kind::missing_property:
      return about("MissingRequiredProperty", "A required property was not specified in the request body.", "Property");
    case Kind::unknown_property:
    case Kind::read_only_property:
      return about("UnsupportedProperty", "One of the properties specified in the request body is not supported.",
                   "Property");
    case Kind::invalid_property:
    case Kind::out_of_range_property:
      break;
  }
  return about("InvalidPropertyValue", "The value provided for one of the properties in the request body is invalid.",
               "Property");
}

http::Response arm_error(int status, std::string_view code, std::string_view message, std::string_view target) {
  json::object error{{"code", code}, {"message", message}};
  if (!target.empty()) error["target"] = target;
  return json_reply(status, json::object{{"error", error}});
}

http::Response arm_error(const Complaint& complaint) {
  const std::string what = "'" + complaint.name + "'";
  const std::string value = complaint.value.empty() ? "" : " Value: " + complaint.value + ".";
  switch (complaint.kind) {
    case Kind::no_version:
      return arm_error(400, "MissingApiVersionParameter",
                       "The api-version query parameter (?api-version=) is required for all requests.");
    case Kind::bad_version:
      return arm_error(400, "InvalidApiVersionParameter",
                       "The api-version '" + complaint.value + "' is invalid: " + complaint.reason + ".");
    case Kind::missing_query:
    case Kind::unknown_query:
    case Kind::invalid_query:
    case Kind::out_of_range_query:
      return arm_error(400, "InvalidParameter", "Query parameter " + what + ": " + complaint.reason + "." + value,
                       complaint.name);
    case Kind::missing_header:
    case Kind::unsupported_header:
    case Kind::invalid_header:
      return arm_error(400, "InvalidHeader", "Header " + what + ": " + complaint.reason + "." + value, complaint.name);
    case Kind::missing_body:
      return arm_error(400, "InvalidRequestContent", "The request content was invalid: there is none.");
    case Kind::unknown_property:
      return arm_error(400, "InvalidRequestContent",
                       "The request content was invalid and could not be deserialized: 'Could not find member on "
                       "object. Path " +
                           what + "'.",
                       complaint.name);
    case Kind::read_only_property:
      return arm_error(400, "PropertyChangeNotAllowed", "Changing property " + what + " is not allowed.",
                       complaint.name);
    case Kind::missing_property:
      return arm_error(400, "InvalidParameter", "Required parameter " + what + " is missing (null).", complaint.name);
    case Kind::invalid_property:
    case Kind::out_of_range_property:
      break;
  }
  return arm_error(400, "InvalidParameter", "Parameter " + what + ": " + complaint.reason + "." + value,
                   complaint.name);
}

}  // namespace slipway::rehearse::azure
