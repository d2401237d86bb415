#include "rehearse/kept.h"

#include <openssl/rand.h>

#include <boost/json.hpp>

#include "base/check.h"
#include "base/files.h"
#include "http/base64.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

constexpr size_t batch_key_bytes = 64;
constexpr size_t token_bytes = 24;
constexpr size_t file_bytes_max = 16 << 20;

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  SLIPWAY_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) == 1);
  return bytes;
}

}  // namespace

const std::string& Kept::batch_key(const std::string& account) {
  std::string& key = batch_keys[account];
  if (key.empty()) key = http::to_base64(random_bytes(batch_key_bytes));
  return key;
}

Result<Kept> load_kept(const std::filesystem::path& file) {
  Kept kept;
  const auto text = read_file(file, file_bytes_max);
  if (!text && text.error().code != ErrorCode::not_found) return fail(text.error());
  if (text) {
    json::error_code error;
    const json::value value = json::parse(*text, error);
    const json::object* object = value.if_object();
    const json::value* token = object ? object->if_contains("admin_token") : nullptr;
    const json::value* keys = object ? object->if_contains("batch_keys") : nullptr;
    const json::value* ports = object ? object->if_contains("ports") : nullptr;
    if (!token || !token->is_string() || !keys || !keys->is_object() || !ports || !ports->is_object())
      return fail(ErrorCode::bad_config, file.string() + " is damaged; remove it, and clients must learn new keys");
    kept.admin_token = std::string(token->get_string());
    for (const auto& pair : keys->get_object()) {
      if (pair.value().is_string()) kept.batch_keys[std::string(pair.key())] = std::string(pair.value().get_string());
    }
    for (const auto& pair : ports->get_object()) {
      if (pair.value().is_int64() && pair.value().get_int64() > 0 && pair.value().get_int64() <= UINT16_MAX)
        kept.ports[std::string(pair.key())] = static_cast<uint16_t>(pair.value().get_int64());
    }
  }
  if (kept.admin_token.empty()) kept.admin_token = http::to_base64url(random_bytes(token_bytes));
  return kept;
}

Result<void> save_kept(const std::filesystem::path& file, const Kept& kept) {
  json::object keys;
  for (const auto& [account, key] : kept.batch_keys) keys[account] = key;
  json::object ports;
  for (const auto& [door, port] : kept.ports) ports[door] = port;
  return write_file(
      file,
      json::serialize(json::object{
          {"admin_token", kept.admin_token}, {"batch_keys", std::move(keys)}, {"ports", std::move(ports)}}),
      0600);
}

}  // namespace slipway::rehearse
