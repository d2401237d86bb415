// A login machine: a member with Slurm's configuration and commands, and no daemon of Slurm's.
#include "agent/context.h"
#include "agent/member.h"
#include "base/log.h"

namespace slipway::agent {

namespace {

constexpr Duration munged_patience{1'000};

class Login final : public Role {
 public:
  explicit Login(Context context) : context_(context), member_(context) {
    member_.on_welcome([](const join::Welcome& welcome) -> Result<void> {
      if (auto sbatch = need_program("sbatch", "slurm-client"); !sbatch) return fail(sbatch.error());
      if (auto folder = give_folder("/etc/slurm", 0755, 0, 0); !folder) return folder;
      return put_file("/etc/slurm/slurm.conf", welcome.slurm_conf, 0644);
    });
    member_.on_ready([this] { member_.report({.phase = join::Phase::serving}); });
    member_.on_message([this](const join::FromDaemon& message) {
      if (std::holds_alternative<join::Bind>(message)) {
        log_warning("bind_refused", {{"why", "a login machine has no node name"}});
        member_.report(member_.state());
      }
    });
  }

  void start() override {
    const std::string name = context_.boot.hostname.empty() ? "login" : context_.boot.hostname;
    if (auto named = become_host(name, context_.boot.address); !named) {
      log_error("hostname", {{"why", named.error().message}});
    }
    member_.start();
  }

  void shut_down(std::function<void()> done) override { member_.shut_down(munged_patience, std::move(done)); }

 private:
  Context context_;
  Member member_;
};

}  // namespace

std::unique_ptr<Role> make_login(Context context) {
  return std::make_unique<Login>(context);
}

}  // namespace slipway::agent
