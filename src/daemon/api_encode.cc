#include "daemon/api_encode.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <unordered_map>

#include "base/files.h"
#include "base/hostlist.h"

namespace slipway::daemon {

namespace json = boost::json;
using engine::Situation;

namespace {

constexpr size_t reason_bytes_max = 300;  // in tables; `explain` and `events` have it whole

json::string text(std::string_view raw) {
  const std::string clean = clean_utf8(raw);
  return json::string(clean.data(), clean.size());
}

json::string time_text(TimePoint time) {
  return time == TimePoint{} ? json::string() : json::string(to_iso8601(time));
}

struct Counts {
  uint64_t total = 0, up = 0, busy = 0, booting = 0, down = 0, asleep = 0;
};

bool is_down(const engine::NodeView& node) {
  return node.slurm.base == model::NodeBase::down || node.slurm.base == model::NodeBase::error ||
         node.slurm.has(model::node_fail);
}

// Existing nodes are up or down as Slurm says; ours also by their power.
void count(Counts& counts, const engine::NodeView& node) {
  ++counts.total;
  switch (engine::power_of(node.slurm)) {
    case engine::Power::powering_up:
      ++counts.booting;
      return;
    case engine::Power::down:
      ++(is_down(node) ? counts.down : counts.asleep);
      return;
    case engine::Power::powering_down:
      ++counts.asleep;
      return;
    case engine::Power::up:
      break;
  }
  if (is_down(node)) {
    ++counts.down;
    return;
  }
  ++counts.up;
  if (node.busy) ++counts.busy;
}

// Nothing can be launched in a pool until one of its ways opens again.
struct Pause {
  TimePoint until{};  // epoch: a way is open
  std::string_view why;
};
Pause pause_of(const engine::PoolMemory& pool) {
  Pause pause;
  for (const auto& way : pool.ways) {
    if (!way.open) return {};
    if (pause.until != TimePoint{} && pause.until <= way.not_before) continue;
    pause = {way.not_before, way.why};
  }
  return pause;
}

json::array pools_json(const World& world, const std::vector<Counts>& counts) {
  std::vector<uint64_t> instances(world.cluster.pools.size());
  for (const auto& instance : world.view.instances) {
    if (instance.state != model::InstanceState::gone && instance.pool < instances.size()) ++instances[instance.pool];
  }
  json::array pools;
  for (size_t i = 0; i < world.cluster.pools.size(); ++i) {
    const auto& pool = world.cluster.pools[i];
    const auto* memory = i < world.memory.pools.size() ? &world.memory.pools[i] : nullptr;
    const Pause pause = memory != nullptr ? pause_of(*memory) : Pause{};
    pools.push_back({{"name", text(pool.name.str())},
                     {"max", pool.max},
                     {"warm", pool.warm.usual.count},
                     {"up", counts[i].up},
                     {"busy", counts[i].busy},
                     {"booting", counts[i].booting},
                     {"failed", counts[i].down},
                     {"instances", instances[i]},
                     {"not_before", time_text(pause.until)},
                     {"why", text(pause.why)},
                     {"short", memory != nullptr && memory->held}});
  }
  return pools;
}

const slurm::Job* find_job(const World& world, std::string_view wanted) {
  for (const auto& job : world.jobs) {
    if (job.array_id == wanted || std::to_string(job.id) == wanted) return &job;
  }
  return nullptr;
}

std::unordered_map<std::string, json::array> jobs_by_node(const World& world) {
  std::unordered_map<std::string, json::array> jobs;
  for (const auto& job : world.jobs) {
    if (job.nodes.empty()) continue;
    const auto nodes = expand_hostlist(job.nodes);
    if (!nodes) continue;
    for (const auto& node : *nodes) jobs[node].push_back(job.id);
  }
  return jobs;
}

}  // namespace

std::string clean_utf8(std::string_view raw) {
  std::string clean;
  clean.reserve(raw.size());
  for (size_t i = 0; i < raw.size();) {
    const auto lead = static_cast<unsigned char>(raw[i]);
    const size_t length = lead < 0x80                   ? 1
                          : lead >= 0xc2 && lead < 0xe0 ? 2
                          : lead >= 0xe0 && lead < 0xf0 ? 3
                          : lead >= 0xf0 && lead < 0xf5 ? 4
                                                        : 0;
    bool good = length > 0 && i + length <= raw.size();
    for (size_t k = 1; good && k < length; ++k) good = (static_cast<unsigned char>(raw[i + k]) & 0xc0) == 0x80;
    if (good && length >= 3) {
      const auto second = static_cast<unsigned char>(raw[i + 1]);
      good = !(lead == 0xe0 && second < 0xa0) && !(lead == 0xed && second > 0x9f) && !(lead == 0xf0 && second < 0x90) &&
             !(lead == 0xf4 && second > 0x8f);
    }
    if (good) {
      clean.append(raw.substr(i, length));
      i += length;
    } else {
      clean += '?';
      ++i;
    }
  }
  return clean;
}

std::string state_words(model::SlurmNodeState state) {
  struct Name {
    model::NodeFlag flag;
    const char* words;
  };
  static constexpr Name names[] = {{model::node_drain, "DRAIN"},
                                   {model::node_completing, "COMPLETING"},
                                   {model::node_not_responding, "NOT_RESPONDING"},
                                   {model::node_fail, "FAIL"},
                                   {model::node_invalid_reg, "INVALID_REG"},
                                   {model::node_powered_down, "POWERED_DOWN"},
                                   {model::node_powering_up, "POWERING_UP"},
                                   {model::node_powering_down, "POWERING_DOWN"},
                                   {model::node_power_down_requested, "POWER_DOWN"},
                                   {model::node_power_up_requested, "POWER_UP"},
                                   {model::node_reboot, "REBOOT"},
                                   {model::node_reserved, "RESERVED"},
                                   {model::node_maintenance, "MAINTENANCE"},
                                   {model::node_planned, "PLANNED"}};
  static constexpr const char* bases[] = {"UNKNOWN", "DOWN", "ERROR", "IDLE", "ALLOCATED", "MIXED", "FUTURE"};
  const auto base = static_cast<size_t>(state.base);
  std::string words = base < std::size(bases) ? bases[base] : "UNKNOWN";
  for (const auto& name : names) {
    if (state.has(name.flag)) words += std::string("+") + name.words;
  }
  return words;
}

std::string answer_ok(std::string_view result_json) {
  std::string answer;
  answer.reserve(result_json.size() + 24);
  answer += R"({"ok":true,"result":)";
  answer += result_json;
  answer += '}';
  return answer;
}

std::string answer_error(const Error& error) {
  const auto code = to_string(error.code);
  return json::serialize(json::object{
      {"ok", false}, {"error", {{"code", json::string(code.data(), code.size())}, {"message", text(error.message)}}}});
}

std::string encode_status(const World& world, uint64_t rss_kib) {
  Counts all;
  std::vector<Counts> by_pool(world.cluster.pools.size());
  for (const auto& node : world.view.nodes) {
    count(all, node);
    if (node.pool < by_pool.size()) count(by_pool[node.pool], node);
  }
  uint64_t instances = 0;
  for (const auto& instance : world.view.instances) instances += instance.state != model::InstanceState::gone ? 1 : 0;
  uint64_t bound = 0;
  for (const auto* instance : instances_of_nodes(world)) bound += instance != nullptr ? 1 : 0;
  uint64_t pending = 0, configuring = 0, running = 0;
  for (const auto& job : world.jobs) {
    pending += job.state == "PENDING" ? 1 : 0;
    configuring += job.state == "CONFIGURING" ? 1 : 0;
    running += job.state == "RUNNING" ? 1 : 0;
  }
  const auto& view = world.view;
  return json::serialize(json::object{
      {"cluster", text(world.cluster.name)},
      {"daemon",
       {{"version", SLIPWAY_VERSION}, {"pid", getpid()}, {"started", time_text(world.started)}, {"rss_kib", rss_kib}}},
      {"lease", {{"holder", text(world.lease.holder)}, {"epoch", world.lease.epoch}}},
      {"slurm",
       {{"version", text(world.slurm_version)},
        {"known", view.slurm_known},
        {"as_of", time_text(view.slurm_as_of)},
        {"error", text(world.slurm_error.empty() ? world.jobs_error : world.slurm_error)}}},
      {"provider",
       {{"complete", view.instances_complete},
        {"as_of", time_text(view.instances_as_of)},
        {"error", text(world.provider_error)}}},
      {"nodes",
       {{"total", all.total},
        {"up", all.up},
        {"busy", all.busy},
        {"booting", all.booting},
        {"down", all.down},
        {"asleep", all.asleep}}},
      {"instances", {{"total", instances}, {"unbound", instances - std::min(bound, instances)}}},
      {"jobs", {{"pending", pending}, {"configuring", configuring}, {"running", running}}},
      {"pools", pools_json(world, by_pool)}});
}

Result<std::string> encode_nodes(const World& world, std::string_view pool, bool all) {
  const auto& pools = world.cluster.pools;
  const auto wanted =
      std::find_if(pools.begin(), pools.end(), [&](const model::Pool& one) { return one.name.str() == pool; });
  if (!pool.empty() && wanted == pools.end()) {
    return fail(ErrorCode::not_found, "there is no pool \"" + std::string(pool) + "\" in the cluster file");
  }
  auto jobs = jobs_by_node(world);
  const auto instances = instances_of_nodes(world);
  json::array nodes;
  for (size_t i = 0; i < world.view.nodes.size(); ++i) {
    const auto& node = world.view.nodes[i];
    if (!pool.empty() && node.pool != static_cast<engine::PoolIndex>(wanted - pools.begin())) continue;
    // Before the first round nothing is classified; what Slurm says must do.
    const bool asleep = i < world.situations.size() ? world.situations[i] == Situation::asleep
                                                    : node.pool != engine::no_pool &&
                                                          node.slurm.has(model::node_powered_down) && !is_down(node);
    if (asleep && !all) continue;
    const auto situation = i < world.situations.size() ? engine::to_string(world.situations[i]) : std::string_view();
    const auto memory = world.memory.nodes.find(node.name);
    const auto* instance = instances[i];
    json::object entry{{"node", text(node.name.str())},
                       {"pool", node.pool < pools.size() ? text(pools[node.pool].name.str()) : json::string()},
                       {"state", state_words(node.slurm)},
                       {"situation", text(situation)},
                       {"since", memory != world.memory.nodes.end() ? time_text(memory->second.since) : json::string()},
                       {"instance", instance != nullptr ? text(instance->id.str()) : json::string()},
                       {"address", instance != nullptr ? text(instance->address) : json::string()},
                       {"reason", text(std::string_view(node.reason).substr(0, reason_bytes_max))}};
    const auto found = jobs.find(node.name.str());
    entry["jobs"] = found != jobs.end() ? std::move(found->second) : json::array();
    nodes.push_back(std::move(entry));
  }
  return json::serialize(nodes);
}

std::string encode_jobs(const World& world) {
  json::array jobs;
  jobs.reserve(world.jobs.size());
  for (const auto& job : world.jobs) {
    jobs.push_back({{"job", job.id},
                    {"array", text(job.array_id)},
                    {"name", text(job.name)},
                    {"user", text(job.user)},
                    {"partition", text(job.partition)},
                    {"state", text(job.state)},
                    {"reason", text(job.reason)},
                    {"nodes", text(job.nodes)},
                    {"node_count", job.node_count},
                    {"comment", text(job.admin_comment)}});
  }
  return json::serialize(jobs);
}

std::string encode_events(const std::vector<journal::Event>& events) {
  json::array list;
  list.reserve(events.size());
  for (const auto& event : events) {
    list.push_back({{"id", event.id},
                    {"at", time_text(event.at)},
                    {"kind", text(event.kind)},
                    {"pool", text(event.pool)},
                    {"node", text(event.node)},
                    {"instance", text(event.instance)},
                    {"job", event.job},
                    {"message", text(event.message)}});
  }
  return json::serialize(list);
}

Result<std::string> explain_node_json(const World& world, TimePoint now, const NodeName& node) {
  if (!world.view.slurm_known && world.view.nodes.empty()) {
    return fail(ErrorCode::transient, "slurmctld has not answered yet: " + world.slurm_error);
  }
  const auto words = engine::explain_node(world.view, world.spec, world.memory, now, node);
  if (words.empty()) return fail(ErrorCode::not_found, "Slurm knows no node \"" + node.str() + "\"");
  return json::serialize(json::object{{"text", text(words)}});
}

Result<std::string> explain_job_json(const World& world, TimePoint now, std::string_view wanted) {
  const auto* job = find_job(world, wanted);
  if (job == nullptr) {
    if (!world.jobs_error.empty()) return fail(ErrorCode::transient, "squeue doesn't answer: " + world.jobs_error);
    return fail(ErrorCode::not_found, "job " + std::string(wanted) + " neither waits nor runs; `sacct -j " +
                                          std::string(wanted) + "` may remember it");
  }
  engine::JobView view;
  view.id = job->id;
  view.running = job->state == "RUNNING";
  view.requeueable = job->requeueable;
  if (const auto names = expand_hostlist(job->nodes)) {
    for (const auto& name : *names) view.nodes.emplace_back(name);
  }
  return json::serialize(json::object{
      {"text", text(engine::explain_job(world.view, world.spec, world.memory, now, view, job->state, job->reason))}});
}

Result<std::string> encode_location(const World& world, const NodeName& name) {
  for (const auto& node : world.view.nodes) {
    if (node.name != name) continue;
    const auto* instance = instance_of(world, node);
    if (instance == nullptr)
      return fail(ErrorCode::not_found, name.str() + " has no machine now (" + state_words(node.slurm) + ")");
    return json::serialize(json::object{{"instance", text(instance->id.str())}, {"address", text(instance->address)}});
  }
  return fail(ErrorCode::not_found, "Slurm knows no node \"" + name.str() + "\"");
}

uint64_t own_rss_kib() {
  const auto statm = read_file("/proc/self/statm");
  if (!statm) return 0;
  const auto space = statm->find(' ');
  if (space == std::string::npos) return 0;
  const uint64_t pages = std::strtoull(statm->c_str() + space, nullptr, 10);
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) / 1024;
}

}  // namespace slipway::daemon
