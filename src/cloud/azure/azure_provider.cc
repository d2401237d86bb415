#include "cloud/azure/azure_provider.h"

#include <algorithm>
#include <future>
#include <map>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/files.h"
#include "base/log.h"
#include "cloud/azure/batch_fleet.h"
#include "cloud/azure/credentials.h"
#include "cloud/azure/evidence.h"
#include "cloud/azure/fleet.h"
#include "cloud/azure/scale_set_fleet.h"
#include "cloud/azure/shared_key.h"
#include "cloud/provider_set.h"

namespace slipway::cloud {
namespace {

constexpr Duration look_every{1'000};  // what changes in Azure takes seconds to minutes

using azure::Fleet;
using azure::FleetContext;
using azure::Rest;

constexpr Duration rest_first{1'000};  // an account that fails isn't asked again at once, when there are others
constexpr Duration rest_max{30'000};
// What successful listings that weren't complete haven't shown for so long vouches for no address any more.
constexpr Duration seen_good_for{60'000};

struct Seen {
  model::Instance instance;
  TimePoint at{};  // its newest listing
};

struct Member {
  std::unique_ptr<Fleet> fleet;
  // Guarded by the provider's mutex:
  std::unordered_map<InstanceId, Seen> listed;
  uint32_t failures = 0;
  TimePoint not_before{};
  Error last;
};

class AzureProvider final : public Provider {
 public:
  AzureProvider(std::unique_ptr<http::Client> client, const Clock& clock) : clock_(clock), client_(std::move(client)) {}

  http::Client& client() { return *client_; }
  void add(std::unique_ptr<Fleet> fleet) { members_.emplace_back().fleet = std::move(fleet); }
  void check_with(const FleetContext& context) { check_ = std::make_unique<azure::EvidenceCheck>(context); }

  Capabilities capabilities() const override {
    Capabilities all = members_.front().fleet->capabilities();
    for (const Member& member : members_) all = most_careful(all, member.fleet->capabilities());
    all.look_every = look_every;
    return all;
  }

  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) override {
    Member* member = member_of(request.pool);
    if (member == nullptr) return fail(no_pool(request.pool));
    return member->fleet->launch(request, timeout);
  }

  Result<uint32_t> withdraw(const PoolName& pool, model::Market market, uint32_t count, Duration timeout) override {
    Member* member = member_of(pool);
    if (member == nullptr) return fail(no_pool(pool));
    return member->fleet->withdraw(pool, market, count, timeout);
  }

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) override {
    std::map<Member*, std::vector<InstanceId>> shares;
    for (const InstanceId& instance : instances) {
      // What isn't of our pools can't exist here.
      if (Member* member = member_of(azure::parts_of(instance).pool)) shares[member].push_back(instance);
    }
    std::vector<InstanceId> refused;
    for (const auto& [member, share] : shares) {
      auto done = member->fleet->terminate(share, timeout);
      if (done) {
        refused.insert(refused.end(), done->begin(), done->end());
        continue;
      }
      if (shares.size() == 1) return done;
      log_warning("terminations_refused", {{"first", share.front().str()}, {"why", done.error().message}});
      refused.insert(refused.end(), share.begin(), share.end());
    }
    return refused;
  }

  Result<Listing> list(Duration timeout) override {
    std::vector<std::pair<Member*, std::future<Result<Listing>>>> asked;
    {
      const std::lock_guard lock(mutex_);
      for (Member& member : members_) {
        if (members_.size() > 1 && clock_.now() < member.not_before) continue;
        // When no thread can be started, one after another.
        const auto how = members_.size() == 1 ? std::launch::deferred : std::launch::async | std::launch::deferred;
        asked.emplace_back(&member, std::async(how, [&member, timeout] { return member.fleet->list(timeout); }));
      }
    }
    Listing all;
    all.as_of = clock_.now();
    all.complete = asked.size() == members_.size();
    size_t heard = 0;
    for (auto& [member, answer] : asked) {
      Result<Listing> listing = answer.get();
      const std::lock_guard lock(mutex_);
      if (!listing) {
        failed(*member, listing.error());
        all.complete = false;
        continue;
      }
      ++heard;
      succeeded(*member, *listing);
      join(all, std::move(*listing));
    }
    if (heard > 0) return all;
    const std::lock_guard lock(mutex_);
    return fail(members_.front().last);
  }

  Result<void> identify(const Evidence& evidence, Duration timeout) override {
    Member* member = member_of(azure::parts_of(evidence.instance).pool);
    const std::string id = evidence.instance.str();
    if (member == nullptr) return fail(ErrorCode::denied, "there is no pool of an instance " + id);
    model::Instance listed;
    {
      const std::lock_guard lock(mutex_);
      const auto found = member->listed.find(evidence.instance);
      if (found == member->listed.end()) return fail(ErrorCode::transient, "Azure doesn't list " + id + " yet");
      listed = found->second.instance;
    }
    if (listed.state == model::InstanceState::gone) return fail(ErrorCode::denied, id + " is gone");
    if (listed.address.empty()) return fail(ErrorCode::transient, "the address of " + id + " isn't known yet");
    if (listed.address != evidence.address) {
      return fail(ErrorCode::denied, id + " is at " + listed.address + ", not at " + evidence.address);
    }
    return check_->identify(evidence, listed, member->fleet->machine(evidence.instance), timeout);
  }

 private:
  static Error no_pool(const PoolName& pool) {
    return {ErrorCode::bad_config, "Azure has no pool " + pool.str() + " of this cluster"};
  }

  Member* member_of(const PoolName& pool) {
    for (Member& member : members_) {
      const auto& pools = member.fleet->pools();
      if (std::find(pools.begin(), pools.end(), pool) != pools.end()) return &member;
    }
    return nullptr;
  }

  // Precondition of both: mutex_ is held.
  void failed(Member& member, const Error& error) {
    const Duration pause = std::min(rest_first * (1 << std::min(member.failures, 8u)), rest_max);
    if (member.failures++ == 0) log_warning("account_not_listed", {{"why", error.message}});
    member.not_before = clock_.now() + error.retry_after.value_or(pause);
    member.last = error;
  }
  void succeeded(Member& member, const Listing& listing) {
    member.failures = 0;
    member.not_before = {};
    const TimePoint now = clock_.now();
    if (listing.complete) member.listed.clear();
    for (const model::Instance& instance : listing.instances) {
      member.listed.insert_or_assign(instance.id, Seen{instance, now});
    }
    std::erase_if(member.listed, [&](const auto& one) { return one.second.at + seen_good_for <= now; });
  }

  static void join(Listing& all, Listing one) {
    const auto append = [](auto& to, auto& from) {
      to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
    };
    append(all.instances, one.instances);
    append(all.troubles, one.troubles);
    append(all.on_the_way, one.on_the_way);
    all.complete = all.complete && one.complete;
    all.as_of = std::min(all.as_of, one.as_of);
  }

  const Clock& clock_;
  std::unique_ptr<http::Client> client_;
  std::mutex mutex_;
  std::vector<Member> members_;  // not changed once made
  std::unique_ptr<azure::EvidenceCheck> check_;
};

// Azure compares names of resources without regard to case.
std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// The account's key if the file names one, else a token; both for all pools of an account.
Result<std::shared_ptr<Rest>> batch_rest(const model::AzurePool& pool, http::Client& client,
                                         const std::shared_ptr<azure::Authorizer>& token, const Clock& clock) {
  if (pool.batch_key_file.empty()) return std::make_shared<Rest>(client, token);
  auto key = read_file(pool.batch_key_file, 64u << 10);
  if (!key) return fail(ErrorCode::bad_config, "batch_key_file: " + key.error().message);
  auto shared_key = azure::make_shared_key(pool.account, *key, clock);
  if (!shared_key) return fail(shared_key.error());
  return std::make_shared<Rest>(client, std::move(*shared_key));
}

}  // namespace

Result<std::unique_ptr<Provider>> make_azure_provider(const model::Cluster& cluster, const Clock& clock,
                                                      AzureOptions options) {
  auto copy = std::make_shared<const model::Cluster>(cluster);
  const model::AzureCloud cloud = cluster.azure.value_or(model::AzureCloud{});
  const std::string& ca_file = cloud.endpoints.ca_file;
  if (!ca_file.empty()) {
    if (auto read = read_file(ca_file); !read) return fail(ErrorCode::bad_config, "ca_file: " + read.error().message);
  }
  http::ClientOptions client_options;
  client_options.ca_file = ca_file;
  auto provider = std::make_unique<AzureProvider>(std::make_unique<http::Client>(client_options), clock);

  const azure::Endpoints endpoints = azure::endpoints_of(cloud);
  auto source = azure::make_token_source(cloud.identity, endpoints, provider->client(), clock);
  if (!source) return fail(source.error());
  const auto arm = std::make_shared<Rest>(provider->client(), make_bearer(*source, endpoints.arm_resource, clock));
  const auto batch_token = make_bearer(*source, endpoints.batch_resource, clock);
  const FleetContext context{copy, clock, provider->client(), arm, endpoints, std::move(options)};

  using Key = std::tuple<model::AzurePoolKind, std::string, std::string>;
  struct Group {
    Key key;
    const model::AzurePool* first = nullptr;
    std::vector<PoolName> pools;
  };
  std::vector<Group> groups;  // in the file's order
  for (const model::Pool& pool : copy->pools) {
    if (pool.provider != model::ProviderKind::azure || !pool.azure) continue;
    const model::AzurePool& its = *pool.azure;
    const bool batch = its.kind == model::AzurePoolKind::batch;
    const Key key{its.kind, lower(batch ? azure::batch_url(its, endpoints) : its.subscription),
                  batch ? its.batch_key_file : lower(its.resource_group)};
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& one) { return one.key == key; });
    if (group == groups.end()) group = groups.insert(groups.end(), {key, &its, {}});
    group->pools.push_back(pool.name);
  }
  if (groups.empty()) return fail(ErrorCode::bad_config, "the cluster has no pool of provider azure");
  for (Group& group : groups) {
    if (group.first->kind == model::AzurePoolKind::scale_set) {
      provider->add(azure::make_scale_set_fleet(context, std::move(group.pools)));
      continue;
    }
    auto rest = batch_rest(*group.first, provider->client(), batch_token, clock);
    if (!rest) return fail(rest.error());
    auto fleet = azure::make_batch_fleet(context, std::move(*rest), std::move(group.pools));
    if (!fleet) return fail(fleet.error());
    provider->add(std::move(*fleet));
  }
  provider->check_with(context);
  return std::unique_ptr<Provider>(std::move(provider));
}

}  // namespace slipway::cloud
