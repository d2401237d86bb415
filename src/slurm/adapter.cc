#include "slurm/adapter.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>
#include <thread>

#include "base/hostlist.h"
#include "base/subprocess.h"
#include "slurm/commands.h"

namespace slipway::slurm {
namespace {

// Refused lists are taken apart for no longer than this; what was not tried by then is reported with the refused ones.
constexpr std::chrono::seconds take_apart_max{60};
constexpr size_t names_in_message_max = 400;

Result<CommandOutput> run_raw(const Adapter::Options& options, std::vector<std::string> argv) {
  Command command;
  command.argv = std::move(argv);
  command.timeout = options.timeout;
  // Times are printed in this process's zone and format.
  command.environment = {{"TZ", "UTC0"}, {"SLURM_TIME_FORMAT", "standard"}, {"LC_ALL", "C"}};
  if (!options.conf.empty()) command.environment["SLURM_CONF"] = options.conf;
  auto output = run_command(command);
  if (!output && output.error().code == ErrorCode::not_found) {
    return fail(ErrorCode::not_found, command.argv[0] + " is not installed: install Debian's package slurm-client");
  }
  return output;
}

Failure failure_of(const std::string& what, const CommandOutput& output) {
  std::string message = output.err.empty() ? output.out : output.err;
  while (!message.empty() && message.back() == '\n') message.pop_back();
  const ErrorCode code = is_unreachable(message) ? ErrorCode::transient : ErrorCode::permanent;
  return fail(code, what + " failed: " + message);
}

Result<std::string> run(const Adapter::Options& options, std::vector<std::string> argv) {
  const std::string what = argv[0] + (argv.size() > 1 ? " " + argv[1] : "");
  auto output = run_raw(options, std::move(argv));
  if (!output) return Failure(output.error());
  if (output->exit_status != 0) return failure_of(what, *output);
  return std::move(output->out);
}

Result<void> run_quietly(const Adapter::Options& options, std::vector<std::string> argv) {
  if (auto output = run(options, std::move(argv)); !output) return Failure(output.error());
  return {};
}

struct Refused {
  std::vector<std::string> nodes;
  std::string why;
};

// Runs the update; takes it apart when it is refused. Fails only when slurmctld cannot be asked.
Result<void> run_update(const Adapter::Options& options, const NodeUpdate& update,
                        std::chrono::steady_clock::time_point deadline, Refused& refused) {
  const auto commands = update_commands(update);
  const bool give_up = update.nodes.size() == 1 || std::chrono::steady_clock::now() >= deadline;
  bool failed = false;
  for (const auto& command : commands) {
    auto output = run(options, command);
    if (output) continue;
    if (output.error().code != ErrorCode::permanent) return Failure(output.error());
    failed = true;
    if (refused.why.empty() || give_up) refused.why = output.error().message;
    if (!give_up) break;
  }
  if (!failed) return {};
  if (give_up) {
    for (const auto& node : update.nodes) refused.nodes.push_back(node.str());
    return {};
  }
  const size_t half = update.nodes.size() / 2;
  if (auto first = run_update(options, slice(update, 0, half), deadline, refused); !first) return first;
  return run_update(options, slice(update, half, update.nodes.size() - half), deadline, refused);
}

constexpr int requeue_looks = 6;
constexpr std::chrono::milliseconds requeue_look_every{150};

std::vector<JobId> parse_job_ids(std::string_view text) {
  std::vector<JobId> jobs;
  for (const char* at = text.data(); at < text.data() + text.size();) {
    JobId job = 0;
    const auto [rest, error] = std::from_chars(at, text.data() + text.size(), job);
    if (error == std::errc{} && std::find(jobs.begin(), jobs.end(), job) == jobs.end()) jobs.push_back(job);
    at = std::max(rest, at + 1);
  }
  return jobs;
}

// Lines of "id reason".
std::vector<JobId> parse_jobs_held_by(std::string_view text, std::string_view reason) {
  std::vector<JobId> jobs;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t gap = line.find(' ');
    if (gap == line.npos || line.substr(gap + 1) != reason) continue;
    for (const JobId job : parse_job_ids(line.substr(0, gap))) jobs.push_back(job);
  }
  return jobs;
}

std::string random_mark() {
  std::random_device random;
  return std::to_string(random()) + std::to_string(random()) + ">";
}

}  // namespace

Result<Version> parse_version(std::string_view text) {
  const size_t digit = text.find_first_of("0123456789");
  Version version;
  const char* at = text.data() + std::min(digit, text.size());
  const char* const end = text.data() + text.size();
  int* const parts[] = {&version.major, &version.minor, &version.patch};
  size_t found = 0;
  for (int* part : parts) {
    const auto [rest, error] = std::from_chars(at, end, *part);
    if (error != std::errc{}) break;
    ++found;
    at = rest;
    if (at == end || *at != '.') break;
    ++at;
  }
  if (found < 2)
    return fail(ErrorCode::bad_config, "not a version of Slurm: \"" + std::string(text.substr(0, 80)) + "\"");
  return version;
}

Result<Version> installed_version() {
  for (const char* program : {"slurmctld", "scontrol"}) {
    const std::string path = find_program(program);
    if (path.empty()) continue;
    auto text = run_checked({.argv = {path, "-V"}});
    if (!text) return Failure(text.error());
    return parse_version(*text);
  }
  return fail(ErrorCode::not_found, "Slurm is not installed here: install Debian's package slurmctld");
}

Adapter::Adapter(Options options) : options_(std::move(options)) {}

Result<std::vector<Node>> Adapter::nodes() const {
  auto text = run(options_, {"scontrol", "-a", "-o", "show", "node"});
  if (!text) return Failure(text.error());
  return parse_nodes(*text);
}

Result<std::vector<Node>> Adapter::nodes(const std::vector<NodeName>& names) const {
  std::vector<Node> nodes;
  // The same halving as an update's, for the same limit of an argument.
  for (auto& command : update_commands({NodeChange::resume, names, {}, {}, {}})) {
    const std::string hostlist = command[2].substr(command[2].find('=') + 1);
    auto output = run_raw(options_, {"scontrol", "-a", "-o", "show", "node", hostlist});
    if (!output) return Failure(output.error());
    // With an unknown name among them, scontrol shows the others and exits with 1.
    const bool answered = output->exit_status == 0 || output->out.find("NodeName=") != std::string::npos ||
                          output->out.find(" not found") != std::string::npos ||
                          output->err.find(" not found") != std::string::npos;
    if (!answered) return failure_of("scontrol show node", *output);
    auto part = parse_nodes(output->out);
    nodes.insert(nodes.end(), std::make_move_iterator(part.begin()), std::make_move_iterator(part.end()));
  }
  return nodes;
}

Result<std::vector<Job>> Adapter::jobs() const {
  const std::string mark = random_mark();
  auto text = run(options_, {"squeue", "-h", "-a", "-S", "-p,i", "-o", squeue_format(mark)});
  if (!text) return Failure(text.error());
  return parse_jobs(marked_lines(*text, mark));
}

Result<void> Adapter::update(const NodeUpdate& update) const {
  Refused refused;
  std::vector<JobId> interrupted;
  if (update.change == NodeChange::down && update.jobs_may_restart) interrupted = jobs_on(update.nodes);
  if (auto done = run_update(options_, update, std::chrono::steady_clock::now() + take_apart_max, refused); !done)
    return done;
  restart_requeued(std::move(interrupted));
  if (refused.nodes.empty()) return {};
  std::string names = compress_hostlist(refused.nodes);
  if (names.size() > names_in_message_max) names = names.substr(0, names_in_message_max) + " …";
  return fail(ErrorCode::permanent, "Slurm refused " + names + ": " + refused.why);
}

Result<void> Adapter::reconfigure() const {
  return run_quietly(options_, {"scontrol", "reconfigure"});
}

Result<void> Adapter::ping() const {
  auto text = run(options_, {"scontrol", "ping"});
  if (!text) return Failure(Error{ErrorCode::transient, text.error().message});
  if (text->find(" is UP") == text->npos) return fail(ErrorCode::transient, "slurmctld does not answer");
  return {};
}

Result<void> Adapter::set_job_comment(JobId job, const std::string& comment) const {
  return run_quietly(options_, {"scontrol", "update", "JobId=" + std::to_string(job), "AdminComment=" + comment});
}

Result<void> Adapter::start_now(JobId job) const {
  return run_quietly(options_, {"scontrol", "update", "JobId=" + std::to_string(job), "StartTime=now"});
}

// Best effort from here on: a job that is missed starts a minute later.
std::vector<JobId> Adapter::jobs_on(const std::vector<NodeName>& nodes) const {
  std::vector<std::string> names;
  for (const auto& node : nodes) names.push_back(node.str());
  const std::string hostlist = compress_hostlist(names);
  if (hostlist.size() > argument_max) return {};
  const auto text = run(options_, {"squeue", "-h", "-a", "-w", hostlist, "-t", "RUNNING,SUSPENDED", "-o", "%A"});
  return text ? parse_job_ids(*text) : std::vector<JobId>{};
}

void Adapter::restart_requeued(std::vector<JobId> jobs) const {
  // Slurm requeues at once, but shows the reason that makes the job wait a moment later.
  for (int look = 0; look < requeue_looks && !jobs.empty(); ++look) {
    if (look > 0) std::this_thread::sleep_for(requeue_look_every);
    std::string list;
    for (const JobId job : jobs) list += (list.empty() ? "" : ",") + std::to_string(job);
    const auto text = run(options_, {"squeue", "-h", "-a", "-j", list, "-t", "PENDING", "-o", "%A %r"});
    if (!text) return;
    for (const JobId job : parse_jobs_held_by(*text, "BeginTime")) {
      if (start_now(job)) std::erase(jobs, job);
    }
  }
}

}  // namespace slipway::slurm
