// How a keeper looks at its set: what it tells of it, and what it puts right on the way.
#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cloud/azure/scale_set_keeper.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration repair_pause{60'000};  // between attempts to make or correct a set

bool deleting(const VmView& vm) {
  return vm.provisioning_state == "Deleting";
}

Error failure_of(const VmView& vm, ErrorCode otherwise, std::string text) {
  if (vm.failure_code.empty()) return {otherwise, std::move(text)};
  return {error_code_of(vm.failure_code, vm.failure_message), azure_error_text(vm.failure_code, vm.failure_message)};
}

// The next look does what this one couldn't; nobody needs to know.
bool passing(const Error& error) {
  return error.code == ErrorCode::transient || error.code == ErrorCode::throttled ||
         error.code == ErrorCode::outcome_unknown;
}

}  // namespace

ScaleSetKeeper::Fate ScaleSetKeeper::fate_of(const VmView& vm) {
  if (deleting(vm) || vm.power == "deallocating") return Fate::stopping;
  if (vm.power == "deallocated") return vm.spot ? Fate::evicted : Fate::failed;
  if (vm.power == "stopped" || vm.power == "stopping") return Fate::stopped;
  if (vm.power == "running") return Fate::running;
  return vm.provisioning_state == "Failed" ? Fate::failed : Fate::pending;
}

std::optional<Error> ScaleSetKeeper::loss_of(const VmView& vm) {
  const Fate fate = fate_of(vm);
  if (fate == Fate::evicted) return Error{ErrorCode::no_capacity, "evicted: Azure took the spot machine back"};
  if (fate != Fate::failed) return std::nullopt;
  if (vm.power == "deallocated") return Error{ErrorCode::permanent, "the VM was deallocated, and not by Slipway"};
  return failure_of(vm, ErrorCode::transient, "Azure couldn't make the VM and didn't say why");
}

model::Instance ScaleSetKeeper::instance_of(const Vm& vm) const {
  model::Instance instance;
  instance.id = instance_id(spec_.pool, vm.view.name);
  instance.pool = spec_.pool;
  instance.launch_token = vm.token;
  instance.placement = vm.placement;
  instance.launched_at = vm.view.created_at == TimePoint{} ? vm.first_seen : vm.view.created_at;
  instance.market = spec_.market;
  if (spec_.mixed) instance.market = vm.view.spot ? model::Market::spot : model::Market::on_demand;
  instance.offer = {spec_.machine, pool_.zones.empty() ? std::string() : vm.view.zone};
  if (vm.lost) {
    instance.state = model::InstanceState::gone;
    instance.trouble = vm.lost;
    return instance;
  }
  switch (fate_of(vm.view)) {
    case Fate::pending:
      instance.state = model::InstanceState::pending;
      break;
    case Fate::running:
      instance.state = model::InstanceState::running;
      if (vm.view.provisioning_state == "Failed")
        instance.trouble = failure_of(vm.view, ErrorCode::permanent, "the VM runs, but Azure says it wasn't made well");
      break;
    case Fate::stopped:  // it costs as much as a running one
      instance.state = model::InstanceState::running;
      instance.trouble = Error{ErrorCode::permanent, "the VM was shut down from inside"};
      break;
    case Fate::stopping:
    case Fate::evicted:
    case Fate::failed:
      instance.state = model::InstanceState::stopping;
      break;
  }
  return instance;
}

// `token` empty: of whichever launch misses machines.
void ScaleSetKeeper::tell(Listing& listing, const std::string& token, uint32_t count, const Error& error) const {
  PoolTrouble trouble{.pool = spec_.pool,
                      .launch_token = token,
                      .market = spec_.market,
                      .count = count,
                      .at = context_.clock.now(),
                      .error = error};
  // A set is one machine type in all of the pool's zones: no zone is named. With one type that is all that was asked
  // for.
  if (pool_.machines.size() > 1) trouble.offer.machine = spec_.machine;
  listing.troubles.push_back(std::move(trouble));
}

void ScaleSetKeeper::tell_once(Listing& listing, const Error& error) {
  {
    const std::lock_guard lock(state_);
    if (std::exchange(told_, error.message) == error.message) return;
  }
  log_error("scale_set_unusable", {{"scale_set", spec_.name}, {"why", error.message}});
  tell(listing, "", 0, error);
}

void ScaleSetKeeper::look(const ScaleSetView* seen, Listing& listing, const Deadline& deadline) {
  Result<ScaleSetView> found = fail(ErrorCode::not_found, "");
  if (seen == nullptr && has_machines()) {  // one source alone never proves that machines are gone
    found = calls_.set(spec_.name, deadline);
    if (found) seen = &*found;
  }
  if (seen == nullptr) {
    if (found.error().code != ErrorCode::not_found) listing.complete = false;
    if (found.error().code == ErrorCode::not_found) none_left(listing, deadline);
    return add_on_the_way(nullptr, listing);
  }
  if (auto fine = usable(*seen); !fine) {
    if (has_machines()) listing.complete = false;  // they go on running, whoever changed the set's owner
    return tell_once(listing, fine.error());
  }
  if (!seen->counted) {
    log_warning("scale_set_not_counted", {{"scale_set", spec_.name}});
    listing.complete = false;
    return add_on_the_way(nullptr, listing);
  }
  follow(!seen->busy(), deadline);
  bool wanted = seen->capacity > 0;
  {
    const std::lock_guard lock(state_);
    wanted = wanted || !listed_ || !vms_.empty() || !launches_.empty() || !operations_.empty();
    if (seen->provisioning_state == "Succeeded" || seen->busy()) told_.clear();
  }
  if (wanted) {
    auto vms = calls_.vms(spec_.name, deadline);
    if (!vms) {
      log_warning("scale_set_unread", {{"scale_set", spec_.name}, {"why", vms.error().message}});
      listing.complete = false;
      return add_on_the_way(seen, listing);
    }
    take_in(std::move(*vms), listing);
  }
  clear_away(deadline);
  settle(*seen, listing, deadline);
  correct(*seen, listing, deadline);
  add_on_the_way(seen, listing);
}

bool ScaleSetKeeper::has_machines() const {
  const std::lock_guard lock(state_);
  return !vms_.empty() || !launches_.empty();
}

// There is no such set, for certain.
void ScaleSetKeeper::none_left(Listing& listing, const Deadline& deadline) {
  follow(true, deadline);
  take_in({}, listing);
  if (quiet()) {
    const std::lock_guard lock(state_);
    const Error error = failure_.value_or(Error{ErrorCode::transient, "scale set " + spec_.name + " is gone"});
    for (const Launch& one : launches_) tell(listing, one.token, one.missing, error);
    launches_.clear();
    failure_.reset();
  }
  make(listing, deadline);
}

// What became of the operations that are due, or of all.
void ScaleSetKeeper::follow(bool all, const Deadline& deadline) {
  std::vector<Operation> due;
  {
    const std::lock_guard lock(state_);
    for (const Operation& one : operations_) {
      if (all || one.due <= context_.clock.now()) due.push_back(one);
    }
  }
  for (const Operation& one : due) {
    const auto followed = calls_.follow(one.pending.url, deadline);
    const TimePoint now = context_.clock.now();
    const std::lock_guard lock(state_);
    const auto place = std::find_if(operations_.begin(), operations_.end(),
                                    [&](const Operation& other) { return other.pending.url == one.pending.url; });
    if (place == operations_.end()) continue;
    if (!followed || followed->view.running) {
      place->due = now + (followed ? followed->wait : one.pending.wait);
      continue;
    }
    operations_.erase(place);
    changed_ = true;
    countable_at_ = now + scale_set_consistency;
    for (const std::string& name : one.vms) {  // what is still there may be asked to go again
      const auto found = vms_.find(name);
      if (found != vms_.end()) found->second.deleting_until = {};
    }
    if (!followed->view.failure) continue;
    log_warning("scale_set_operation_failed", {{"scale_set", spec_.name}, {"why", followed->view.failure->message}});
    if (one.what == What::grow) failure_ = followed->view.failure;
  }
}

void ScaleSetKeeper::take_in(std::vector<VmView> vms, Listing& listing) {
  const TimePoint now = context_.clock.now();
  std::map<std::string, std::pair<uint32_t, Error>> failed;  // by their error's text
  const std::lock_guard lock(state_);
  std::sort(vms.begin(), vms.end(), [](const VmView& a, const VmView& b) {
    return std::tie(a.created_at, a.name) < std::tie(b.created_at, b.name);
  });
  std::map<std::string, Vm> before = std::exchange(vms_, {});
  for (VmView& view : vms) {
    const auto known = before.find(view.name);
    Vm vm = known == before.end() ? Vm{} : std::move(known->second);
    if (known == before.end()) {
      vm.first_seen = now;
      const auto launch =
          std::find_if(launches_.begin(), launches_.end(), [](const Launch& one) { return one.missing > 0; });
      // The first look of a process sees machines of launches that it knows nothing of.
      if (listed_ && launch != launches_.end()) {
        --launch->missing;
        launch->vms.insert(view.name);
        vm.token = launch->token;
        vm.placement = launch->placement;
      }
    }
    // A view that doesn't tell the power says nothing new of it: what ran isn't taken for one that was never made.
    if (view.power.empty()) view.power = vm.view.power;
    vm.view = std::move(view);
    if (!vm.lost) {
      vm.lost = loss_of(vm.view);
      if (vm.lost && fate_of(vm.view) == Fate::failed && vm.view.power != "deallocated") {
        auto& [count, error] = failed[vm.lost->message];
        ++count;
        error = *vm.lost;
      }
    }
    listing.instances.push_back(instance_of(vm));
    vms_.emplace(vm.view.name, std::move(vm));
  }
  for (Launch& launch : launches_) {
    std::erase_if(launch.vms, [&](const std::string& name) { return !vms_.contains(name); });
  }
  std::erase_if(launches_, [&](const Launch& one) { return one.missing == 0 && one.vms.empty(); });
  // What was there before this process, or vanished by itself, may be a list that lags: another one must agree.
  const bool vanished = std::any_of(before.begin(), before.end(), [&](const auto& one) {
    return !vms_.contains(one.first) && !deleting(one.second.view);
  });
  if (!listed_ || vanished) countable_at_ = now + scale_set_consistency;
  listed_ = true;
  changed_ = false;
  for (const auto& [text, what] : failed) tell(listing, "", what.first, what.second);
}

void ScaleSetKeeper::add_on_the_way(const ScaleSetView* seen, Listing& listing) const {
  const std::lock_guard lock(state_);
  uint32_t ours = 0;
  for (const Launch& one : launches_) ours += one.missing;
  uint32_t azures = 0;
  if (seen != nullptr && seen->busy()) {
    const auto there = static_cast<uint32_t>(
        std::count_if(vms_.begin(), vms_.end(), [](const auto& one) { return !deleting(one.second.view); }));
    azures = seen->capacity - std::min(seen->capacity, there);
  }
  const uint32_t count = std::max(ours, azures);
  if (count > 0) listing.on_the_way.push_back({spec_.pool, spec_.market, count});
}

// What won't come back is deleted, so that it isn't billed, keeps no quota, and Azure doesn't start it again.
void ScaleSetKeeper::clear_away(const Deadline& deadline) {
  std::vector<std::string> names;
  {
    const std::lock_guard lock(state_);
    for (const auto& [name, vm] : vms_) {
      if (vm.lost && !deleting(vm.view) && vm.deleting_until <= context_.clock.now()) names.push_back(name);
    }
  }
  if (names.empty()) return;
  const std::unique_lock changing(change_, std::try_to_lock);
  if (changing.owns_lock()) (void)remove_locked(std::move(names), deadline);
}

// Nothing goes on any more: what is still missing doesn't come, and the capacity is put down to what there is.
void ScaleSetKeeper::settle(const ScaleSetView& seen, Listing& listing, const Deadline& deadline) {
  if (seen.busy() || !quiet()) return;
  std::optional<Error> failure;
  uint32_t missing = 0;
  {
    const std::lock_guard lock(state_);
    if (!countable()) return;
    if (std::any_of(vms_.begin(), vms_.end(), [](const auto& one) { return deleting(one.second.view); })) return;
    for (const Launch& one : launches_) missing += one.missing;
    failure = failure_;
    if (seen.capacity <= vms_.size() && missing == 0 && !failure) return;
  }
  const std::unique_lock changing(change_, std::try_to_lock);
  if (!changing.owns_lock()) return;
  // Counted anew, between two looks at the set: nobody can have changed it in between.
  const auto view = calls_.set(spec_.name, deadline);
  if (!view || !view->counted || view->busy() || !quiet()) return;
  const auto vms = calls_.vms(spec_.name, deadline);
  if (!vms || std::any_of(vms->begin(), vms->end(), deleting)) return;
  auto there = static_cast<uint32_t>(vms->size());
  {
    const std::lock_guard lock(state_);
    there = std::max(there, staying());
  }
  uint32_t short_of = 0;
  if (view->capacity > there) {
    const auto changed = calls_.update(spec_.name, capacity_body(spec_, there), view->etag, deadline);
    if (!changed) {
      log_warning("scale_set_not_settled", {{"scale_set", spec_.name}, {"why", changed.error().message}});
      const std::lock_guard lock(state_);
      changed_at_ = context_.clock.now();  // not at every look
      return;
    }
    log_info("scale_set_settled", {{"scale_set", spec_.name}, {"from", view->capacity}, {"to", there}});
    remember(What::settings, *changed);
    short_of = view->capacity - there;
  }
  const std::lock_guard lock(state_);
  const bool failed = failure_.has_value() || view->provisioning_state == "Failed";
  const Error error = failure_.value_or(
      Error{failed || short_of > 0 ? ErrorCode::no_capacity : ErrorCode::transient,
            "scale set " + spec_.name + " brought fewer machines than asked for, and Azure didn't say why"});
  // Machines that were seen by nobody's listing yet are credited by the next one.
  uint32_t unseen = there - std::min(there, static_cast<uint32_t>(vms_.size()));
  uint32_t told = 0;
  for (Launch& one : launches_) {
    const uint32_t seen_soon = std::min(unseen, one.missing);
    unseen -= seen_soon;
    const uint32_t lost = one.missing - seen_soon;
    if (lost == 0) continue;
    one.missing = seen_soon;
    one.count -= std::min(one.count, lost);
    told += lost;
    tell(listing, one.token, lost, error);
  }
  // Of launches that nobody remembers; unless it is what a machine left behind that was deleted by somebody else.
  if (failed && short_of > told) tell(listing, "", short_of - told, error);
  failure_.reset();
}

// The file has changed since the set was made.
void ScaleSetKeeper::correct(const ScaleSetView& seen, Listing& listing, const Deadline& deadline) {
  const auto tag = seen.tags.find(std::string(settings_tag));
  const std::string settings = tag == seen.tags.end() ? std::string() : tag->second;
  if (settings == spec_.settings || seen.busy() || !quiet()) return;
  const TimePoint now = context_.clock.now();
  const bool fixed = same_fixed_settings(settings, spec_.settings);
  bool empty = seen.capacity == 0;
  {
    const std::lock_guard lock(state_);
    // A PATCH of a set that lacks machines may bring them.
    if (seen.capacity != vms_.size() || repair_at_ > now) return;
    empty = empty && vms_.empty() && launches_.empty();
    repair_at_ = now + repair_pause;
  }
  const std::unique_lock changing(change_, std::try_to_lock);
  if (!changing.owns_lock()) return;
  if (!fixed && !empty) {
    log_info("scale_set_settings_wait",
             {{"scale_set", spec_.name}, {"why", "what changed can't be changed while it has machines"}});
    return;
  }
  const auto view = calls_.set(spec_.name, deadline);
  if (!view || !view->counted || view->busy() || view->capacity != seen.capacity || !usable(*view)) return;
  const auto changed = fixed ? calls_.update(spec_.name, spec_.update_body, view->etag, deadline)
                             : calls_.remove_set(spec_.name, deadline);
  if (!changed) return passing(changed.error()) ? void() : tell_once(listing, changed.error());
  log_info("scale_set_corrected", {{"scale_set", spec_.name}, {"how", fixed ? "updated" : "made anew"}});
  remember(What::settings, *changed);
  const std::lock_guard lock(state_);
  if (!fixed) repair_at_ = {};
}

void ScaleSetKeeper::make(Listing& listing, const Deadline& deadline) {
  const TimePoint now = context_.clock.now();
  {
    const std::lock_guard lock(state_);
    if (!operations_.empty() || repair_at_ > now) return;
    repair_at_ = now + repair_pause;
  }
  const std::unique_lock changing(change_, std::try_to_lock);
  if (!changing.owns_lock()) return;
  const auto changed = make_with(0, deadline);
  // One that appeared meanwhile shows in the next listing.
  if (!changed) return passing(changed.error()) ? void() : tell_once(listing, changed.error());
  remember(What::settings, *changed);
}

}  // namespace slipway::cloud::azure
