#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/files.h"
#include "deploy/deploy.h"
#include "deploy/remove.h"
#include "deploy/state_folder.h"
#include "machines/client.h"
#include "machines/host.h"

namespace slipway::deploy {

namespace fs = std::filesystem;

namespace {

constexpr Duration shutdown_max{60'000};
constexpr Duration lock_patience{120'000};
constexpr Duration rehearsal_end_max{3'000};

// A simulated cloud's process, if there is one. It is gone before its machines are, and makes no new ones.
void end_rehearsal(const fs::path& state) {
  const fs::path folder = rehearse_folder(state);
  const auto text = read_file(folder / "pid", 64);
  const pid_t pid = text ? static_cast<pid_t>(std::atoi(text->c_str())) : 0;
  const auto is_it = [&] {  // the number may be another process's by now
    const auto words = read_file("/proc/" + std::to_string(pid) + "/cmdline", 64 << 10);
    return words && words->find(folder.string()) != std::string::npos;
  };
  if (pid <= 1 || !is_it()) return;
  ::kill(pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + rehearsal_end_max;
  while (is_it()) {
    if (std::chrono::steady_clock::now() >= deadline) {
      ::kill(pid, SIGKILL);
      return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

Result<void> remove_cluster(const fs::path& state, bool keep_data, const Progress& progress) {
  const auto say = [&](std::string_view text) {
    if (progress) progress(text);
  };
  end_rehearsal(state);
  say("ending the machines");
  const machines::Client host(machines::host_socket(state), shutdown_max);
  // Whatever it answers, the records on disk decide below what is left to do.
  if (auto asked = host.shutdown(); !asked && asked.error().code != ErrorCode::not_found) {
    say("the machine host didn't end them (" + asked.error().message + "); ending them without it");
  }
  if (auto removed = machines::remove_everything(state); !removed) return removed;
  say(keep_data ? "removing the state folder, but for shared/ and data/" : "removing the state folder");
  return remove_state(state, keep_data);
}

Result<void> down(const fs::path& state, bool keep_data, const Progress& progress) {
  const auto look = look_at_state(state);
  if (!look) return Failure(look.error());
  switch (look->state) {
    case FolderState::absent:
      if (progress) progress("nothing to take down");
      return remove_state(state, false);
    case FolderState::foreign:
      return fail(ErrorCode::bad_config, state.string() + " is not a state folder of Slipway; nothing was removed");
    case FolderState::other:
      return fail(ErrorCode::bad_config, state.string() + " has layout version \"" + look->version +
                                             "\", and this Slipway knows version " + std::to_string(layout_version) +
                                             "; take it down with the Slipway that made it");
    case FolderState::clean:
    case FolderState::used:
      break;
  }
  if (StateLock::is_held(state) && progress) progress("waiting for another `slipway up` or `slipway down`");
  auto lock = StateLock::take(state, lock_patience);
  if (!lock) return Failure(lock.error());
  return remove_cluster(state, keep_data, progress);
}

}  // namespace slipway::deploy
