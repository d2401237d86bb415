#include "machines/record.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <charconv>

#include "base/files.h"
#include "base/log.h"
#include "machines/host.h"
#include "machines/json_values.h"

namespace slipway::machines {
namespace {

namespace json = boost::json;
constexpr size_t record_bytes_max = 64 << 10;

std::filesystem::path counter_path(const std::filesystem::path& state) {
  return state / "host" / "counter.json";
}

}  // namespace

std::string to_json(const Record& record) {
  json::object object = machine_to_json(record.machine);
  object["start_time"] = record.process.start_time;
  object["net_namespace"] = record.process.net_namespace;
  object["boot_id"] = record.process.boot_id;
  object["ending"] = record.ending;
  object["ended_at"] = record.ended_at.time_since_epoch().count();
  return json::serialize(object);
}

Result<Record> parse_record(std::string_view text) {
  auto object = parse_object(text);
  if (!object) return fail(object.error());
  auto machine = machine_from_json(*object);
  if (!machine) return fail(machine.error());
  if (machine_number(machine->id) == 0) return fail(ErrorCode::bad_config, "not a machine's id: '" + machine->id + "'");
  Record record;
  record.machine = std::move(*machine);
  record.process = {record.machine.pid, unsigned_value(*object, "start_time"), unsigned_value(*object, "net_namespace"),
                    text_value(*object, "boot_id")};
  record.ending = text_value(*object, "ending");
  record.ended_at = TimePoint(Duration(integer_value(*object, "ended_at")));
  return record;
}

std::string machine_id(uint32_t number) {
  char digits[9] = "00000000";
  for (int i = 7; i >= 0; --i, number >>= 4) digits[i] = "0123456789abcdef"[number & 15];
  return std::string("i-") + digits;
}

uint32_t machine_number(std::string_view id) {
  uint32_t number = 0;
  if (id.size() != 10 || !id.starts_with("i-")) return 0;
  auto parsed = std::from_chars(id.data() + 2, id.data() + id.size(), number, 16);
  return parsed.ec == std::errc() && parsed.ptr == id.data() + id.size() && machine_id(number) == id ? number : 0;
}

Result<void> write_quickly(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  std::string beside = path.string() + ".new";
  Fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file) return fail_errno("write " + path.string());
  for (std::string_view rest = text; !rest.empty();) {
    ssize_t size = ::write(file.get(), rest.data(), rest.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return fail_errno("write " + path.string());
    rest.remove_prefix(static_cast<size_t>(size));
  }
  file.reset();
  if (::rename(beside.c_str(), path.c_str()) != 0) return fail_errno("write " + path.string());
  return {};
}

Result<void> save_record(const std::filesystem::path& state, const Record& record) {
  return write_quickly(machine_folder(state, record.machine.id) / "machine.json", to_json(record), 0600);
}

std::vector<Record> load_records(const std::filesystem::path& state) {
  std::vector<Record> records;
  std::error_code error;
  for (std::filesystem::directory_iterator it(state / "machines", error), end; !error && it != end;
       it.increment(error)) {
    if (machine_number(it->path().filename().string()) == 0) continue;
    auto text = read_file(it->path() / "machine.json", record_bytes_max);
    auto record = text ? parse_record(*text) : Result<Record>(fail(text.error()));
    if (record && record->machine.id == it->path().filename()) {
      records.push_back(std::move(*record));
    } else {
      log_warning("record_unreadable", {{"machine", it->path().filename().string()},
                                        {"why", record ? "it is of another machine" : record.error().message}});
    }
  }
  std::sort(records.begin(), records.end(),
            [](const Record& a, const Record& b) { return a.machine.id < b.machine.id; });
  return records;
}

Result<void> save_counter(const std::filesystem::path& state, const Counter& counter) {
  json::object object{{"next_number", counter.next_number}, {"last_address", counter.last_address}};
  return write_quickly(counter_path(state), json::serialize(object), 0600);
}

Counter load_counter(const std::filesystem::path& state) {
  Counter counter;
  if (auto text = read_file(counter_path(state), record_bytes_max)) {
    if (auto object = parse_object(*text)) {
      counter.next_number =
          static_cast<uint32_t>(std::clamp<uint64_t>(unsigned_value(*object, "next_number"), 1, UINT32_MAX));
      counter.last_address = text_value(*object, "last_address");
    }
  }
  // The folders know better when the file is lost or was written before a crash.
  std::error_code error;
  for (std::filesystem::directory_iterator it(state / "machines", error), end; !error && it != end;
       it.increment(error)) {
    uint32_t number = machine_number(it->path().filename().string());
    if (number < UINT32_MAX) counter.next_number = std::max(counter.next_number, number + 1);
  }
  return counter;
}

}  // namespace slipway::machines
