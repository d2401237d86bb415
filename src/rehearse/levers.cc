#include "rehearse/levers.h"

#include <boost/json.hpp>

#include "rehearse/strict_json.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

void read_levers(StrictObject& reader, Levers& levers) {
  reader.read_list("capacity", [&](StrictObject& each) {
    CapacityLever& lever = levers.capacity.emplace_back();
    each.read("size", lever.size);
    each.read("zone", lever.zone);
    each.read("market", lever.market);
    each.read("group", lever.group);
    each.read("most", lever.most);
    each.need("most");
  });
  reader.read_list("quotas", [&](StrictObject& each) {
    QuotaLever& lever = levers.quotas.emplace_back();
    each.read("scope", lever.scope);
    each.read("family", lever.family);
    each.read("market", lever.market);
    each.read("cores", lever.cores);
    each.need("cores");
  });
  reader.read_list("replies", [&](StrictObject& each) {
    ReplyLever& lever = levers.replies.emplace_back();
    each.read("operation", lever.operation);
    each.read("next", lever.next);
    each.need("next");
    each.read_status("status", lever.status);
    each.read("code", lever.code);
  });
  reader.read_list("boots", [&](StrictObject& each) {
    BootLever& lever = levers.boots.emplace_back();
    each.read("group", lever.group);
    each.read("never_every", lever.never_every);
    each.read("unusable_every", lever.unusable_every);
    each.read("start_task_fails_every", lever.start_task_fails_every);
    each.read("silent_every", lever.silent_every);
  });
  reader.read("call_ms", levers.call);
  reader.read("allocate_ms", levers.allocate);
  reader.read("boot_ms", levers.boot);
  reader.read("release_ms", levers.release);
  reader.read("timed_out_after_ms", levers.timed_out_after);
  reader.read("time_out", levers.time_out);
  reader.read("calls_per_second", levers.calls_per_second);
  reader.read("calls_burst", levers.calls_burst);
  reader.read("retry_after_ms", levers.retry_after);
}

json::array to_value(const Span& span) {
  return {span.least.count(), span.most.count()};
}

json::value to_value(const std::optional<model::Market>& market) {
  return market ? json::value(view(model::to_string(*market))) : json::value(nullptr);
}

}  // namespace

Result<Levers> parse_levers(std::string_view text) {
  Levers levers;
  const auto read = read_strictly(text, "the levers", [&](StrictObject& object) { read_levers(object, levers); });
  if (!read) return fail(read.error());
  return levers;
}

std::string to_json(const Levers& levers) {
  json::array capacity;
  for (const CapacityLever& lever : levers.capacity) {
    capacity.push_back(json::object{{"size", lever.size},
                                    {"zone", lever.zone},
                                    {"market", to_value(lever.market)},
                                    {"group", lever.group},
                                    {"most", lever.most}});
  }
  json::array quotas;
  for (const QuotaLever& lever : levers.quotas) {
    quotas.push_back(json::object{
        {"scope", lever.scope}, {"family", lever.family}, {"market", to_value(lever.market)}, {"cores", lever.cores}});
  }
  json::array replies;
  for (const ReplyLever& lever : levers.replies) {
    replies.push_back(json::object{
        {"operation", lever.operation}, {"next", lever.next}, {"status", lever.status}, {"code", lever.code}});
  }
  json::array boots;
  for (const BootLever& lever : levers.boots) {
    boots.push_back(json::object{{"group", lever.group},
                                 {"never_every", lever.never_every},
                                 {"unusable_every", lever.unusable_every},
                                 {"start_task_fails_every", lever.start_task_fails_every},
                                 {"silent_every", lever.silent_every}});
  }
  return json::serialize(json::object{{"capacity", std::move(capacity)},
                                      {"quotas", std::move(quotas)},
                                      {"replies", std::move(replies)},
                                      {"boots", std::move(boots)},
                                      {"call_ms", to_value(levers.call)},
                                      {"allocate_ms", to_value(levers.allocate)},
                                      {"boot_ms", to_value(levers.boot)},
                                      {"release_ms", to_value(levers.release)},
                                      {"timed_out_after_ms", levers.timed_out_after.count()},
                                      {"time_out", levers.time_out},
                                      {"calls_per_second", levers.calls_per_second},
                                      {"calls_burst", levers.calls_burst},
                                      {"retry_after_ms", levers.retry_after.count()}});
}

}  // namespace slipway::rehearse
