#include "join/json_reader.h"

#include <arpa/inet.h>

#include <boost/json.hpp>

#include "join/handshake.h"

namespace slipway::join {

namespace json = boost::json;

struct JsonReader::Impl {
  json::object object;
  std::string first_problem;
};

JsonReader::JsonReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
JsonReader::JsonReader(JsonReader&&) noexcept = default;
JsonReader& JsonReader::operator=(JsonReader&&) noexcept = default;
JsonReader::~JsonReader() = default;

Result<JsonReader> JsonReader::parse(std::string_view text, size_t bytes_max, Utf8 utf8) {
  if (text.size() > bytes_max) {
    return fail(ErrorCode::bad_config, "JSON of " + std::to_string(text.size()) + " bytes; at most " +
                                           std::to_string(bytes_max) + " are accepted");
  }
  json::parse_options options;
  options.max_depth = 8;
  options.allow_invalid_utf8 = utf8 == Utf8::any_bytes;
  json::error_code error;
  json::value value = json::parse(json::string_view(text.data(), text.size()), error, {}, options);
  if (error) return fail(ErrorCode::bad_config, "not JSON: " + error.message());
  if (!value.is_object()) return fail(ErrorCode::bad_config, "not a JSON object");
  auto impl = std::make_unique<Impl>();
  impl->object = std::move(value.get_object());
  return JsonReader(std::move(impl));
}

std::string JsonReader::text(std::string_view key, size_t bytes_max) {
  const json::value* value = impl_->object.if_contains(json::string_view(key.data(), key.size()));
  if (value == nullptr) return "";
  const json::string* string = value->if_string();
  if (string == nullptr) {
    problem("\"" + std::string(key) + "\" must be a string");
    return "";
  }
  if (string->size() > bytes_max) {
    problem("\"" + std::string(key) + "\" is longer than " + std::to_string(bytes_max) + " bytes");
    return "";
  }
  return std::string(string->data(), string->size());
}

namespace {

// The value as a non-negative integer up to `max`.
bool to_number(const json::value& value, uint64_t max, uint64_t& out) {
  if (value.is_int64() && value.get_int64() >= 0) {
    out = static_cast<uint64_t>(value.get_int64());
  } else if (value.is_uint64()) {
    out = value.get_uint64();
  } else {
    return false;
  }
  return out <= max;
}

bool is_user_name(std::string_view name) {
  if (name.empty() || name.size() > 32) return false;
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!letter(name.front())) return false;
  for (char c : name) {
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.') return false;
  }
  return true;
}

}  // namespace

uint64_t JsonReader::number(std::string_view key, uint64_t max, uint64_t fallback) {
  const json::value* value = impl_->object.if_contains(json::string_view(key.data(), key.size()));
  if (value == nullptr) return fallback;
  uint64_t number = 0;
  if (!to_number(*value, max, number)) {
    problem("\"" + std::string(key) + "\" must be a whole number from 0 to " + std::to_string(max));
    return fallback;
  }
  return number;
}

std::vector<model::User> JsonReader::users(std::string_view key, size_t count_max) {
  const json::value* value = impl_->object.if_contains(json::string_view(key.data(), key.size()));
  if (value == nullptr) return {};
  const std::string name(key);
  const json::array* array = value->if_array();
  if (array == nullptr || array->size() > count_max) {
    problem("\"" + name + "\" must be a list of at most " + std::to_string(count_max) + " users");
    return {};
  }
  std::vector<model::User> users;
  users.reserve(array->size());
  for (const json::value& item : *array) {
    const json::object* object = item.if_object();
    const json::value* user_name = object ? object->if_contains("name") : nullptr;
    const json::value* user_id = object ? object->if_contains("uid") : nullptr;
    uint64_t uid = 0;
    // The two highest ids mean "nobody" and "unchanged" to the kernel; 0 would make a second root.
    if (user_name == nullptr || !user_name->is_string() || user_id == nullptr ||
        !to_number(*user_id, 0xfffffffdu, uid) || uid == 0 ||
        !is_user_name({user_name->get_string().data(), user_name->get_string().size()})) {
      problem("\"" + name + "\" must be a list of {\"name\": a user name, \"uid\": a number above 0}");
      return {};
    }
    users.push_back(
        {std::string(user_name->get_string().data(), user_name->get_string().size()), static_cast<uint32_t>(uid)});
  }
  return users;
}

bool JsonReader::has(std::string_view key) const {
  return impl_->object.contains(json::string_view(key.data(), key.size()));
}

size_t JsonReader::size() const {
  return impl_->object.size();
}

void JsonReader::problem(std::string what) {
  if (impl_->first_problem.empty()) impl_->first_problem = std::move(what);
}

Result<void> JsonReader::status() const {
  if (!impl_->first_problem.empty()) return fail(ErrorCode::bad_config, impl_->first_problem);
  return {};
}

bool is_plain_name(std::string_view text, size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max || text.front() == '-' || text.front() == '.') return false;
  for (char c : text) {
    const bool fine =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (!fine) return false;
  }
  return true;
}

bool is_instance_id(std::string_view text) {
  if (text.size() > instance_bytes_max) return false;
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return is_plain_name(text, instance_bytes_max);
  return is_plain_name(text.substr(0, slash), instance_bytes_max) &&
         is_plain_name(text.substr(slash + 1), instance_bytes_max);
}

bool is_ipv4(std::string_view text) {
  in_addr address{};
  return text.size() <= 15 && inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

bool is_ipv4_and_port(std::string_view text) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || !is_ipv4(text.substr(0, colon))) return false;
  const std::string_view port = text.substr(colon + 1);
  if (port.empty() || port.size() > 5) return false;
  unsigned value = 0;
  for (char c : port) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  return value >= 1 && value <= 65535;
}

std::string json_quoted(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

std::string users_to_json(const std::vector<model::User>& users) {
  std::string out = "[";
  for (const model::User& user : users) {
    if (out.size() > 1) out += ',';
    out += "{\"name\":" + json_quoted(user.name) + ",\"uid\":" + std::to_string(user.uid) + "}";
  }
  return out + "]";
}

std::string to_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t at = 0;
  while (at < text.size()) {
    const auto first = static_cast<unsigned char>(text[at]);
    // Length of the sequence and the bounds of its second byte, which exclude overlong forms and surrogates.
    size_t length = 0;
    unsigned char low = 0x80, high = 0xbf;
    if (first < 0x80) {
      length = 1;
    } else if (first >= 0xc2 && first <= 0xdf) {
      length = 2;
    } else if (first >= 0xe0 && first <= 0xef) {
      length = 3;
      if (first == 0xe0) low = 0xa0;
      if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      length = 4;
      if (first == 0xf0) low = 0x90;
      if (first == 0xf4) high = 0x8f;
    }
    bool fine = length > 0 && at + length <= text.size();
    for (size_t i = 1; fine && i < length; ++i) {
      const auto byte = static_cast<unsigned char>(text[at + i]);
      fine = byte >= low && byte <= high;
      low = 0x80;
      high = 0xbf;
    }
    if (fine) {
      out.append(text.substr(at, length));
      at += length;
    } else {
      out += '?';
      ++at;
    }
  }
  return out;
}

}  // namespace slipway::join
