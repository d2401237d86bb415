// Files that others wrote, or that a crash cut: machine.json, /proc/<pid>/mountinfo, stat and status, /etc/passwd and
// group, addresses.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "machines/accounts.h"
#include "machines/addresses.h"
#include "machines/process.h"
#include "machines/record.h"
#include "machines/root_plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::machines;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto record = parse_record(text)) {
    const auto again = parse_record(to_json(*record));
    if (!again || again->machine.id != record->machine.id || again->process.start_time != record->process.start_time)
      std::abort();
  }
  for (const MountPoint& mount : parse_mountinfo(text)) {
    if (!mount.path.starts_with('/')) std::abort();
  }
  (void)system_mounts(parse_mountinfo(text));
  (void)parse_start_time(text);
  (void)is_first_process(text);
  const std::string_view name = text.substr(0, text.find_first_of(":\n"));
  if (auto account = find_account(text, name); account && account->uid == static_cast<uid_t>(-1)) std::abort();
  if (groups_of(text, name, 7).front() != 7) std::abort();
  if (auto address = parse_ipv4(text); address && ipv4_text(*address) != text) std::abort();
  if (auto subnet = parse_subnet(text); subnet && !subnet->contains(subnet->gateway())) std::abort();
  return 0;
}
