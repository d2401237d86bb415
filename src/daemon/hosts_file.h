// A section of ours in a hosts file that belongs to others too.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace slipway::daemon {

// The text with the section's lines replaced, or with the section at its end.
std::string with_hosts_section(std::string text, std::string_view section, std::string lines);
// The same in the file, which is made when it is missing and not touched when nothing changes.
Result<void> write_hosts_section(const std::filesystem::path& file, std::string_view section, const std::string& lines);

}  // namespace slipway::daemon
