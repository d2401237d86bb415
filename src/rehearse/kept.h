// What a server keeps over its restarts besides the simulated cloud itself: clients know it by then.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "base/result.h"

namespace slipway::rehearse {

struct Kept {
  std::string admin_token;
  std::map<std::string, std::string> batch_keys;  // by account; base64 of 64 bytes, as Azure's are
  std::map<std::string, uint16_t> ports;          // by door: "arm", "batch demo", …

  // Made at random when there is none yet.
  const std::string& batch_key(const std::string& account);
};

// A first server's when there is no file. bad_config: it is damaged.
Result<Kept> load_kept(const std::filesystem::path& file);
Result<void> save_kept(const std::filesystem::path& file, const Kept& kept);

}  // namespace slipway::rehearse
