#include "rehearse/admin.h"

#include <openssl/crypto.h>

#include <boost/json.hpp>
#include <unordered_map>

#include "base/files.h"
#include "base/log.h"
#include "http/url.h"
#include "rehearse/strict_json.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

http::Response say(int status, const json::value& value) {
  return {status, {{"Content-Type", "application/json"}}, json::serialize(value) + "\n"};
}

http::Response refuse(int status, const std::string& why) {
  return say(status, json::object{{"error", why}});
}

http::Response refuse_method(const http::Asked& asked, const char* allowed) {
  auto response = refuse(405, asked.method + " isn't known here; " + allowed + " is");
  response.headers.emplace_back("Allow", allowed);
  return response;
}

json::object describe(const Machine& machine, int pid) {
  json::object described{{"name", machine.name},
                         {"group", machine.order->group},
                         {"phase", json::string_view(to_string(machine.phase).data(), to_string(machine.phase).size())},
                         {"size", machine.order->size},
                         {"zone", machine.order->zone},
                         {"market", machine.order->market == model::Market::spot ? "spot" : "on_demand"},
                         {"address", machine.address},
                         {"boots", machine.boots},
                         {"asked_at", to_iso8601(machine.asked_at)},
                         {"since", to_iso8601(machine.since)}};
  if (pid > 0) described["pid"] = pid;
  if (machine.phase == Phase::start_failed) described["exit_status"] = machine.exit_status;
  if (machine.evict_at != TimePoint{}) {
    described["evict_at"] = to_iso8601(machine.evict_at);
    described["event_id"] = machine.event_id;
  }
  return described;
}

bool exists_for_somebody(const Machine& machine) {
  return machine.phase != Phase::allocating && machine.phase != Phase::leaving;
}

}  // namespace

struct Admin::Chosen {
  std::vector<MachineKey> machines;
  std::string group;
  Duration notice{0};
};

Admin::Admin(Site& site, Gate& gate, std::string token, std::filesystem::path levers_file,
             std::function<void()> levers_written)
    : site_(site),
      gate_(gate),
      token_(std::move(token)),
      levers_file_(std::move(levers_file)),
      levers_written_(std::move(levers_written)) {}

void Admin::handle(const http::Asked& asked, const http::Answer& answer) {
  const auto target = http::parse_target(asked.target);
  const std::string path = target ? target->path : "";
  if (path == "/healthz") return answer(say(200, json::object{{"ok", true}}));
  const std::string expected = "Bearer " + token_;
  const std::string_view given = http::find_header(asked.headers, "Authorization");
  if (given.size() != expected.size() || CRYPTO_memcmp(given.data(), expected.data(), expected.size()) != 0)
    return answer(refuse(401, "the header \"Authorization: Bearer <admin_token of endpoints.json>\" is needed"));
  if (path == "/levers") return answer(levers(asked));
  if (path == "/machines") return answer(machines(asked));
  if (path == "/calls") return answer(calls(asked));
  if (path == "/evict" || path == "/vanish" || path == "/return") return answer(change(path.substr(1), asked));
  answer(refuse(404, "there is no " + path +
                         "; there are /levers, /machines, /evict, /vanish, /return, /calls and "
                         "/healthz"));
}

http::Response Admin::levers(const http::Asked& asked) {
  if (asked.method == "PUT") {
    auto parsed = parse_levers(asked.body);
    if (!parsed) return refuse(400, parsed.error().message);
    if (auto written = write_file(levers_file_, asked.body, 0600); !written)
      return refuse(500, written.error().message);
    site_.set_levers(std::move(*parsed));
    levers_written_();
    log_info("levers_set");
  } else if (asked.method != "GET") {
    return refuse_method(asked, "GET, PUT");
  }
  return {200, {{"Content-Type", "application/json"}}, to_json(std::as_const(site_).levers()) + "\n"};
}

http::Response Admin::machines(const http::Asked& asked) const {
  if (asked.method != "GET") return refuse_method(asked, "GET");
  const auto target = http::parse_target(asked.target);
  std::string end;
  for (const auto& [name, value] : target->query) {
    if (name == "group") end = value;
  }
  json::array listed;
  for (const std::string& group : site_.groups()) {
    if (!group.ends_with(end)) continue;
    for (const MachineKey key : site_.of_group(group)) listed.push_back(describe(*site_.find(key), site_.pid_of(key)));
  }
  return say(200, json::object{{"machines", std::move(listed)}});
}

Result<Admin::Chosen> Admin::choose(const std::string& call, const std::string& body) const {
  Chosen chosen;
  std::vector<std::string> names;
  std::optional<model::Market> market;
  uint32_t count = UINT32_MAX;
  const auto read = read_strictly(body, "the arguments", [&](StrictObject& object) {
    object.read("group", chosen.group);
    if (call != "return") {
      object.read("machines", names);
      object.read("market", market);
      object.read("count", count);
    }
    if (call == "evict") object.read("notice_ms", chosen.notice);
    if (call == "return") object.need("group");
    if (names.empty() && chosen.group.empty()) object.complain("machines or group must be given");
    if (!names.empty() && !chosen.group.empty()) object.complain("machines and group can't both be given");
  });
  if (!read) return fail(read.error());
  std::unordered_map<std::string, bool> wanted;
  for (const std::string& name : names) wanted[name] = false;
  for (const std::string& group : site_.groups()) {
    if (!group.ends_with(chosen.group)) continue;
    for (const MachineKey key : site_.of_group(group)) {
      const Machine& machine = *site_.find(key);
      const auto named = wanted.find(machine.name);
      if (!names.empty() && named == wanted.end()) continue;
      if (!names.empty()) named->second = true;
      const bool fits = exists_for_somebody(machine) && (!market || *market == machine.order->market) &&
                        (call == "vanish" || (machine.phase == Phase::evicted) == (call == "return"));
      if (fits && chosen.machines.size() < count) chosen.machines.push_back(key);
    }
  }
  for (const auto& [name, found] : wanted) {
    if (!found) return fail(ErrorCode::not_found, "there is no machine " + name + "; GET /machines lists them");
  }
  return chosen;
}

http::Response Admin::change(const std::string& call, const http::Asked& asked) {
  if (asked.method != "POST") return refuse_method(asked, "POST");
  const auto chosen = choose(call, asked.body);
  if (!chosen) return refuse(chosen.error().code == ErrorCode::not_found ? 404 : 400, chosen.error().message);
  json::array names;
  if (call == "return") {
    for (const std::string& group : site_.groups()) {
      if (group.ends_with(chosen->group)) site_.return_evicted(group);
    }
    for (const MachineKey key : chosen->machines) {
      const Machine& machine = *site_.find(key);
      if (machine.phase == Phase::starting) names.emplace_back(machine.name);
    }
  } else {
    for (const MachineKey key : chosen->machines) names.emplace_back(site_.find(key)->name);
    if (call == "evict") site_.evict(chosen->machines, chosen->notice);
    if (call == "vanish") site_.vanish(chosen->machines);
  }
  log_info("admin_call", {{"call", call}, {"machines", names.size()}});
  return say(200, json::object{{"machines", std::move(names)}});
}

http::Response Admin::calls(const http::Asked& asked) {
  if (asked.method == "DELETE") {
    gate_.reset_calls();
  } else if (asked.method != "GET") {
    return refuse_method(asked, "GET, DELETE");
  }
  json::object calls;
  for (const auto& [operation, count] : gate_.calls()) calls[operation] = count;
  return say(200, json::object{{"calls", std::move(calls)}});
}

}  // namespace slipway::rehearse
