#include "rehearse/host_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>

#include "base/files.h"
#include "machines/host.h"
#include "rehearse/vm_files.h"

namespace slipway::rehearse {
namespace {

constexpr Duration call_timeout{60'000};
constexpr const char* note_file = "vm";
constexpr size_t small_file_max = 256;

// A machine's own root may put anything into its folder: nothing there is followed, waited for or read at length.
std::optional<std::string> read_small(const std::filesystem::path& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  char buffer[small_file_max];
  const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
  if (size < 0) return std::nullopt;
  return std::string(buffer, static_cast<size_t>(size));
}

// Unsynced, as the machine's own record is: after a crash of the box there are no machines.
bool put(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  const std::string beside = path.string() + ".new";
  (void)::unlink(beside.c_str());
  Fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file) return false;
  while (!text.empty()) {
    const ssize_t size = ::write(file.get(), text.data(), text.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return false;
    text.remove_prefix(static_cast<size_t>(size));
  }
  file.reset();
  return ::rename(beside.c_str(), path.c_str()) == 0;
}

std::optional<BootId> parse_note(std::string_view text) {
  BootId boot;
  const char* end = text.data() + text.size();
  auto key = std::from_chars(text.data(), end, boot.first);
  if (key.ec != std::errc() || key.ptr == end || *key.ptr != ' ') return std::nullopt;
  auto boots = std::from_chars(key.ptr + 1, end, boot.second);
  if (boots.ec != std::errc()) return std::nullopt;
  return boot;
}

Result<machines::LaunchResult> launch(const machines::Client& client, const std::filesystem::path& state,
                                      const HostRound::Launch& asked) {
  machines::MachineSpec spec;
  spec.role = vm_role;
  spec.pool = asked.pool;
  spec.image = asked.image;
  spec.program = vm_program;
  machines::LaunchTerms terms;
  terms.address = asked.boots.size() == 1 ? asked.address : "";
  const auto count = static_cast<uint32_t>(asked.boots.size());
  auto launched = client.launch(spec, count, asked.token, terms);
  if (!terms.address.empty() && (launched ? launched->ids.empty() : launched.error().code == ErrorCode::no_capacity)) {
    terms.address.clear();  // somebody else has it by now
    launched = client.launch(spec, count, asked.token, terms);
  }
  if (!launched) return launched;
  for (size_t i = 0; i < launched->ids.size() && i < asked.boots.size(); ++i) {
    const std::string note = std::to_string(asked.boots[i].first) + " " + std::to_string(asked.boots[i].second) + "\n";
    // Without it the machine is a stray to the next floor; to this one it is what the host's answer says.
    (void)put(machines::machine_folder(state, launched->ids[i]) / note_file, note, 0600);
  }
  return launched;
}

}  // namespace

std::string recipe_text(const Recipe& recipe) {
  std::string text = recipe.command;
  text += '\0';
  for (const auto& [name, value] : recipe.environment) {
    text += name + "=" + value;
    text += '\0';
  }
  return text;
}

StartTask parse_status(std::string_view text) {
  StartTask task;
  task.begun = text == "begun\n" || text.starts_with("ended ");
  if (!text.starts_with("ended ")) return task;
  text.remove_prefix(6);
  int status = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), status);
  task.status = parsed.ec == std::errc() && status >= 0 && status < 256 ? status : 1;
  return task;
}

HostAnswer run_round(const std::filesystem::path& host_socket, const std::filesystem::path& state,
                     const HostRound& round) {
  const machines::Client client(host_socket, call_timeout);
  HostAnswer answer;
  auto trouble = [&](const std::string& what) {
    if (answer.trouble.empty()) answer.trouble = what;
  };
  std::set<std::string> own = round.known;
  for (const HostRound::Launch& each : round.launches) {
    answer.launches.push_back(launch(client, state, each));
    if (const auto& launched = answer.launches.back()) {
      own.insert(launched->ids.begin(), launched->ids.end());
    } else {
      trouble(launched.error().message);
    }
  }
  for (const auto& [id, text] : round.recipes) {
    if (put(machines::machine_logs(state, id) / recipe_file, text, 0600)) answer.given.insert(id);
  }
  auto end = [&](const Result<void>& done) {
    answer.ended &= done.has_value();
    if (!done) trouble(done.error().message);
  };
  if (!round.terminate.empty()) end(client.terminate(round.terminate));
  if (!round.kill.empty()) end(client.kill(round.kill));

  auto machines = client.list();
  if (!machines) {
    trouble(machines.error().message);
    return answer;
  }
  for (const machines::Machine& machine : *machines) {
    if (machine.role != vm_role || machine.state == machines::MachineState::gone || own.contains(machine.id)) continue;
    const auto text = read_small(machines::machine_folder(state, machine.id) / note_file);
    if (const auto note = text ? parse_note(*text) : std::nullopt) answer.notes[machine.id] = *note;
  }
  auto look = [&](const std::string& id) {
    if (const auto text = read_small(machines::machine_logs(state, id) / status_file))
      answer.start_tasks[id] = parse_status(*text);
  };
  for (const std::string& id : round.statuses) look(id);
  for (const auto& [id, note] : answer.notes) look(id);
  answer.machines = std::move(*machines);
  return answer;
}

}  // namespace slipway::rehearse
