#include "cloud/local/local_provider.h"

#include <boost/json.hpp>
#include <map>
#include <utility>

#include "machines/client.h"

namespace slipway::cloud {
namespace {

constexpr const char* compute = "compute";
constexpr const char* login = "login";

model::InstanceState state_of(machines::MachineState state) {
  switch (state) {
    case machines::MachineState::starting:
      return model::InstanceState::pending;
    case machines::MachineState::running:
    case machines::MachineState::frozen:  // a cloud's list doesn't show that a machine hangs, either
      return model::InstanceState::running;
    case machines::MachineState::gone:
      return model::InstanceState::gone;
  }
  return model::InstanceState::gone;
}

model::Instance instance_of(const machines::Machine& machine) {
  model::Instance instance;
  instance.id = InstanceId(machine.id);
  instance.pool = PoolName(machine.pool);
  instance.launch_token = machine.launch_token;
  instance.state = state_of(machine.state);
  instance.address = machine.address;
  instance.launched_at = machine.launched_at;
  instance.market = machine.market;
  instance.offer = machine.offer;
  instance.placement = machine.placement;
  instance.evict_at = machine.evict_at;
  // An end that was asked for is no trouble.
  if (machine.state == machines::MachineState::gone && machine.end != "terminated") {
    instance.trouble = Error{ErrorCode::permanent, machine.end, std::nullopt};
  }
  return instance;
}

// A machine host that isn't there is being restarted: later may do.
Error as_provider(Error error) {
  if (error.code == ErrorCode::not_found) error.code = ErrorCode::transient;
  return error;
}

class LocalProvider final : public Provider {
 public:
  LocalProvider(const model::Cluster& cluster, std::filesystem::path host_socket, const std::string& daemon_address)
      : host_socket_(std::move(host_socket)),
        boot_data_(boost::json::serialize(boost::json::object{{"daemon", daemon_address}})) {
    for (const model::Pool& pool : cluster.pools) images_[pool.name] = pool.image;
  }

  Capabilities capabilities() const override { return {.terminate_batch_max = 10'000}; }

  Result<LaunchReceipt> launch(const LaunchRequest& request, Duration timeout) override {
    auto image = images_.find(request.pool);
    if (image == images_.end()) return fail(ErrorCode::bad_config, "the cluster has no pool " + request.pool.str());
    machines::MachineSpec spec;
    spec.role = compute;
    spec.pool = request.pool.str();
    spec.image = image->second;
    spec.boot_data = boot_data_;
    machines::LaunchTerms terms;
    terms.minimum = request.minimum;
    terms.market = request.market;
    terms.offers = request.offers;
    terms.placement = request.placement;
    auto launched = client(timeout).launch(spec, request.count, request.token, terms);
    if (!launched) return fail(as_provider(launched.error()));
    LaunchReceipt receipt;
    receipt.accepted = static_cast<uint32_t>(launched->ids.size());
    for (const std::string& id : launched->ids) receipt.instances.emplace_back(id);
    for (machines::Refusal& refusal : launched->refusals)
      receipt.refusals.push_back({std::move(refusal.offer), std::move(refusal.error)});
    return receipt;
  }

  Result<Listing> list(Duration timeout) override {
    Listing listing;
    listing.as_of = clock_.now();
    auto machines = client(timeout).list();
    if (!machines) {
      Error error = as_provider(machines.error());
      // Asking changes nothing, so there is no outcome to wonder about.
      if (error.code == ErrorCode::outcome_unknown) error.code = ErrorCode::transient;
      return fail(error);
    }
    for (const machines::Machine& machine : *machines) {
      // Controllers and login nodes are `slipway up`'s, not a pool's.
      // Login machines too, in no pool: who joins from there is known for one though another cloud can't be listed.
      if (machine.role == compute || machine.role == login) listing.instances.push_back(instance_of(machine));
    }
    return listing;
  }

  Result<std::vector<InstanceId>> terminate(const std::vector<InstanceId>& instances, Duration timeout) override {
    std::vector<std::string> ids;
    for (const InstanceId& instance : instances) ids.push_back(instance.str());
    if (auto done = client(timeout).terminate(ids); !done) return fail(as_provider(done.error()));
    return std::vector<InstanceId>();
  }

 private:
  machines::Client client(Duration timeout) const { return machines::Client(host_socket_, timeout); }

  const std::filesystem::path host_socket_;
  const std::string boot_data_;
  std::map<PoolName, std::string> images_;
  const SystemClock clock_;
};

}  // namespace

std::unique_ptr<Provider> make_local_provider(const model::Cluster& cluster, std::filesystem::path host_socket,
                                              std::string daemon_address) {
  return std::make_unique<LocalProvider>(cluster, std::move(host_socket), daemon_address);
}

}  // namespace slipway::cloud
