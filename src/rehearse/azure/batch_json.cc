#include "rehearse/azure/batch_json.h"

#include <boost/json.hpp>

#include "rehearse/azure/json_access.h"
#include "rehearse/azure/spec_check.h"

namespace slipway::rehearse::azure {
namespace {

namespace json = boost::json;

std::string iso_duration(Duration duration) {
  return to_iso_duration(std::chrono::duration<double>(duration).count());
}

std::string account_url(const Core& core, const std::string& account) {
  const auto found = core.batch_urls.find(account);
  return found == core.batch_urls.end() ? "https://" + account : found->second;
}

json::array faults_json(const BatchPool& pool) {
  json::array out;
  for (const ResizeFault& fault : pool.faults) {
    json::object one{{"code", fault.code}, {"message", fault.message}};
    if (!fault.values.empty()) {
      json::array& values = one["values"].emplace_array();
      for (const auto& [name, value] : fault.values) values.push_back({{"name", name}, {"value", value}});
    }
    out.push_back(one);
  }
  return out;
}

json::object start_task_info(const Machine& machine, const BatchNode& node) {
  const bool ended = node.phase == Phase::running || node.phase == Phase::start_failed;
  const std::string since = to_iso8601(machine.since);
  json::object out{{"state", ended ? "completed" : "running"}, {"startTime", since}, {"retryCount", 0}};
  if (!ended) return out;
  const bool failed = node.phase == Phase::start_failed;
  out["endTime"] = since;
  out["exitCode"] = machine.exit_status;
  out["result"] = failed ? "failure" : "success";
  if (failed) {
    out["failureInfo"] = {{"category", "usererror"},
                          {"code", "FailureExitCode"},
                          {"message", "The task exited with an exit code representing a failure"},
                          {"details", json::array{json::object{{"name", "Message"},
                                                               {"value",
                                                                "The task exited with an exit code "
                                                                "representing a failure"}}}}};
  }
  return out;
}

}  // namespace

Select::Select(std::string_view text) {
  while (!text.empty()) {
    const size_t comma = text.find(',');
    std::string_view name = text.substr(0, comma);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    if (!name.empty()) names_.emplace(name.substr(0, name.find('/')));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
}

std::string_view to_string(Allocation allocation) {
  switch (allocation) {
    case Allocation::resizing:
      return "resizing";
    case Allocation::stopping:
      return "stopping";
    case Allocation::steady:
      break;
  }
  return "steady";
}

std::string_view node_state(const BatchPool& pool, const BatchNode& node) {
  const bool waits = bool_at(*pool.settings, "startTask.waitForSuccess");
  switch (node.phase) {
    case Phase::allocating:
      return "creating";
    case Phase::starting:
      if (node.restart == BatchNode::Restart::reboot) return "rebooting";
      return node.restart == BatchNode::Restart::reimage ? "reimaging" : "starting";
    case Phase::start_task:
      if (waits) return "waitingforstarttask";
      break;
    case Phase::start_failed:
      if (waits) return "starttaskfailed";
      break;
    case Phase::unusable:
      return "unusable";
    case Phase::evicted:
      // Only low-priority nodes are preempted; the service loses sight of a dedicated one that is gone.
      return node.market == model::Market::spot ? "preempted" : "unknown";
    case Phase::leaving:
      return "leavingpool";
    case Phase::running:
      break;
  }
  return node.scheduling ? "idle" : "offline";
}

json::value autoscale_run_json(const BatchPool& pool) {
  return {{"timestamp", to_iso8601(pool.formula_ran)}, {"results", pool.formula_results}};
}

json::object pool_json(Core& core, const BatchPool& pool, const Select& select) {
  json::object out;
  const auto put = [&](std::string_view name, const auto& make) {
    if (select.has(name)) out[name] = make();
  };
  put("id", [&] { return pool.id; });
  put("url", [&] { return account_url(core, pool.account) + "/pools/" + pool.id; });
  put("eTag", [&] { return pool.etag; });
  put("lastModified", [&] { return to_iso8601(pool.modified); });
  put("creationTime", [&] { return to_iso8601(pool.created); });
  put("state", [&] { return pool.deleting ? "deleting" : "active"; });
  put("stateTransitionTime", [&] { return to_iso8601(pool.state_since); });
  put("allocationState", [&] { return std::string(to_string(pool.allocation)); });
  put("allocationStateTransitionTime", [&] { return to_iso8601(pool.allocation_since); });
  for (const auto& [name, value] : *pool.settings) {
    if (select.has(name)) out[name] = value;
  }
  if (!pool.autoscale) put("resizeTimeout", [&] { return iso_duration(pool.resize_timeout); });
  if (!pool.faults.empty() && pool.allocation == Allocation::steady) {
    put("resizeErrors", [&] { return faults_json(pool); });
  }
  put("currentDedicatedNodes", [&] { return pool.current[0]; });
  put("targetDedicatedNodes", [&] { return pool.target[0]; });
  put("currentLowPriorityNodes", [&] { return pool.current[1]; });
  put("targetLowPriorityNodes", [&] { return pool.target[1]; });
  put("enableAutoScale", [&] { return pool.autoscale; });
  if (pool.autoscale) {
    put("autoScaleFormula", [&] { return pool.formula; });
    put("autoScaleEvaluationInterval", [&] { return iso_duration(pool.formula_interval); });
    if (pool.formula_ran != TimePoint{}) put("autoScaleRun", [&] { return autoscale_run_json(pool); });
  }
  if (!pool.identities.empty() && select.has("identity")) {
    json::array identities;
    for (const std::string& id : pool.identities) {
      identities.push_back(json::object{
          {"resourceId", id}, {"clientId", core.client_id_of(id)}, {"principalId", core.object_id_of(id)}});
    }
    out["identity"] = {{"type", "UserAssigned"}, {"userAssignedIdentities", identities}};
  }
  return out;
}

json::object node_json(Core& core, const BatchPool& pool, MachineKey key, const BatchNode& node, const Select& select) {
  json::object out;
  const Machine* machine = core.site.find(key);
  const auto put = [&](std::string_view name, const auto& make) {
    if (select.has(name)) out[name] = make();
  };
  put("id", [&] { return node.name; });
  put("url", [&] { return account_url(core, pool.account) + "/pools/" + pool.id + "/nodes/" + node.name; });
  put("state", [&] { return std::string(node_state(pool, node)); });
  put("schedulingState", [&] { return node.scheduling ? "enabled" : "disabled"; });
  put("affinityId", [&] { return "TVM:" + node.name; });
  put("vmSize", [&] { return text_at(*pool.settings, "vmSize"); });
  put("isDedicated", [&] { return node.market == model::Market::on_demand; });
  put("totalTasksRun", [&] { return 0; });
  put("runningTasksCount", [&] { return 0; });
  put("runningTaskSlotsCount", [&] { return 0; });
  put("totalTasksSucceeded", [&] { return 0; });
  if (machine != nullptr) {
    put("stateTransitionTime", [&] { return to_iso8601(machine->since); });
    put("allocationTime", [&] { return to_iso8601(machine->asked_at); });
    if (!machine->address.empty()) {
      put("ipAddress", [&] { return machine->address; });
      put("lastBootTime", [&] { return to_iso8601(machine->since); });
    }
    const bool began =
        node.phase == Phase::start_task || node.phase == Phase::running || node.phase == Phase::start_failed;
    if (began && pool.settings->contains("startTask")) {
      put("startTaskInfo", [&] { return start_task_info(*machine, node); });
    }
  }
  if (const json::value* task = pool.settings->if_contains("startTask")) {
    put("startTask", [&] { return *task; });
  }
  if (node.phase == Phase::unusable) {
    put("errors", [&] {
      return json::array{
          json::object{{"code", "NodeNotReady"}, {"message", "The VM is running but the Batch agent doesn't answer."}}};
    });
  }
  put("nodeAgentInfo", [&] {
    return json::object{{"version", "1.11.15"},
                        {"lastUpdateTime", to_iso8601(machine == nullptr ? TimePoint{} : machine->asked_at)}};
  });
  put("virtualMachineInfo", [&] {
    json::object info;
    if (const json::value* image = at_path(*pool.settings, "virtualMachineConfiguration.imageReference")) {
      info["imageReference"] = *image;
    }
    return info;
  });
  return out;
}

json::object node_counts_json(const BatchPool& pool) {
  json::object out{{"poolId", pool.id}};
  for (const model::Market market : both_markets) {
    json::object& counts = out[market == model::Market::spot ? "lowPriority" : "dedicated"].emplace_object();
    for (const char* name : {"creating", "idle", "leavingPool", "offline", "preempted", "rebooting", "reimaging",
                             "running", "startTaskFailed", "starting", "unknown", "unusable", "waitingForStartTask",
                             "deallocated", "deallocating", "upgradingOS"}) {
      counts[name] = 0;
    }
    int64_t total = 0;
    for (const auto& [key, node] : pool.nodes) {
      if (node.market != market || node.phase == Phase::allocating) continue;
      const std::string_view state = node_state(pool, node);
      for (auto& [name, number] : counts) {
        if (same_text(name, state)) number = number.get_int64() + 1;
      }
      ++total;
    }
    counts["total"] = total;
  }
  return out;
}

}  // namespace slipway::rehearse::azure
