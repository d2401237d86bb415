// What the machine host writes down of a machine: <state>/machines/<id>/machine.json.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machines/machine.h"
#include "machines/process.h"

namespace slipway::machines {

struct Record {
  Machine machine;     // `pid` is the one in `process`
  ProcessId process;   // of PID 1; pid 0 before it is started and after it ended
  std::string ending;  // "terminated" or "killed" once somebody asked for its end
  TimePoint ended_at{};
};

std::string to_json(const Record& record);
Result<Record> parse_record(std::string_view json);

// "i-0000000a" and back; 0 for anything else.
std::string machine_id(uint32_t number);
uint32_t machine_number(std::string_view id);

Result<void> save_record(const std::filesystem::path& state, const Record& record);
// All readable ones, in the order of their ids; unreadable ones are logged and left where they are.
std::vector<Record> load_records(const std::filesystem::path& state);

// What must not run backwards when the machines' folders are gone: <state>/host/counter.json.
struct Counter {
  uint32_t next_number = 1;  // of the next machine
  std::string last_address;  // handed out last
};
Result<void> save_counter(const std::filesystem::path& state, const Counter& counter);
Counter load_counter(const std::filesystem::path& state);

// Writes beside and renames, without a sync: a crash of the box, after which an unsynced file may be empty, ends every
// machine anyway, and a thousand launches must not wait for a thousand syncs. A crash of the host loses nothing.
Result<void> write_quickly(const std::filesystem::path& path, std::string_view text, mode_t mode);

}  // namespace slipway::machines
