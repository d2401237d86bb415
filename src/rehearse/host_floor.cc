#include "rehearse/host_floor.h"

#include <algorithm>
#include <deque>
#include <random>
#include <unordered_map>

#include "base/log.h"
#include "rehearse/host_vms.h"
#include "rehearse/vm_files.h"

namespace slipway::rehearse {
namespace {

constexpr Duration round_when_busy{50};
constexpr Duration round_when_idle{1'000};
constexpr Duration round_after_trouble{1'000};
constexpr int rounds_between_ends = 40;  // an end that isn't heard is asked for again

// "batch/account/demo-cpu" is a pool "demo-cpu" to the machine host.
std::string last_word(const std::string& group) {
  return group.substr(group.rfind('/') + 1);
}

class HostFloor final : public Floor {
 public:
  HostFloor(Loop& loop, std::filesystem::path host_socket, std::filesystem::path state, Insides* insides)
      : loop_(loop), socket_(std::move(host_socket)), state_(std::move(state)), insides_(insides), workers_(loop, 1) {
    // A token is of one floor: what an earlier one launched and lost sight of is ended, not found again.
    std::random_device random;
    token_start_ = "vm-" + std::to_string((uint64_t{random()} << 32) | random()) + "-";
    wake(Duration(0));
  }
  ~HostFloor() override {
    *living_ = false;
    loop_.cancel(timer_);
  }

  void boot(std::vector<Boot> machines) override {
    for (Boot& each : machines) waiting_.push_back(std::move(each));
    wake(Duration(0));
  }

  void end(const std::vector<MachineKey>& machines, bool power_cut) override {
    const std::set<MachineKey> ending(machines.begin(), machines.end());
    // Not launched yet: nothing was there. Being launched: it is ended once it has an id.
    std::erase_if(waiting_, [&](const Boot& boot) {
      if (!ending.contains(boot.key)) return false;
      say_end(boot.key, boot.boots, "terminated");
      return true;
    });
    for (Batch& batch : batches_) {
      for (size_t i = 0; i < batch.boots.size(); ++i) {
        if (ending.contains(batch.boots[i].key)) batch.called_off[i] = true;
      }
    }
    // Those that an earlier floor left aren't known yet.
    if (!looked_) {
      for (const MachineKey key : machines) end_when_found_[key] |= power_cut;
    }
    for (auto& [id, vm] : vms_) {
      if (!ending.contains(vm.boot.key)) continue;
      vm.ending = true;
      vm.power_cut |= power_cut;
      vm.rounds_since_end = rounds_between_ends;
    }
    wake(Duration(0));
  }

  void adopt(const std::vector<Kept>& machines) override {
    for (const Kept& each : machines) kept_.insert({each.key, each.boots});
  }

  void watch(std::function<void(const Facts&)> changed) override { changed_ = std::move(changed); }

 private:
  using Vm = HostVm;
  using Batch = HostBatch;

  void wake(Duration delay) {
    if (running_) {
      again_ = true;
      return;
    }
    loop_.cancel(timer_);
    timer_ = loop_.after(delay, [this] { run(); });
  }

  void run() {
    timer_ = Loop::TimerId::none;
    running_ = true;
    again_ = false;
    // What earlier floors left is looked at first: a boot may be there already.
    if (looked_) make_batches();
    HostRound round;
    for (const Batch& batch : batches_) round.launches.push_back(batch.launch);
    for (auto& [id, vm] : vms_) {
      round.known.insert(id);
      if (vm.ending && ++vm.rounds_since_end > rounds_between_ends) {
        vm.rounds_since_end = 0;
        (vm.power_cut ? round.kill : round.terminate).push_back(id);
      }
      const bool runs_something = vm.has_boot && !vm.boot.never && !vm.boot.silent;
      if (runs_something && vm.doors_open && !vm.given && !vm.ending) round.recipes[id] = recipe_of(vm.boot);
      if (!vm.task.status) round.statuses.push_back(id);
    }
    workers_.run([this, round = std::move(round)] { return run_round(socket_, state_, round); },
                 [this](HostAnswer answer) { apply(std::move(answer)); });
  }

  static std::string recipe_of(const Boot& boot) {
    Recipe recipe = boot.recipe;
    if (boot.fails) recipe.command = "exit 1";
    return recipe_text(recipe);
  }

  // Those that are alike are launched together; one that should get its address back is alone.
  void make_batches() {
    std::map<std::pair<std::string, std::string>, std::vector<Boot>> alike;
    std::deque<Boot> later;
    for (Boot& boot : waiting_) {
      const auto current = by_key_.find(boot.key);
      if (current != by_key_.end()) {
        Vm& vm = vms_.at(current->second);
        if (vm.boot.boots == boot.boots && !vm.ending) {
          adopt_boot(vm, std::move(boot));
        } else {
          vm.ending = true;  // an earlier boot
          later.push_back(std::move(boot));
        }
      } else if (!boot.address.empty()) {
        add_batch(boot.group, boot.recipe.image, {boot});
      } else {
        alike[{boot.group, boot.recipe.image}].push_back(std::move(boot));
      }
    }
    waiting_ = std::move(later);
    for (auto& [kind, boots] : alike) add_batch(kind.first, kind.second, std::move(boots));
  }

  void add_batch(const std::string& group, const std::string& image, std::vector<Boot> boots) {
    Batch batch;
    batch.launch.token = token_start_ + std::to_string(++last_token_);
    batch.launch.pool = last_word(group);
    batch.launch.image = image;
    if (boots.size() == 1) batch.launch.address = boots[0].address;
    for (const Boot& boot : boots) batch.launch.boots.emplace_back(boot.key, boot.boots);
    batch.called_off.resize(boots.size());
    batch.boots = std::move(boots);
    batches_.push_back(std::move(batch));
  }

  static void adopt_boot(Vm& vm, Boot boot) {
    vm.boot = std::move(boot);
    vm.has_boot = true;
    vm.given = vm.task.begun;
    vm.told = false;
  }

  void apply(HostAnswer answer) {
    running_ = false;
    if (answer.trouble.empty() != trouble_.empty() && !answer.trouble.empty())
      log_warning("machine_host_trouble", {{"why", answer.trouble}});
    trouble_ = answer.trouble;
    apply_launches(answer);
    for (const std::string& id : answer.given) {
      auto it = vms_.find(id);
      if (it != vms_.end()) it->second.given = true;
    }
    if (answer.machines) apply_list(answer);
    open_doors();
    tell();
    const bool busy = std::any_of(vms_.begin(), vms_.end(), [](const auto& entry) { return is_busy(entry.second); });
    const bool soon = busy || again_ || !batches_.empty() || (!waiting_.empty() && looked_);
    wake(!trouble_.empty() ? round_after_trouble : soon ? round_when_busy : round_when_idle);
  }

  // Something is about to change that the host must be asked about.
  static bool is_busy(const Vm& vm) {
    const bool task_goes_on = vm.has_boot && !vm.boot.never && !vm.boot.silent && !vm.task.status;
    return vm.ending || vm.pid == 0 || task_goes_on;
  }

  void apply_launches(HostAnswer& answer) {
    std::vector<Batch> unanswered;
    // Batches may have been added since: the answers are of the first ones.
    for (size_t i = 0; i < batches_.size(); ++i) {
      Batch& batch = batches_[i];
      if (i >= answer.launches.size()) {
        unanswered.push_back(std::move(batch));
        continue;
      }
      const auto& launched = answer.launches[i];
      std::string why = "the machine host made fewer";
      size_t made = 0;
      if (launched) {
        made = std::min(launched->ids.size(), batch.boots.size());
        if (!launched->refusals.empty()) why = launched->refusals.front().error.message;
      } else if (launched.error().code == ErrorCode::bad_config || launched.error().code == ErrorCode::denied ||
                 launched.error().code == ErrorCode::permanent) {
        why = launched.error().message;
      } else {
        unanswered.push_back(std::move(batch));  // the host is being restarted, perhaps
        continue;
      }
      for (size_t n = 0; n < batch.boots.size(); ++n) {
        Boot& boot = batch.boots[n];
        if (n >= made) {
          if (n == made) log_warning("simulated_machines_refused", {{"group", boot.group}, {"why", why}});
          say_end(boot.key, boot.boots, "failed to start: " + why);
          continue;
        }
        const std::string& id = launched->ids[n];
        Vm& vm = vms_[id];
        by_key_[boot.key] = id;
        vm.ending = batch.called_off[n];
        vm.rounds_since_end = rounds_between_ends;
        vm.has_boot = true;
        vm.boot = std::move(boot);
      }
    }
    batches_ = std::move(unanswered);
  }

  void apply_list(HostAnswer& answer) {
    std::set<std::string> alive;
    std::map<std::string, std::string> ends;
    std::set<std::string> controllers;
    for (const machines::Machine& machine : *answer.machines) {
      const bool gone = machine.state == machines::MachineState::gone;
      const bool runs = machine.state != machines::MachineState::starting && !gone;
      if (machine.role == "controller" && runs && machine.pid > 0) {
        controllers.insert(machine.id);
        if (insides_ && controllers_.insert(machine.id).second) insides_->open(machine.id, 0, machine.pid, [] {});
      }
      if (machine.role != vm_role) continue;
      if (gone) {
        ends[machine.id] = machine.end;
        continue;
      }
      alive.insert(machine.id);
      const bool unanswered = std::any_of(batches_.begin(), batches_.end(), [&](const Batch& batch) {
        return batch.launch.token == machine.launch_token;
      });
      if (unanswered) continue;  // which of the site's it is, the next round tells
      Vm& vm = find_or_adopt(machine.id, answer);
      const int pid = runs ? machine.pid : 0;
      if (vm.pid != pid || vm.address != machine.address) vm.told = false;
      vm.pid = pid;
      vm.address = machine.address;
      if (const auto task = answer.start_tasks.find(machine.id); task != answer.start_tasks.end()) {
        if (task->second.begun != vm.task.begun || task->second.status != vm.task.status) vm.told = false;
        vm.task = task->second;
        vm.given |= vm.task.begun;
      }
    }
    for (auto it = controllers_.begin(); it != controllers_.end();) {
      if (controllers.contains(*it)) {
        ++it;
        continue;
      }
      insides_->close(*it);
      it = controllers_.erase(it);
    }
    for (auto it = vms_.begin(); it != vms_.end();) {
      if (alive.contains(it->first)) {
        ++it;
        continue;
      }
      const std::string& end = ends[it->first];
      forget(it->first, it->second, end.empty() ? "ended" : end);
      it = vms_.erase(it);
    }
    if (looked_) return;
    looked_ = true;
    // Of what the site kept: boots that are there no more, and that it doesn't boot again by itself.
    for (const Boot& boot : waiting_) kept_.erase({boot.key, boot.boots});
    for (const auto& [id, vm] : vms_) kept_.erase({vm.boot.key, vm.boot.boots});
    for (const auto& [key, boots] : kept_) say_end(key, boots, "ended");
    kept_.clear();
    end_when_found_.clear();
  }

  // One that nobody knows is to be ended.
  Vm& find_or_adopt(const std::string& id, const HostAnswer& answer) {
    auto it = vms_.find(id);
    if (it != vms_.end()) return it->second;
    const auto note = answer.notes.find(id);
    Vm& vm = vms_[id];
    vm.rounds_since_end = rounds_between_ends;
    if (note == answer.notes.end() || looked_ || !kept_.contains(note->second) ||
        by_key_.contains(note->second.first)) {
      log_warning("stray_simulated_machine", {{"machine", id}});
      vm.ending = true;
      vm.power_cut = true;
      return vm;
    }
    vm.boot.key = note->second.first;
    vm.boot.boots = note->second.second;
    by_key_[vm.boot.key] = id;
    if (const auto wanted = end_when_found_.find(vm.boot.key); wanted != end_when_found_.end()) {
      vm.ending = true;
      vm.power_cut = wanted->second;
    }
    return vm;
  }

  void forget(const std::string& id, const Vm& vm, const std::string& end) {
    if (insides_) insides_->close(id);
    const auto current = by_key_.find(vm.boot.key);
    if (current == by_key_.end() || current->second != id) return;
    by_key_.erase(current);
    say_end(vm.boot.key, vm.boot.boots, end);
  }

  void open_doors() {
    for (auto& [id, vm] : vms_) {
      if (vm.doors_asked || vm.pid == 0 || vm.ending) continue;
      vm.doors_asked = true;
      if (!insides_) {
        vm.doors_open = true;
        again_ = true;
        continue;
      }
      insides_->open(id, vm.boot.key, vm.pid, [this, id = id, alive = living_] {
        if (!*alive) return;
        auto it = vms_.find(id);
        if (it == vms_.end()) return;
        it->second.doors_open = true;
        wake(Duration(0));
      });
    }
  }

  void tell() {
    for (auto& [id, vm] : vms_) {
      if (vm.told || vm.boot.key == 0 || (vm.pid == 0 && vm.address.empty())) continue;
      vm.told = true;
      Facts facts;
      facts.key = vm.boot.key;
      facts.boots = vm.boot.boots;
      facts.exists = vm.pid != 0;
      facts.address = vm.address;
      facts.pid = vm.pid;
      facts.start_task_begun = vm.task.begun;
      facts.start_task_status = vm.task.status;
      ends_.push_back(std::move(facts));
    }
    for (const Facts& facts : std::exchange(ends_, {})) {
      if (changed_) changed_(facts);
    }
  }

  // Told with the next round, or right after this turn.
  void say_end(MachineKey key, uint32_t boots, const std::string& end) {
    Facts facts;
    facts.key = key;
    facts.boots = boots;
    facts.end = end;
    ends_.push_back(std::move(facts));
    loop_.after(Duration(0), [this, alive = living_] {
      if (!*alive) return;
      for (const Facts& each : std::exchange(ends_, {})) {
        if (changed_) changed_(each);
      }
    });
  }

  Loop& loop_;
  const std::filesystem::path socket_;
  const std::filesystem::path state_;
  Insides* const insides_;
  std::string token_start_;
  uint64_t last_token_ = 0;
  std::function<void(const Facts&)> changed_;
  std::deque<Boot> waiting_;
  std::vector<Batch> batches_;
  std::map<std::string, Vm> vms_;  // by the host's id
  std::unordered_map<MachineKey, std::string> by_key_;
  std::set<BootId> kept_;
  std::map<MachineKey, bool> end_when_found_;  // before the first look; with a power cut?
  std::set<std::string> controllers_;          // whose doors were asked for
  std::vector<Facts> ends_;                    // to be told
  bool looked_ = false;                        // at what an earlier floor left
  bool running_ = false;
  bool again_ = false;
  std::string trouble_;
  Loop::TimerId timer_ = Loop::TimerId::none;
  std::shared_ptr<bool> living_ = std::make_shared<bool>(true);
  Workers workers_;  // last: its end waits for the work that uses the rest
};

}  // namespace

std::unique_ptr<Floor> make_host_floor(Loop& loop, std::filesystem::path host_socket,
                                       std::filesystem::path state_folder, Insides* insides) {
  return std::make_unique<HostFloor>(loop, std::move(host_socket), std::move(state_folder), insides);
}

}  // namespace slipway::rehearse
