#include "slurm/commands.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/check.h"
#include "base/hostlist.h"

namespace slipway::slurm {
namespace {

constexpr size_t reason_max = 200;

std::vector<std::string> to_texts(const std::vector<NodeName>& names) {
  std::vector<std::string> texts;
  texts.reserve(names.size());
  for (const auto& name : names) texts.push_back(name.str());
  return texts;
}

// One line of harmless text: Slurm stores it as it is and prints it between its own keys.
std::string one_line(std::string_view text) {
  std::string line(text.substr(0, reason_max));
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
  }
  std::string reason = one_line(update.reason);
  if (reason.empty() && update.change == NodeChange::down) reason = "slipway";  // Slurm refuses DOWN without one
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
  return std::string(mark) + "%A|%i|%T|%D|%Q|%u|%P|%N|%r|%j";
}

std::string marked_lines(std::string_view text, std::string_view mark) {
  std::string kept;
  kept.reserve(text.size());
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (text.starts_with(mark)) {
      kept.append(text.substr(mark.size(), end - std::min(end, mark.size())));
      kept.push_back('\n');
    }
    text.remove_prefix(std::min(end + 1, text.size()));
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
