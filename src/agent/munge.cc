#include "agent/munge.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>

#include "base/log.h"

namespace slipway::agent {

namespace {

constexpr const char* socket_path = "/run/munge/munge.socket.2";
constexpr const char* key_path = "/etc/munge/munge.key";
constexpr Duration patience_max{20'000};
constexpr unsigned deaths_max = 5;

bool accepts(const char* path) {
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  return fd && connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

}  // namespace

Munge::Munge(Context context) : context_(context), service_(context.loop, context.clock, context.processes, "munged") {
  service_.on_died([this](const std::string& why, bool) {
    ++deaths_;
    if (done_ && deaths_ >= deaths_max)
      finish(fail(ErrorCode::permanent, "munged " + why + ", " + std::to_string(deaths_) + " times"));
  });
}

Munge::~Munge() {
  context_.loop.cancel(look_timer_);
}

Result<void> Munge::prepare(const std::string& key) {
  auto identity = find_identity("/etc", "munge");
  if (!identity)
    return fail(ErrorCode::not_found, "no user munge on this machine; install the Debian package munge in its image");
  identity_ = *identity;
  const uid_t uid = identity_.uid;
  const gid_t gid = identity_.gid;
  if (auto r = give_folder("/etc/munge", 0700, uid, gid); !r) return r;
  if (auto r = give_folder("/run/munge", 0755, uid, gid); !r) return r;
  if (auto r = give_folder("/var/lib/munge", 0711, uid, gid); !r) return r;
  if (auto r = give_folder("/var/log/munge", 0700, uid, gid); !r) return r;
  if (auto r = put_file(key_path, key, 0400, uid, gid); !r) return r;
  key_ = key;
  return {};
}

void Munge::start(const std::string& key, std::function<void(Result<void>)> done) {
  done_ = std::move(done);
  deaths_ = 0;
  auto munged = need_program("munged", "munge");
  if (!munged) {
    finish(fail(munged.error()));
    return;
  }
  if (auto prepared = prepare(key); !prepared) {
    finish(std::move(prepared));
    return;
  }
  // --force: a root folder that others may write to is the image's business. Two threads are plenty for one machine.
  service_.start({.argv = {*munged, "--foreground", "--force", "--num-threads=2"},
                  .environment = {},
                  .run_as = identity_,
                  .log = std::string(log_folder) + "/munged.log"});
  give_up_at_ = context_.clock.now() + patience_max;
  step_ = Duration(1);
  look_timer_ = context_.loop.after(step_, [this] { look(); });
}

// munged is up 2 ms after its start on an idle box: short steps first, longer ones when the box is busy.
void Munge::look() {
  look_timer_ = Loop::TimerId::none;
  if (!done_) return;
  if (service_.pid() > 0 && accepts(socket_path)) {
    finish({});
    return;
  }
  if (context_.clock.now() >= give_up_at_) {
    finish(fail(ErrorCode::transient, "munged doesn't answer"));
    return;
  }
  step_ = std::min(step_ * 3 / 2 + Duration(1), Duration(100));
  look_timer_ = context_.loop.after(step_, [this] { look(); });
}

Result<void> Munge::change_key(const std::string& key) {
  if (key == key_) return {};
  if (auto r = put_file(key_path, key, 0400, identity_.uid, identity_.gid); !r) return r;
  key_ = key;
  log_info("munge_key_changed");
  const Program program = service_.program();
  service_.stop(Duration(1'000), nullptr);
  service_.start(program);
  return {};
}

void Munge::finish(Result<void> result) {
  context_.loop.cancel(look_timer_);
  look_timer_ = Loop::TimerId::none;
  const auto done = std::move(done_);
  done_ = nullptr;
  if (done) done(std::move(result));
}

}  // namespace slipway::agent
