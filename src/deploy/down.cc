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

}  // namespace

Result<void> remove_cluster(const fs::path& state, bool keep_data, const Progress& progress) {
  const auto say = [&](std::string_view text) {
    if (progress) progress(text);
  };
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
