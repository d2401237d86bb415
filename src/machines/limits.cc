#include "machines/limits.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <charconv>
#include <optional>

#include "base/files.h"
#include "base/log.h"
#include "machines/json_values.h"
#include "machines/network.h"
#include "machines/record.h"

namespace slipway::machines {
namespace {

namespace json = boost::json;

struct Limit {
  const char* path;      // below /proc/sys
  uint64_t per_machine;  // what each machine needs
  uint64_t min;          // what many machines need at least
  uint64_t max;          // what the kernel accepts
};

// A node of a job talks to the controller, the login node and, through Slurm's tree and MPI, to some dozens of others.
constexpr Limit limits[] = {
    {"net/ipv4/neigh/default/gc_thresh1", 128, 32'768, 1 << 20},
    {"net/ipv4/neigh/default/gc_thresh2", 256, 65'536, 1 << 21},
    {"net/ipv4/neigh/default/gc_thresh3", 512, 131'072, 1 << 22},
    {"kernel/pid_max", 128, 65'536, 4 << 20},
};

std::filesystem::path record_path(const std::filesystem::path& state) {
  return state / "host" / "limits.json";
}

std::optional<uint64_t> read_limit(const char* path) {
  auto text = read_file(std::filesystem::path("/proc/sys") / path, 256);
  if (!text) return std::nullopt;
  uint64_t value = 0;
  auto parsed = std::from_chars(text->data(), text->data() + text->size(), value);
  if (parsed.ec != std::errc()) return std::nullopt;
  return value;
}

bool write_limit(const char* path, uint64_t value) {
  Fd file(::open((std::string("/proc/sys/") + path).c_str(), O_WRONLY | O_CLOEXEC));
  std::string text = std::to_string(value) + "\n";
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

// {"kernel/pid_max": {"before": 32768, "raised": 131072}, …}
json::object load_changes(const std::filesystem::path& state) {
  auto text = read_file(record_path(state), 64 << 10);
  auto object = text ? parse_object(*text) : Result<json::object>(fail(text.error()));
  return object ? std::move(*object) : json::object();
}

const json::object* change_of(const json::object& changes, const char* path) {
  const json::value* value = changes.if_contains(path);
  return value ? value->if_object() : nullptr;
}

// What other clusters of this box have changed.
std::vector<json::object> changes_of_others(const std::filesystem::path& state) {
  std::vector<json::object> all;
  for (const auto& other : clusters_on_this_box()) {
    if (other != state) all.push_back(load_changes(other));
  }
  return all;
}

}  // namespace

void raise_limits(const std::filesystem::path& state, size_t machines) {
  if (machines <= limits_needed_above) return;
  json::object changes = load_changes(state);
  std::optional<std::vector<json::object>> others;
  for (const Limit& limit : limits) {
    uint64_t wanted = std::clamp(machines * limit.per_machine, limit.min, limit.max);
    auto now = read_limit(limit.path);
    if (!now) continue;
    if (!others) others = changes_of_others(state);
    uint64_t before = *now;
    bool raised_by_another = false;
    for (const json::object& other : *others) {
      if (const json::object* change = change_of(other, limit.path)) {
        before = unsigned_value(*change, "before");
        raised_by_another = true;
      }
    }
    if (const json::object* own = change_of(changes, limit.path)) before = unsigned_value(*own, "before");
    if (*now >= wanted && !raised_by_another) continue;
    uint64_t raised = std::max(wanted, *now);
    // Written down first: killed in between, the box keeps its old value, and putting that back changes nothing.
    changes[limit.path] = json::object{{"before", before}, {"raised", raised}};
    if (auto saved = write_quickly(record_path(state), json::serialize(changes), 0600); !saved) {
      log_warning("limits_not_raised", {{"why", saved.error().message}});
      return;
    }
    if (raised != *now && !write_limit(limit.path, raised)) {
      log_warning("limit_not_raised",
                  {{"limit", limit.path}, {"is", *now}, {"wanted", wanted}, {"why", errno_message("write")}});
    }
  }
}

void restore_limits(const std::filesystem::path& state) {
  json::object changes = load_changes(state);
  if (changes.empty()) return;
  std::vector<json::object> others = changes_of_others(state);
  for (const Limit& limit : limits) {
    const json::object* own = change_of(changes, limit.path);
    if (!own) continue;
    bool still_needed = std::any_of(others.begin(), others.end(),
                                    [&](const json::object& other) { return change_of(other, limit.path) != nullptr; });
    auto now = read_limit(limit.path);
    if (still_needed || !now || *now != unsigned_value(*own, "raised")) continue;
    write_limit(limit.path, unsigned_value(*own, "before"));
  }
  std::error_code ignored;
  std::filesystem::remove(record_path(state), ignored);
}

void raise_own_limits() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return;
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace slipway::machines
