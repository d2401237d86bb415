// A site's machines as JSON: {"next_key", "orders": [{…}], "machines": [[…]]}. A machine is a list, its fields in the
// order of save(): a hundred thousand of them are written every few seconds.
#include <array>
#include <boost/json.hpp>

#include "rehearse/site_impl.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

constexpr size_t order_fields = 7;
constexpr size_t machine_fields = 13;

int64_t milliseconds(TimePoint time) {
  return time.time_since_epoch().count();
}

Failure damaged(const std::string& what) {
  return fail(ErrorCode::bad_config, "the saved machines can't be read: " + what);
}

// Reads a list field by field; a field of another type is a mistake, remembered.
class Fields {
 public:
  Fields(const json::value& value, size_t count) : list_(value.if_array()), ok_(list_ && list_->size() == count) {}
  std::string text() {
    const json::value* value = next();
    if (!value || !value->is_string()) return wrong<std::string>();
    return std::string(value->get_string());
  }
  int64_t number(int64_t most = INT64_MAX) {
    const json::value* value = next();
    if (!value || !value->is_int64() || value->get_int64() < 0 || value->get_int64() > most) return wrong<int64_t>();
    return value->get_int64();
  }
  // At most the year 9999: later ones can't be added to.
  TimePoint time() { return TimePoint(Duration(number(253'402'300'799'000))); }
  bool ok() const { return ok_; }

 private:
  template <class T>
  T wrong() {
    ok_ = false;
    return T();
  }
  const json::value* next() { return ok_ && at_ < list_->size() ? &(*list_)[at_++] : nullptr; }

  const json::array* list_;
  size_t at_ = 0;
  bool ok_;
};

}  // namespace

std::string Site::save() const {
  json::array orders;
  json::array machines;
  std::unordered_map<const Order*, size_t> order_numbers;
  for (const std::string& group : groups()) {
    for (const MachineKey key : of_group(group)) {
      const Impl::Slot& slot = *impl_->find(key);
      const Machine& machine = slot.machine;
      const Order& order = *machine.order;
      const auto [it, fresh] = order_numbers.emplace(&order, orders.size());
      if (fresh) {
        orders.push_back(json::array{order.group, order.size, order.zone, order.market == model::Market::spot ? 1 : 0,
                                     order.quota_scope, order.family, order.cores});
      }
      const Impl::Trouble& trouble = slot.trouble;
      const int flags = (trouble.never ? 1 : 0) | (trouble.silent ? 2 : 0) | (trouble.fails ? 4 : 0) |
                        (slot.counted ? 8 : 0) | (slot.on_floor ? 16 : 0) | (slot.may_go ? 32 : 0);
      machines.push_back(json::array{machine.key, machine.name, it->second, static_cast<int>(machine.phase),
                                     milliseconds(machine.asked_at), milliseconds(machine.since), machine.address,
                                     machine.exit_status, milliseconds(machine.evict_at), machine.event_id,
                                     machine.boots, slot.due_turn == 0 ? 0 : milliseconds(slot.due), flags});
    }
  }
  return json::serialize(
      json::object{{"next_key", impl_->next_key}, {"orders", std::move(orders)}, {"machines", std::move(machines)}});
}

Result<void> Site::load(std::string_view text,
                        const std::function<std::shared_ptr<const Order>(Order saved)>& order_of) {
  json::error_code error;
  const json::value value = json::parse({text.data(), text.size()}, error);
  const json::object* object = value.if_object();
  if (error || !object) return damaged("not a JSON object");
  const json::value* orders = object->if_contains("orders");
  const json::value* machines = object->if_contains("machines");
  const json::value* next_key = object->if_contains("next_key");
  if (!orders || !orders->is_array() || !machines || !machines->is_array() || !next_key || !next_key->is_int64() ||
      next_key->get_int64() < 1) {
    return damaged("next_key, orders or machines are missing");
  }

  std::vector<std::shared_ptr<const Order>> known;
  for (const json::value& each : orders->get_array()) {
    Fields fields(each, order_fields);
    Order order;
    order.group = fields.text();
    order.size = fields.text();
    order.zone = fields.text();
    order.market = fields.number(1) == 1 ? model::Market::spot : model::Market::on_demand;
    order.quota_scope = fields.text();
    order.family = fields.text();
    order.cores = static_cast<uint32_t>(fields.number(UINT32_MAX));
    if (!fields.ok()) return damaged("an order");
    known.push_back(order_of(std::move(order)));
  }

  Impl& all = *impl_;
  std::vector<Impl::Slot> read;
  for (const json::value& each : machines->get_array()) {
    Fields fields(each, machine_fields);
    Impl::Slot slot;
    Machine& machine = slot.machine;
    machine.key = static_cast<MachineKey>(fields.number());
    machine.name = fields.text();
    const auto order = static_cast<size_t>(fields.number());
    machine.phase = static_cast<Phase>(fields.number(static_cast<int64_t>(Phase::leaving)));
    machine.asked_at = fields.time();
    machine.since = fields.time();
    machine.address = fields.text();
    machine.exit_status = static_cast<int>(fields.number(INT32_MAX));
    machine.evict_at = fields.time();
    machine.event_id = fields.text();
    machine.boots = static_cast<uint32_t>(fields.number(UINT32_MAX));
    slot.due = fields.time();
    const int64_t flags = fields.number(63);
    if (!fields.ok() || order >= known.size()) return damaged("a machine");
    machine.order = known[order];
    slot.trouble = {(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, false};
    slot.counted = (flags & 8) != 0;
    slot.on_floor = (flags & 16) != 0;
    slot.may_go = (flags & 32) != 0;
    if (machine.order) read.push_back(std::move(slot));
  }
  // Keys ascend within a group: that is the order of their making.
  std::sort(read.begin(), read.end(), [](const auto& a, const auto& b) { return a.machine.key < b.machine.key; });

  all.next_key = static_cast<MachineKey>(next_key->get_int64());
  std::vector<Floor::Kept> kept;
  std::vector<Floor::Boot> again;
  std::vector<MachineKey> ending;
  for (Impl::Slot& each : read) {
    const MachineKey key = each.machine.key;
    const auto [it, fresh] = all.slots.emplace(key, std::move(each));
    if (!fresh) continue;
    Impl::Slot& slot = it->second;
    const Machine& machine = slot.machine;
    all.next_key = std::max(all.next_key, key + 1);
    all.groups[machine.order->group].machines.push_back(key);
    if (slot.counted) all.usage.add(*machine.order, 1);
    if (!machine.address.empty()) all.by_address[machine.address] = key;
    if (!machine.event_id.empty()) {
      all.by_event[machine.event_id] = key;
      slot.take_turn = all.appoint(key, machine.evict_at);
    }
    if (slot.due != TimePoint{}) all.advance_at(slot, slot.due);
    if (!slot.on_floor) continue;
    kept.push_back({key, machine.boots, machine.address});
    // Whether the floor got so far with it isn't known; it doesn't make a boot twice.
    if (machine.phase == Phase::starting || machine.phase == Phase::start_task) again.push_back(all.boot_of(slot));
    if (machine.phase == Phase::leaving) ending.push_back(key);
  }
  all.floor.adopt(kept);
  if (!again.empty()) all.floor.boot(std::move(again));
  if (!ending.empty()) all.floor.end(ending, false);
  all.arm();
  return {};
}

}  // namespace slipway::rehearse
