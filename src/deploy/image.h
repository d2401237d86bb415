// Looks into a root file system from outside: which programs and accounts it has. Symbolic links are followed as the
// machine would follow them (Debian's alternatives are absolute links), so nothing of the box is mistaken for a part of
// the image.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/result.h"

namespace slipway::deploy {

struct Account {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Opens `path` (absolute, as the image sees it) inside `root`. Fails with not_found when it doesn't exist there.
Result<Fd> open_in_image(const std::filesystem::path& root, const std::filesystem::path& path);

// Whether an executable file of that name is in one of the usual folders of the image.
bool image_has_program(const std::filesystem::path& root, std::string_view program);

// The account in the text of a passwd file; malformed lines are skipped.
std::optional<Account> find_account(std::string_view passwd, std::string_view name);

// The account in the image's /etc/passwd.
std::optional<Account> image_account(const std::filesystem::path& root, std::string_view name);

}  // namespace slipway::deploy
