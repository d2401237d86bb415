#include <boost/json.hpp>

#include "base/files.h"
#include "rehearse/server.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

constexpr size_t file_bytes_max = 16 << 20;

json::object to_object(const std::map<std::string, std::string>& texts) {
  json::object object;
  for (const auto& [key, text] : texts) object[key] = text;
  return object;
}

std::string text_of(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value && value->is_string() ? std::string(value->get_string()) : "";
}

std::map<std::string, std::string> texts_of(const json::object& object, const char* key) {
  std::map<std::string, std::string> texts;
  const json::value* value = object.if_contains(key);
  if (!value || !value->is_object()) return texts;
  for (const auto& pair : value->get_object()) {
    if (pair.value().is_string()) texts[std::string(pair.key())] = std::string(pair.value().get_string());
  }
  return texts;
}

}  // namespace

std::string to_json(const Endpoints& endpoints) {
  return json::serialize(json::object{{"arm", endpoints.arm},
                                      {"login", endpoints.login},
                                      {"admin", endpoints.admin},
                                      {"admin_token", endpoints.admin_token},
                                      {"imds", endpoints.imds},
                                      {"ca_file", endpoints.ca_file},
                                      {"batch", to_object(endpoints.batch)},
                                      {"batch_http", to_object(endpoints.batch_http)},
                                      {"batch_keys", to_object(endpoints.batch_keys)}});
}

Result<Endpoints> read_endpoints(const std::filesystem::path& file) {
  const auto text = read_file(file, file_bytes_max);
  if (!text) return fail(text.error());
  json::error_code error;
  const json::value value = json::parse(*text, error);
  const json::object* object = value.if_object();
  if (error || !object) return fail(ErrorCode::bad_config, file.string() + " is no endpoints.json of slipway-rehearse");
  Endpoints endpoints;
  endpoints.arm = text_of(*object, "arm");
  endpoints.login = text_of(*object, "login");
  endpoints.admin = text_of(*object, "admin");
  endpoints.admin_token = text_of(*object, "admin_token");
  endpoints.imds = text_of(*object, "imds");
  endpoints.ca_file = text_of(*object, "ca_file");
  endpoints.batch = texts_of(*object, "batch");
  endpoints.batch_http = texts_of(*object, "batch_http");
  endpoints.batch_keys = texts_of(*object, "batch_keys");
  if (endpoints.arm.empty() || endpoints.admin.empty())
    return fail(ErrorCode::bad_config, file.string() + " is no endpoints.json of slipway-rehearse");
  return endpoints;
}

}  // namespace slipway::rehearse
