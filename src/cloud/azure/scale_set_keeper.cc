#include "cloud/azure/scale_set_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace slipway::cloud::azure {
namespace {

constexpr Duration settling{15'000};  // a change without an operation shows after so long at the latest
constexpr Duration delete_patience{600'000};
constexpr Duration blind_delete_patience{30'000};
constexpr int attempts_max = 4;  // of a launch, when others change the set meanwhile
constexpr size_t delete_max = 1'000;

std::string tag_of(const ScaleSetView& view, std::string_view name) {
  const auto found = view.tags.find(std::string(name));
  return found == view.tags.end() ? std::string() : found->second;
}

bool deleting(const VmView& vm) {
  return vm.provisioning_state == "Deleting";
}

}  // namespace

ScaleSetKeeper::ScaleSetKeeper(FleetContext context, const model::Pool& pool, ScaleSetSpec spec,
                               const ScaleSetCalls& calls)
    : context_(std::move(context)), pool_(pool), spec_(std::move(spec)), calls_(calls) {}

Result<void> ScaleSetKeeper::usable(const ScaleSetView& view) const {
  const std::string cluster = tag_of(view, cluster_tag);
  const std::string pool = tag_of(view, pool_tag);
  if (cluster != context_.cluster->name || pool != spec_.pool.str()) {
    const std::string owner = cluster.empty() ? "somebody else" : "cluster " + cluster + ", pool " + pool;
    return fail(ErrorCode::bad_config, "scale set " + spec_.name + " belongs to " + owner + " (its tag " +
                                           std::string(cluster_tag) +
                                           "); rename the cluster or the pool, or delete it");
  }
  if (!view.flexible) {
    return fail(ErrorCode::bad_config,
                "scale set " + spec_.name + " isn't of flexible orchestration; delete it, and Slipway makes it anew");
  }
  return {};
}

bool ScaleSetKeeper::has(const std::string& vm) const {
  const std::lock_guard lock(state_);
  return vms_.contains(vm);
}

MachineFacts ScaleSetKeeper::facts(const std::string& vm) const {
  const std::lock_guard lock(state_);
  const auto found = vms_.find(vm);
  if (found == vms_.end()) return {};
  return {found->second.view.vm_id, found->second.view.id};
}

bool ScaleSetKeeper::quiet() const {
  const std::lock_guard lock(state_);
  return operations_.empty() && context_.clock.now() >= changed_at_ + settling;
}

uint32_t ScaleSetKeeper::staying() const {
  const TimePoint now = context_.clock.now();
  return static_cast<uint32_t>(std::count_if(vms_.begin(), vms_.end(), [&](const auto& one) {
    return !deleting(one.second.view) && one.second.deleting_until <= now;
  }));
}

bool ScaleSetKeeper::countable() const {
  return listed_ && context_.clock.now() >= countable_at_;
}

void ScaleSetKeeper::remember(What what, const ScaleSetCalls::Changed& changed, std::vector<std::string> vms) {
  const TimePoint now = context_.clock.now();
  const std::lock_guard lock(state_);
  changed_ = true;
  if (changed.pending.url.empty()) {
    changed_at_ = now;
  } else {
    operations_.push_back({what, changed.pending, now + changed.pending.wait, vms});
  }
  for (const std::string& name : vms) {
    const auto found = vms_.find(name);
    if (found != vms_.end())
      found->second.deleting_until = now + (changed.pending.url.empty() ? blind_delete_patience : delete_patience);
  }
}

// The number that a launch adds to.
Result<uint32_t> ScaleSetKeeper::base_of(const ScaleSetView& view, const Deadline& deadline) {
  uint32_t base = 0;
  {
    const std::lock_guard lock(state_);
    // Too many are terminated by their names; with too few, Azure would choose who goes, among those that work too.
    base = std::max(view.capacity, staying());
    if (view.busy() || !countable()) return base;
    const bool going = !operations_.empty() ||
                       std::any_of(vms_.begin(), vms_.end(), [](const auto& one) { return deleting(one.second.view); });
    // Of an empty set that was changed, the capacity alone doesn't lie: there is nothing that it could leave out.
    const bool agree = listed_ && view.capacity == vms_.size() && (!changed_ || vms_.empty());
    if (going || agree) return base;
  }
  // The capacity may be what a failed allocation left behind: what exists counts.
  const auto vms = calls_.vms(spec_.name, deadline);
  if (!vms) return fail(vms.error());
  if (std::any_of(vms->begin(), vms->end(), deleting)) return base;
  const std::lock_guard lock(state_);
  return std::max(static_cast<uint32_t>(vms->size()), staying());
}

Result<ScaleSetCalls::Changed> ScaleSetKeeper::make_with(uint32_t capacity, const Deadline& deadline) {
  if (!spec_.proximity.empty()) {
    auto made = calls_.make_proximity(spec_.proximity, proximity_body(*context_.cluster, pool_), deadline);
    if (!made) return fail(made.error());
  }
  auto changed = calls_.make(spec_.name, make_body(spec_, pool_, capacity), deadline);
  if (changed) log_info("scale_set_made", {{"scale_set", spec_.name}, {"capacity", capacity}});
  return changed;
}

Result<LaunchReceipt> ScaleSetKeeper::launch(const LaunchRequest& request, const Deadline& deadline) {
  const std::lock_guard changing(change_);
  std::optional<Launch> earlier;
  {
    const std::lock_guard lock(state_);
    for (const Launch& one : launches_) {
      if (!request.token.empty() && one.token == request.token) earlier = one;
    }
  }
  if (earlier && !earlier->unknown) return LaunchReceipt{.accepted = earlier->count};

  std::optional<Error> lost;  // why the previous attempt didn't succeed
  std::string lost_etag;
  for (int attempt = 0;; ++attempt) {
    auto view = calls_.set(spec_.name, deadline);
    const bool missing = !view && view.error().code == ErrorCode::not_found;
    if (!view && !missing) return fail(view.error());
    if (lost && (attempt == attempts_max || missing || view->etag == lost_etag)) return fail(*lost);
    uint32_t base = 0;
    if (!missing) {
      if (auto fine = usable(*view); !fine) return fail(fine.error());
      if (!view->counted)
        return fail(ErrorCode::transient, "the capacity of scale set " + spec_.name + " couldn't be read");
      if (earlier && view->etag != earlier->etag && view->capacity >= earlier->target) {
        // The answer was lost, the launch wasn't.
        const std::lock_guard lock(state_);
        for (Launch& one : launches_) {
          if (one.token == request.token) one.unknown = false;
        }
        return LaunchReceipt{.accepted = earlier->count};
      }
      const auto found = base_of(*view, deadline);
      if (!found) return fail(found.error());
      base = *found;
    }
    const uint32_t room = scale_set_vms_max - std::min(base, scale_set_vms_max);
    LaunchReceipt receipt{.accepted = std::min(request.count, room)};
    if (receipt.accepted < request.count) {
      const Error full{ErrorCode::quota, "scale set " + spec_.name + " holds " + std::to_string(scale_set_vms_max) +
                                             " machines at most; use several pools"};
      if (receipt.accepted < std::max(request.minimum, 1u)) return fail(full);
      receipt.refusals.push_back({{}, full});
    }
    const uint32_t target = base + receipt.accepted;
    Launch launch{.token = request.token,
                  .placement = request.placement,
                  .missing = receipt.accepted,
                  .count = receipt.accepted,
                  .target = target,
                  .etag = missing ? "" : view->etag};
    const auto changed = missing ? make_with(target, deadline)
                                 : calls_.update(spec_.name, capacity_body(spec_, target), view->etag, deadline);
    const bool unknown = !changed && changed.error().code == ErrorCode::outcome_unknown;
    if (changed || unknown) {
      launch.unknown = unknown;
      if (changed) remember(What::grow, *changed);
      const std::lock_guard lock(state_);
      if (unknown) changed_at_ = context_.clock.now();
      std::erase_if(launches_, [&](const Launch& one) { return one.token == request.token && one.unknown; });
      launches_.push_back(std::move(launch));
      if (missing && changed) listed_ = true;  // the set is new: no machine in it is of an earlier process
      changed_ = true;
      failure_.reset();
    }
    if (changed) {
      log_info("scale_set_raised",
               {{"scale_set", spec_.name}, {"by", receipt.accepted}, {"to", target}, {"token", request.token}});
      return receipt;
    }
    // Somebody else changed it between our look and our PATCH: look again. Anything else is the engine's to judge.
    if (changed.error().code != ErrorCode::transient || missing || view->etag.empty()) return fail(changed.error());
    lost = changed.error();
    lost_etag = view->etag;
  }
}

Result<std::vector<std::string>> ScaleSetKeeper::remove(const std::vector<std::string>& names,
                                                        const Deadline& deadline) {
  const std::lock_guard changing(change_);
  return remove_locked(names, deadline);
}

// With change_ held.
Result<std::vector<std::string>> ScaleSetKeeper::remove_locked(std::vector<std::string> names,
                                                               const Deadline& deadline) {
  const TimePoint now = context_.clock.now();
  bool known = false;
  {
    const std::lock_guard lock(state_);
    known = listed_;
    // One unknown name fails a whole request.
    if (known) {
      std::erase_if(names, [&](const std::string& name) {
        const auto found = vms_.find(name);
        return found == vms_.end() || deleting(found->second.view) || found->second.deleting_until > now;
      });
    }
  }
  if (!known && !names.empty()) {  // a process that has just started
    const auto view = calls_.set(spec_.name, deadline);
    if (!view && view.error().code != ErrorCode::not_found) return fail(view.error());
    if (!view || !usable(*view)) return std::vector<std::string>{};  // none of ours
  }
  std::vector<std::string> refused;
  std::optional<Error> first;
  bool done = names.empty();
  for (size_t at = 0; at < names.size(); at += delete_max) {
    std::vector<std::string> some(names.begin() + static_cast<ptrdiff_t>(at),
                                  names.begin() + static_cast<ptrdiff_t>(std::min(at + delete_max, names.size())));
    auto changed = known ? calls_.remove_vms(spec_.name, some, deadline)
                         : Result<ScaleSetCalls::Changed>(fail(ErrorCode::not_found, "not listed yet"));
    const bool doubted =
        !changed && (changed.error().code == ErrorCode::bad_config || changed.error().code == ErrorCode::not_found);
    if (doubted) {  // some may have gone since they were listed
      const auto vms = calls_.vms(spec_.name, deadline);
      if (vms) {
        std::set<std::string> there;
        for (const VmView& vm : *vms) {
          if (!deleting(vm)) there.insert(vm.name);
        }
        std::erase_if(some, [&](const std::string& name) { return !there.contains(name); });
        if (some.empty()) {
          done = true;
          continue;
        }
        changed = calls_.remove_vms(spec_.name, some, deadline);
      } else {
        changed = fail(vms.error());
      }
    }
    if (changed) {
      done = true;
      log_info("scale_set_vms_removed", {{"scale_set", spec_.name}, {"count", some.size()}});
      remember(What::remove, *changed, std::move(some));
      continue;
    }
    if (!first) first = changed.error();
    refused.insert(refused.end(), some.begin(), some.end());
  }
  if (first) log_warning("scale_set_removal_refused", {{"scale_set", spec_.name}, {"why", first->message}});
  if (!done && first) return fail(*first);
  return refused;
}

}  // namespace slipway::cloud::azure
