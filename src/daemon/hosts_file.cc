#include "daemon/hosts_file.h"

#include "base/files.h"

namespace slipway::daemon {

std::string with_hosts_section(std::string text, std::string_view section, std::string lines) {
  if (!lines.empty() && lines.back() != '\n') lines += '\n';
  const std::string first = "# slipway " + std::string(section) + "\n";
  const std::string last = "# end of slipway " + std::string(section) + "\n";
  const std::string block = first + lines + last;
  auto begin = text.find(first);
  if (begin != std::string::npos && begin > 0 && text[begin - 1] != '\n') begin = std::string::npos;
  const auto end = begin == std::string::npos ? begin : text.find(last, begin);
  if (end != std::string::npos) return text.replace(begin, end + last.size() - begin, block);
  if (!text.empty() && text.back() != '\n') text += '\n';
  return text + block;
}

Result<void> write_hosts_section(const std::filesystem::path& file, std::string_view section,
                                 const std::string& lines) {
  const auto old = read_file(file);
  if (!old && old.error().code != ErrorCode::not_found) return fail(old.error());
  const std::string text = with_hosts_section(old ? *old : std::string(), section, lines);
  if (old && *old == text) return {};
  return write_file(file, text, 0644);
}

}  // namespace slipway::daemon
