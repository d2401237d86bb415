// The state folder on disk: whose it is, which layout it has, who works on it, and how it goes away. deploy.h has the
// layout.
//
// The `version` file is written first and removed last, so that whatever killed an `up` or a `down` in between, the
// folder is still known for what it is and `down` can finish the work.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/files.h"
#include "base/result.h"

namespace slipway::deploy {

enum class FolderState {
  absent,   // nothing there, or an empty folder
  clean,    // ours, and nothing of a cluster in it but shared/ and data/ that were kept
  used,     // ours, with a cluster in it that is up or was not taken down
  foreign,  // something that isn't ours
  other,    // ours, of another layout version
};

struct FolderLook {
  FolderState state = FolderState::absent;
  std::string version;  // as written in it
};
Result<FolderLook> look_at_state(const std::filesystem::path& state);

// Held while an `up` or a `down` works on a cluster. Given back by the destructor or by the death of the process.
class StateLock {
 public:
  // Makes state folder, version and lock file if they are missing. Waits at most `patience` for another holder, then
  // fails with transient.
  static Result<StateLock> take(const std::filesystem::path& state, Duration patience);
  // Whether somebody holds it now.
  static bool is_held(const std::filesystem::path& state);

 private:
  explicit StateLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// Held while a subnet of this box is chosen and its bridge made, so that clusters that come up at the same time don't
// choose the same one. Fails with transient when somebody else has it for all of `patience`.
Result<Fd> lock_network(Duration patience);

// Removes what the folder holds, the folder with it. `keep_data` leaves shared/ and data/ (and the version). Refuses
// while something is mounted inside, for then it would delete through the mount.
Result<void> remove_state(const std::filesystem::path& state, bool keep_data);

// Mount points below `folder`, innermost first, from the text of /proc/self/mountinfo.
std::vector<std::string> mounts_below(std::string_view mountinfo, const std::filesystem::path& folder);

}  // namespace slipway::deploy
