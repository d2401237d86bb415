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

// A job that is requeued while it runs first has to end; who takes longer sits out the delay.
constexpr int requeue_looks = 9;
constexpr std::chrono::milliseconds requeue_look_first{100};  // each later one after 3/2 of the time; 5 s in all

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

struct JobLine {
  JobId id = 0;
  std::string name;  // "12_7" for a task of an array, else the id
  std::string state;
};

// squeue's answer in the format "%A %i %T".
std::vector<JobLine> parse_job_lines(std::string_view text) {
  std::vector<JobLine> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t first = line.find(' ');
    const size_t second = first == line.npos ? first : line.find(' ', first + 1);
    if (second == line.npos) continue;
    JobLine job;
    std::from_chars(line.data(), line.data() + first, job.id);
    job.name = line.substr(first + 1, second - first - 1);
    // Tasks that still wait have one line together, "12_[3-7]": the array's number stands for them.
    if (job.name.find('[') != job.name.npos) job.name = std::to_string(job.id);
    job.state = line.substr(second + 1);
    if (job.id != 0) lines.push_back(std::move(job));
  }
  return lines;
}

Result<std::vector<JobLine>> look_at(const Adapter::Options& options, const std::vector<JobId>& jobs) {
  std::string list;
  for (const JobId job : jobs) list.append(list.empty() ? "" : ",").append(std::to_string(job));
  auto output = run_raw(options, {"squeue", "-h", "-a", "-t", "all", "-j", list, "-o", "%A %i %T"});
  if (!output) return Failure(output.error());
  // Asked for one job that it no longer knows, squeue says so and fails; of several it leaves it out.
  if (output->exit_status != 0 && !without_ended_jobs(output->err).empty()) return failure_of("squeue", *output);
  auto lines = parse_job_lines(output->out);
  // An array's number brings all of its tasks.
  std::erase_if(lines, [&](const JobLine& line) { return std::find(jobs.begin(), jobs.end(), line.id) == jobs.end(); });
  return lines;
}

Result<void> run_job_command(const Adapter::Options& options, const JobUpdate& update) {
  std::vector<std::string> names;
  if (update.change == JobChange::comment) {
    for (const JobId job : update.jobs) names.push_back(std::to_string(job));
  } else {
    auto jobs = look_at(options, update.jobs);
    if (!jobs) return Failure(jobs.error());
    for (auto& job : *jobs) {
      // scancel asks again and again, for minutes, while a job has nothing to signal.
      const bool deaf = update.change == JobChange::signal && job.state != "RUNNING";
      if (!deaf) names.push_back(std::move(job.name));
    }
  }
  if (names.empty()) return {};
  const auto argv = job_command(update, names);
  auto output = run_raw(options, argv);
  if (!output) return Failure(output.error());
  if (output->exit_status == 0) return {};
  // Slurm goes on after a job that it refuses, and says a line of each.
  output->err = without_ended_jobs(output->err + output->out);
  output->out.clear();
  if (output->err.empty()) return {};
  return failure_of(argv[0] + " for " + std::to_string(names.size()) + " jobs", *output);
}

// Best effort from here on: a job that is missed starts a minute later.
std::vector<JobId> jobs_on(const Adapter::Options& options, const std::vector<NodeName>& nodes, const char* states) {
  std::vector<std::string> names;
  for (const auto& node : nodes) names.push_back(node.str());
  const std::string hostlist = compress_hostlist(names);
  if (hostlist.size() > argument_max) return {};
  const auto text = run(options, {"squeue", "-h", "-a", "-w", hostlist, "-t", states, "-o", "%A"});
  return text ? parse_job_ids(*text) : std::vector<JobId>{};
}

// The jobs had nodes a moment ago, so one that is PENDING was requeued, whatever its reason says: Slurm passes through
// None and Cleaning, for seconds, before BeginTime. While it is COMPLETING its start can't be set.
void restart_requeued(const Adapter::Options& options, std::vector<JobId> jobs, std::chrono::milliseconds rest) {
  auto pause = requeue_look_first;
  for (int look = 0; look < requeue_looks && !jobs.empty(); ++look) {
    if (look > 0) std::this_thread::sleep_for(std::exchange(pause, pause * 3 / 2));
    const auto lines = look_at(options, jobs);
    if (!lines) return;
    jobs.clear();
    std::string pending;
    for (const auto& job : *lines) {
      if (job.state == "COMPLETING") jobs.push_back(job.id);
      if (job.state == "PENDING") pending.append(pending.empty() ? "" : ",").append(job.name);
    }
    if (pending.empty()) continue;
    std::this_thread::sleep_for(rest);
    (void)run(options, {"scontrol", "update", "JobId=" + pending, "StartTime=now"});
  }
}

// A slurmd that ended a job refuses what was signed in the same second or before ("already killed"), so a job that ran
// may not start on one of its nodes again at once. A later StartTime would wait for Slurm's next pass.
constexpr std::chrono::milliseconds had_run{1'200};
constexpr std::chrono::milliseconds never_ran{0};

std::string random_mark() {
  std::random_device random;
  return "<" + std::to_string(random()) + std::to_string(random()) + ">";
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
  auto text = run(options_, {"squeue", "-h", "-a", "-S", "-p,i", "-O", squeue_format(mark)});
  if (!text) return Failure(text.error());
  return parse_jobs(*text, mark);
}

Result<void> Adapter::update(const NodeUpdate& update) const {
  Refused refused;
  std::vector<JobId> interrupted;
  std::vector<JobId> waiting;
  if (update.change == NodeChange::down && update.jobs_may_restart) {
    interrupted = jobs_on(options_, update.nodes, "RUNNING,SUSPENDED");
    waiting = jobs_on(options_, update.nodes, "CONFIGURING");
  }
  if (auto done = run_update(options_, update, std::chrono::steady_clock::now() + take_apart_max, refused); !done)
    return done;
  restart_requeued(options_, std::move(waiting), never_ran);
  restart_requeued(options_, std::move(interrupted), had_run);
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

Result<void> Adapter::update(const JobUpdate& update) const {
  Result<void> done;
  for (size_t first = 0; first < update.jobs.size(); first += jobs_per_command) {
    const auto begin = update.jobs.begin() + static_cast<ptrdiff_t>(first);
    const size_t count = std::min(jobs_per_command, update.jobs.size() - first);
    JobUpdate part{update.change, {begin, begin + static_cast<ptrdiff_t>(count)}, update.text};
    auto part_done = run_job_command(options_, part);
    if (!part_done && part_done.error().code != ErrorCode::permanent) return part_done;
    if (!part_done) done = std::move(part_done);
    if (update.change == JobChange::requeue) restart_requeued(options_, std::move(part.jobs), had_run);
  }
  return done;
}

}  // namespace slipway::slurm
