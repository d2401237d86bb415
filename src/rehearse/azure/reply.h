// Answers: JSON, and errors in the words of the API that gives them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "rehearse/azure/spec_check.h"

namespace boost::json {
class value;
}

namespace slipway::rehearse::azure {

using Details = std::vector<std::pair<std::string, std::string>>;

http::Response empty_reply(int status);
http::Response json_reply(int status, const boost::json::value& body);

// {"odata.metadata", "code", "message": {"lang", "value"}, "values": [{"key", "value"}]}
http::Response batch_error(int status, std::string_view code, std::string_view message, const Details& details = {});
http::Response batch_error(const Complaint& complaint);

// {"error": {"code", "message", "target"}}
http::Response arm_error(int status, std::string_view code, std::string_view message, std::string_view target = {});
http::Response arm_error(const Complaint& complaint);

}  // namespace slipway::rehearse::azure
