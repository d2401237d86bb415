#include "slurm/commands.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/hostlist.h"

namespace slipway::slurm {
namespace {

constexpr size_t reason_max = 200;
constexpr size_t comment_max = 400;

std::vector<std::string> to_texts(const std::vector<NodeName>& names) {
  std::vector<std::string> texts;
  texts.reserve(names.size());
  for (const auto& name : names) texts.push_back(name.str());
  return texts;
}

// One line of harmless text: Slurm stores it as it is and prints it between its own keys.
std::string one_line(std::string_view text, size_t size_max) {
  std::string line(text.substr(0, size_max));
  std::replace_if(
      line.begin(), line.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 127; }, ' ');
  return line;
}

std::vector<std::string> update_command(const NodeUpdate& update) {
  std::vector<std::string> argv{"scontrol", "update"};
  const auto names = to_texts(update.nodes);
  if (update.change == NodeChange::bind) {
    // Slurm pairs the three lists by position.
    argv.push_back("NodeName=" + compress_hostlist_ordered(names));
    argv.push_back("NodeAddr=" + compress_hostlist_ordered(update.addresses));
    argv.push_back("NodeHostName=" + compress_hostlist_ordered(update.hostnames));
    return argv;
  }
  argv.push_back("NodeName=" + compress_hostlist(names));
  switch (update.change) {
    case NodeChange::bind:
      break;
    case NodeChange::down:
      argv.push_back("State=DOWN");
      break;
    case NodeChange::power_down:
      argv.push_back("State=POWER_DOWN");
      break;
    case NodeChange::power_down_force:
      argv.push_back("State=POWER_DOWN_FORCE");
      break;
    case NodeChange::power_up:
      argv.push_back("State=POWER_UP");
      break;
    case NodeChange::resume:
      argv.push_back("State=RESUME");
      break;
    case NodeChange::drain:
      argv.push_back("State=DRAIN");
      break;
    case NodeChange::undrain:
      argv.push_back("State=UNDRAIN");
      break;
  }
  std::string reason = one_line(update.reason, reason_max);
  const bool needs_reason = update.change == NodeChange::down || update.change == NodeChange::drain;
  if (reason.empty() && needs_reason) reason = "slipway";
  if (!reason.empty()) argv.push_back("Reason=" + reason);
  return argv;
}

}  // namespace

NodeUpdate slice(const NodeUpdate& update, size_t first, size_t count) {
  const auto part = [&](const auto& list) {
    const size_t begin = std::min(first, list.size());
    const size_t end = std::min(begin + count, list.size());
    return std::remove_cvref_t<decltype(list)>(list.begin() + static_cast<ptrdiff_t>(begin),
                                               list.begin() + static_cast<ptrdiff_t>(end));
  };
  return {update.change, part(update.nodes), part(update.addresses), part(update.hostnames), update.reason};
}

std::vector<std::vector<std::string>> update_commands(const NodeUpdate& update, size_t limit) {
  std::vector<std::vector<std::string>> commands;
  if (update.nodes.empty()) return commands;
  if (update.change == NodeChange::bind) {
    SLIPWAY_CHECK(update.addresses.size() == update.nodes.size() && update.hostnames.size() == update.nodes.size());
  }
  auto command = update_command(update);
  const bool fits =
      std::all_of(command.begin(), command.end(), [&](const std::string& argument) { return argument.size() < limit; });
  if (fits || update.nodes.size() == 1) {
    commands.push_back(std::move(command));
    return commands;
  }
  const size_t half = update.nodes.size() / 2;
  commands = update_commands(slice(update, 0, half), limit);
  for (auto& other : update_commands(slice(update, half, update.nodes.size() - half), limit))
    commands.push_back(std::move(other));
  return commands;
}

std::string squeue_format(std::string_view mark) {
  std::string format;
  for (const std::string_view field :
       {"JobID", "JobArrayID", "State", "NumNodes", "PriorityLong", "UserName", "Partition", "NodeList", "Reason",
        "Requeue", "BatchFlag", "admin_comment", "Name"}) {
    // Without a width nothing is cut.
    format.append(format.empty() ? "" : ",").append(field).append(":").append(mark);
  }
  return format;
}

std::vector<std::string> job_command(const JobUpdate& update, const std::vector<std::string>& names) {
  SLIPWAY_CHECK(!names.empty() && names.size() <= jobs_per_command);
  std::string list;
  for (const auto& name : names) list.append(list.empty() ? "" : ",").append(name);
  switch (update.change) {
    case JobChange::signal: {
      // --full: the batch script, its children and the steps. Without it only steps are signalled.
      std::vector<std::string> argv{"scancel", "--full", "--signal=" + update.text};
      argv.insert(argv.end(), names.begin(), names.end());
      return argv;
    }
    case JobChange::requeue:
      return {"scontrol", "requeue", std::move(list)};
    case JobChange::comment:
      break;
  }
  return {"scontrol", "update", "JobId=" + list, "AdminComment=" + one_line(update.text, comment_max)};
}

std::string without_ended_jobs(std::string_view message) {
  constexpr std::array<std::string_view, 3> endings = {"Invalid job id specified", "already completing or completed",
                                                       "Job is pending execution"};
  std::string kept;
  while (!message.empty()) {
    const std::string_view line = message.substr(0, message.find('\n'));
    message.remove_prefix(std::min(message.size(), line.size() + 1));
    const bool ended = std::any_of(endings.begin(), endings.end(),
                                   [&](std::string_view sign) { return line.find(sign) != line.npos; });
    if (!ended && !line.empty()) kept.append(kept.empty() ? "" : "\n").append(line);
  }
  return kept;
}

bool is_unreachable(std::string_view message) {
  constexpr std::array<std::string_view, 7> signs = {
      "Unable to contact slurm controller", "Connection refused", "Connection timed out",    "Socket timed out",
      "Zero Bytes were transmitted",        "in standby mode",    "Slurm temporarily unable"};
  return std::any_of(signs.begin(), signs.end(),
                     [&](std::string_view sign) { return message.find(sign) != message.npos; });
}

}  // namespace slipway::slurm
