#include "deploy/image.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>

namespace slipway::deploy {

namespace {

constexpr size_t passwd_bytes_max = 16 << 20;

std::optional<uint32_t> parse_number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 16384> buffer;
  while (text.size() < passwd_bytes_max) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<size_t>(got));
  }
  return text;
}

}  // namespace

Result<Fd> open_in_image(const std::filesystem::path& root, const std::filesystem::path& path) {
  Fd folder(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail_errno("open " + root.string());
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_IN_ROOT;
  const std::string inside = path.relative_path().string();
  Fd file(static_cast<int>(::syscall(SYS_openat2, folder.get(), inside.c_str(), &how, sizeof how)));
  if (!file && errno == ENOSYS) {
    // Linux before 5.6, or a container that hides the call. Links that leave the image are then seen as the box sees
    // them.
    file = Fd(::openat(folder.get(), inside.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  }
  if (!file) return fail_errno("open " + path.string() + " in " + root.string());
  return file;
}

bool image_has_program(const std::filesystem::path& root, std::string_view program) {
  for (const char* folder : {"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"}) {
    const auto file = open_in_image(root, std::filesystem::path(folder) / program);
    if (!file) continue;
    struct stat about {};
    if (::fstat(file->get(), &about) == 0 && S_ISREG(about.st_mode) && (about.st_mode & 0111) != 0) return true;
  }
  return false;
}

std::optional<Account> find_account(std::string_view passwd, std::string_view name) {
  while (!passwd.empty()) {
    const size_t end = passwd.find('\n');
    std::string_view line = passwd.substr(0, end);
    passwd = end == std::string_view::npos ? std::string_view() : passwd.substr(end + 1);
    std::array<std::string_view, 4> fields;
    size_t count = 0;
    for (; count < fields.size(); ++count) {
      const size_t colon = line.find(':');
      fields[count] = line.substr(0, colon);
      if (colon == std::string_view::npos) break;
      line.remove_prefix(colon + 1);
    }
    if (count < fields.size() || fields[0] != name) continue;
    const auto uid = parse_number(fields[2]);
    const auto gid = parse_number(fields[3]);
    if (uid && gid) return Account{*uid, *gid};
  }
  return std::nullopt;
}

std::optional<Account> image_account(const std::filesystem::path& root, std::string_view name) {
  const auto file = open_in_image(root, "/etc/passwd");
  if (!file) return std::nullopt;
  return find_account(read_all(file->get()), name);
}

}  // namespace slipway::deploy
