#include "cloud/provider_set.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <optional>
#include <unordered_map>

namespace slipway::cloud {
namespace {

class ProviderSet final : public Provider {
 public:
  explicit ProviderSet(std::vector<ProviderOfPools> members) : members_(std::move(members)) {
    for (size_t m = 0; m < members_.size(); ++m) {
      for (const PoolName& pool : members_[m].pools) by_pool_[pool] = m;
    }
  }

  Capabilities capabilities() const override {
    Capabilities all = members_.front().provider->capabilities();
    for (const ProviderOfPools& member : members_) all = most_careful(all, member.provider->capabilities());
    return all;
  }

  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) override {
    Provider* provider = of(request.pool);
    if (provider == nullptr) return fail(ErrorCode::bad_config, "no provider has pool " + request.pool.str());
    return provider->launch(request, timeout);
  }

  // One that can't be read makes the whole incomplete: what it has is unknown, what the others have is not.
  Result<Listing> list(Duration timeout) override {
    Listing all;
    std::optional<Error> error;
    size_t read = 0;
    for (size_t m = 0; m < members_.size(); ++m) {
      auto listing = members_[m].provider->list(timeout);
      if (!listing) {
        if (!error || error->code == ErrorCode::transient) error = listing.error();
        all.complete = false;
        continue;
      }
      remember(m, listing->instances);
      all.as_of = read++ == 0 ? listing->as_of : std::min(all.as_of, listing->as_of);
      all.complete = all.complete && listing->complete;
      std::move(listing->instances.begin(), listing->instances.end(), std::back_inserter(all.instances));
      std::move(listing->troubles.begin(), listing->troubles.end(), std::back_inserter(all.troubles));
      std::move(listing->on_the_way.begin(), listing->on_the_way.end(), std::back_inserter(all.on_the_way));
    }
    if (read == 0) return fail(*error);
    return all;
  }

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) override {
    std::vector<std::vector<InstanceId>> shares(members_.size());
    {
      const std::lock_guard lock(mutex_);
      for (const InstanceId& id : instances) {
        const auto owner = owners_.find(id);
        for (size_t m = 0; m < members_.size(); ++m) {
          if (owner == owners_.end() || owner->second == m) shares[m].push_back(id);
        }
      }
    }
    std::vector<InstanceId> refused;
    std::optional<Error> error;
    size_t done = 0;
    for (size_t m = 0; m < members_.size(); ++m) {
      if (shares[m].empty()) continue;
      auto result = members_[m].provider->terminate(shares[m], timeout);
      if (result) {
        ++done;
        refused.insert(refused.end(), result->begin(), result->end());
      } else {
        error = result.error();
        refused.insert(refused.end(), shares[m].begin(), shares[m].end());
      }
    }
    if (done == 0 && error) return fail(*error);
    return refused;
  }

  Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration timeout) override {
    Provider* provider = of(pool);
    return provider == nullptr ? Result<uint32_t>(0) : provider->withdraw(pool, market, count, timeout);
  }

  Result<void> identify(const Evidence& evidence, Duration timeout) override {
    std::optional<size_t> owner;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = owners_.find(evidence.instance); found != owners_.end()) owner = found->second;
    }
    if (owner) return members_[*owner].provider->identify(evidence, timeout);
    Result<void> answer = fail(ErrorCode::denied, "nobody vouches for " + evidence.instance.str());
    for (const auto& member : members_) {
      auto one = member.provider->identify(evidence, timeout);
      if (one || one.error().code != ErrorCode::denied) return one;
      answer = std::move(one);
    }
    return answer;
  }

 private:
  Provider* of(const PoolName& pool) const {
    const auto member = by_pool_.find(pool);
    return member == by_pool_.end() ? nullptr : members_[member->second].provider.get();
  }

  void remember(size_t member, const std::vector<model::Instance>& instances) {
    const std::lock_guard lock(mutex_);
    std::erase_if(owners_, [&](const auto& entry) { return entry.second == member; });
    for (const model::Instance& instance : instances) owners_[instance.id] = member;
  }

  std::vector<ProviderOfPools> members_;
  std::map<PoolName, size_t> by_pool_;
  std::mutex mutex_;
  std::unordered_map<InstanceId, size_t> owners_;  // of the last listing
};

}  // namespace

Capabilities most_careful(Capabilities one, const Capabilities& other) {
  one.consistency_delay = std::max(one.consistency_delay, other.consistency_delay);
  one.launch_delay = std::max(one.launch_delay, other.launch_delay);
  one.look_every = std::max(one.look_every, other.look_every);
  one.terminate_batch_max = std::min(one.terminate_batch_max, other.terminate_batch_max);
  one.names_instances_at_launch = one.names_instances_at_launch && other.names_instances_at_launch;
  one.launch_window.quiet = std::max(one.launch_window.quiet, other.launch_window.quiet);
  one.launch_window.longest = std::max(one.launch_window.longest, other.launch_window.longest);
  const bool unlimited = one.api.per_second <= 0;
  if (other.api.per_second > 0 && (unlimited || other.api.per_second < one.api.per_second)) one.api = other.api;
  return one;
}

std::unique_ptr<Provider> join_providers(std::vector<ProviderOfPools> members) {
  if (members.size() == 1) return std::move(members.front().provider);
  return std::make_unique<ProviderSet>(std::move(members));
}

}  // namespace slipway::cloud
