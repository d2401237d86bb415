#include "config/config.h"

#include <algorithm>
#include <array>

#include "base/files.h"
#include "config/fields.h"
#include "config/names.h"
#include "config/read.h"
#include "config/tree.h"

namespace slipway::config {
namespace {

constexpr Duration idle_reclaim_default = std::chrono::minutes(10);
constexpr uint64_t controllers_max = 1;
constexpr uint64_t logins_max = 16;
constexpr uint32_t uid_default = 20001;

constexpr std::array<std::string_view, 16> top_keys = {
    "cluster", "provider",   "local",    "azure",        "controllers",     "logins",        "storage", "users",
    "pools",   "partitions", "existing", "idle_reclaim", "reclaim_exclude", "launch_window", "api",     "slurm"};
constexpr std::string_view not_yet = "isn't available yet; leave it out";
constexpr std::array<LaterKey, 4> top_later = {
    {{"accounting", not_yet},
     {"security", not_yet},
     {"budget", not_yet},
     {"aws", "isn't available yet: this release has the providers local and azure; leave it out"}}};
constexpr std::array<Synonym, 7> top_synonyms = {{{"name", "cluster"},
                                                  {"cluster_name", "cluster"},
                                                  {"queues", "partitions"},
                                                  {"nodes", "pools"},
                                                  {"idle_reclaim_time", "idle_reclaim"},
                                                  {"shared", "storage"},
                                                  {"unmanaged", "existing"}}};

void read_local(Context& context, const Field& field, Draft& draft) {
  static constexpr std::array<std::string_view, 1> keys = {"subnet"};
  MapReader map(context.problems, field, {keys});
  auto subnet = map.get("subnet");
  if (!subnet) return;
  draft.subnet_at = subnet->at;
  auto text = read_text(context.problems, *subnet, "a subnet like 198.18.16.0/20");
  if (!text) return;
  if (auto machines = subnet_machines(*text); !machines) {
    context.problems.error(subnet->at, subnet->path + ": " + machines.error().message);
  } else {
    draft.cluster.subnet = *text;
  }
}

void read_top(Context& context, const TreeNode& root, Draft& draft) {
  Problems& problems = context.problems;
  model::Cluster& cluster = draft.cluster;
  MapReader map(problems, {"", root.at, &root}, {top_keys, top_later, top_synonyms});
  if (!map.usable()) return;
  if (auto name = map.get("cluster")) {
    if (auto text = read_text(problems, *name, "the cluster's name")) {
      cluster.name = *text;
      context.cluster = *text;
      if (auto trouble = cluster_name_trouble(*text); !trouble.empty())
        problems.error(name->at, name->path + ": " + trouble);
    }
  } else if (map.lacks("cluster")) {
    problems.error({}, "'cluster' is missing; expected the cluster's name, for example cluster: demo");
  }
  std::optional<model::ProviderKind> provider = model::ProviderKind::local;
  if (auto field = map.get("provider")) provider = read_provider(context, *field);
  cluster.provider = provider.value_or(model::ProviderKind::local);
  if (auto local = map.get("local")) read_local(context, *local, draft);
  if (auto azure = map.get("azure")) draft.azure = read_azure(context, *azure, AzureLevel::cluster);
  if (auto role = map.get("controllers")) {
    cluster.controllers = read_role(
        context, *role, controllers_max,
        "controllers aren't available with provider local yet: this release runs one; set it to 1 or leave it out");
  }
  if (auto role = map.get("logins")) {
    cluster.logins =
        read_role(context, *role, logins_max, "login machines are more than a box needs; expected at most 16");
  }
  cluster.storage = {{"home", "/home"}};
  if (auto storage = map.get("storage")) cluster.storage = read_storage(context, *storage);
  cluster.users = {{"user", uid_default}};
  if (auto users = map.get("users")) cluster.users = read_users(context, *users);
  if (auto pools = map.get("pools")) {
    draft.pools = read_pools(context, *pools, {provider, draft.azure});
  } else if (map.lacks("pools")) {
    problems.error({},
                   "'pools' is missing; expected at least one pool of machines, for example pools: {cpu: {max: 4}}");
  }
  if (auto partitions = map.get("partitions")) draft.partitions = read_partitions(context, *partitions);
  draft.has_partitions = map.has("partitions");
  if (auto existing = map.get("existing")) draft.existing = read_existing(context, *existing);
  cluster.idle_reclaim = idle_reclaim_default;
  if (auto idle = map.get("idle_reclaim"))
    cluster.idle_reclaim = read_idle_reclaim(context, *idle).value_or(idle_reclaim_default);
  if (auto exclude = map.get("reclaim_exclude"))
    draft.reclaim_exclude = read_words(problems, *exclude, "node names like cpu-[0001-0004]");
  if (auto window = map.get("launch_window")) cluster.launch_window = read_launch_window(context, *window);
  if (auto api = map.get("api")) cluster.api = read_api(context, *api);
  if (auto slurm = map.get("slurm")) cluster.slurm = read_passthrough(context, *slurm, SlurmLine::global);
  check_and_join(context, draft);
}

}  // namespace

std::string format(const Problem& problem, std::string_view file) {
  std::string out(file);
  if (problem.line > 0) out += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
  return out + (problem.severity == Severity::error ? ": error: " : ": warning: ") + problem.message;
}

bool Loaded::ok() const {
  return std::none_of(problems.begin(), problems.end(), [](const Problem& p) { return p.severity == Severity::error; });
}

Loaded parse(std::string_view yaml, const std::filesystem::path& folder, bool check_paths) {
  Problems problems;
  Draft draft;
  NodePtr root = read_tree(yaml, problems);
  if (root && root->kind != NodeKind::nothing) {
    Context context{problems, folder, check_paths};
    read_top(context, *root, draft);
  } else if (!problems.has_errors()) {
    problems.error({},
                   "the file describes nothing; expected at least 'cluster' and 'pools', for example\n  cluster: "
                   "demo\n  pools: {cpu: {max: 4}}");
  }
  return {std::move(draft.cluster), problems.take()};
}

Loaded load(const std::filesystem::path& file, bool check_paths) {
  auto refuse = [](std::string message) { return Loaded{{}, {{Severity::error, 0, 0, std::move(message)}}}; };
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) return refuse("is a folder; expected a cluster file");
  if (auto size = std::filesystem::file_size(file, error); !error && size > text_bytes_max) {
    return refuse("has " + std::to_string(size) + " bytes; a cluster file has at most " +
                  std::to_string(text_bytes_max) + "; is it the right file?");
  }
  auto text = read_file(file, text_bytes_max);
  if (!text) return refuse(text.error().message);
  std::filesystem::path folder = std::filesystem::absolute(file, error).parent_path();
  return parse(*text, folder, check_paths);
}

}  // namespace slipway::config
