// What calls do once they arrive: EC2's launches and Batch's resizes, listings, terminations.
#include <algorithm>
#include <charconv>

#include "sim/cloud_state.h"

namespace slipway::sim {
namespace {

constexpr Duration resize_retry{5'000};

Error resizing(const PoolName& pool) {
  return {ErrorCode::transient, "pool " + pool.str() + " is being resized", resize_retry};
}

// Those that Batch finds out while it allocates; others it says at once.
bool is_late(const Error& error) {
  return error.code == ErrorCode::no_capacity || error.code == ErrorCode::quota;
}

}  // namespace

Result<cloud::LaunchReceipt> Cloud::State::launch(const cloud::LaunchRequest& request) {
  const auto pool = std::find_if(pools.begin(), pools.end(), [&](const Pool& p) { return p.name == request.pool; });
  if (pool == pools.end()) return fail(ErrorCode::bad_config, "there is no pool " + request.pool.str());
  if (const auto earlier = launches.find(request.token); earlier != launches.end()) return earlier->second.receipt;
  const auto index = static_cast<engine::PoolIndex>(pool - pools.begin());
  if (batch()) return resize(index, request);
  return launch_now(index, request);
}

cloud::LaunchReceipt Cloud::State::launch_now(engine::PoolIndex pool, const cloud::LaunchRequest& request) {
  Stock::Fill fill = stock.take(request, request.minimum);
  cloud::LaunchReceipt receipt;
  receipt.accepted = fill.total;
  receipt.instances = make(pool, request, fill);
  receipt.refusals = std::move(fill.refusals);
  if (fill.total > 0 && !request.token.empty()) launches[request.token].receipt = receipt;
  return receipt;
}

// Batch takes the new target and looks for machines afterwards; a minimum is unknown to it. While it looks in vain, the
// pool is resizing, until it gives up and says so.
Result<cloud::LaunchReceipt> Cloud::State::resize(engine::PoolIndex index, const cloud::LaunchRequest& request) {
  Pool& pool = pools[index];
  if (resizes(pool)) return fail(resizing(pool.name));
  cloud::LaunchReceipt receipt;
  cloud::LaunchRequest rest = request;
  if (rest.offers.empty()) rest.offers.emplace_back();
  std::erase_if(rest.offers, [&](const model::Offer& offer) {
    const Error* error = stock.error_of(offer);
    if (error == nullptr || is_late(*error)) return false;
    receipt.refusals.push_back({offer, *error});
    return true;
  });
  if (rest.offers.empty()) return receipt;
  receipt.accepted = request.count;
  const Stock::Fill fill = stock.take(rest, 0);
  pool.steady_at = timeline.now();
  for (const InstanceId& id : make(index, rest, fill)) {
    pool.steady_at = std::max(pool.steady_at, machines[cloud.index_of(id)].visible_at);
  }
  if (fill.total > 0 && !request.token.empty()) launches[request.token].receipt = receipt;
  if (fill.total == request.count) return receipt;
  const Duration late = draw(options.late_error);
  pool.steady_at = std::max(pool.steady_at, timeline.now() + late);
  pool.late = cloud::PoolTrouble{.pool = pool.name,
                                 .market = request.market,
                                 .count = request.count - fill.total,
                                 .at = timeline.now() + late,
                                 .error = fill.refusals.back().error};
  timeline.after(late, [this, index] {
    if (pools[index].late->count > 0) troubles.push_back(std::move(*pools[index].late));
    pools[index].late.reset();
  });
  return receipt;
}

std::vector<InstanceId> Cloud::State::make(engine::PoolIndex pool, const cloud::LaunchRequest& request,
                                           const Stock::Fill& fill) {
  std::vector<InstanceId> ids;
  for (const Stock::Share& share : fill.shares) {
    for (uint32_t i = 0; i < share.count; ++i) ids.push_back(machines[add(pool, request, share.offer)].instance.id);
  }
  return ids;
}

cloud::Listing Cloud::State::list(TimePoint asked) {
  cloud::Listing listing;
  listing.as_of = asked;
  listing.complete = !faults.chance(cloud.faults.partial_listing);
  std::erase_if(listed,
                [&](uint32_t machine) { return !exists(machine) && machines[machine].vanish_at <= timeline.now(); });
  listing.instances.reserve(listed.size());
  for (const uint32_t machine : listed) {
    if (machines[machine].visible_at > timeline.now()) continue;
    if (!listing.complete && faults.chance(0.5)) continue;
    listing.instances.push_back(machines[machine].instance);
    if (batch()) listing.instances.back().launch_token.clear();
  }
  if (batch()) listing.on_the_way = on_the_way();
  return listing;
}

// What a pool's target has beyond the machines that it shows.
std::vector<cloud::OnTheWay> Cloud::State::on_the_way() const {
  std::vector<cloud::OnTheWay> found;
  const auto add = [&](const PoolName& pool, model::Market market, uint32_t count) {
    for (cloud::OnTheWay& one : found) {
      if (one.pool == pool && one.market == market) {
        one.count += count;
        return;
      }
    }
    found.push_back({pool, market, count});
  };
  for (const uint32_t machine : listed) {
    const Machine& m = machines[machine];
    if (m.visible_at > timeline.now() && lives(machine)) add(m.instance.pool, m.instance.market, 1);
  }
  for (const Pool& pool : pools) {
    if (pool.late && pool.late->count > 0) add(pool.name, pool.late->market, pool.late->count);
  }
  return found;
}

// The target is put down: first by what there is no machine for, then by machines that nobody has seen.
uint32_t Cloud::State::withdraw(const PoolName& name, model::Market market, uint32_t count) {
  if (!batch()) return 0;
  uint32_t taken = 0;
  for (Pool& pool : pools) {
    if (pool.name != name || !pool.late || pool.late->market != market) continue;
    taken = std::min(count, pool.late->count);
    pool.late->count -= taken;
  }
  for (const uint32_t machine : std::vector<uint32_t>(listed)) {
    if (taken == count) break;
    const Machine& m = machines[machine];
    if (m.instance.pool != name || m.instance.market != market || m.visible_at <= timeline.now() || !lives(machine)) {
      continue;
    }
    stop(machine);
    ++taken;
  }
  return taken;
}

Result<std::vector<InstanceId>> Cloud::State::terminate(const std::vector<InstanceId>& instances) {
  if (batch()) return remove_nodes(instances);
  for (const InstanceId& id : instances) {
    const uint32_t machine = cloud.index_of(id);
    if (machine != UINT32_MAX && lives(machine)) stop(machine);
  }
  return std::vector<InstanceId>();
}

Result<std::vector<InstanceId>> Cloud::State::remove_nodes(const std::vector<InstanceId>& instances) {
  std::vector<InstanceId> refused;
  std::vector<uint32_t> accepted;
  const PoolName* busy = nullptr;
  for (const InstanceId& id : instances) {
    const uint32_t machine = cloud.index_of(id);
    if (machine == UINT32_MAX) continue;
    restoring.erase(machine);
    if (!lives(machine)) continue;
    const Pool& pool = pools[machines[machine].pool];
    if (resizes(pool)) busy = &pool.name;
    if (resizes(pool) || accepted.size() >= options.terminate_max) {
      refused.push_back(id);
    } else {
      accepted.push_back(machine);
    }
  }
  if (accepted.empty() && busy != nullptr) return fail(resizing(*busy));
  for (const uint32_t machine : accepted) {
    if (!lives(machine)) continue;  // named twice
    Pool& pool = pools[machines[machine].pool];
    pool.steady_at = std::max(pool.steady_at, timeline.now() + stop(machine));
  }
  return refused;
}

uint32_t Cloud::index_of(const InstanceId& id) const {
  const std::string& text = id.str();
  uint32_t number = 0;
  if (!text.starts_with("i-")) return UINT32_MAX;
  const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), number);
  if (error != std::errc() || number == 0 || number > state_->machines.size()) return UINT32_MAX;
  return state_->machines[number - 1].instance.id == id ? number - 1 : UINT32_MAX;
}

}  // namespace slipway::sim
