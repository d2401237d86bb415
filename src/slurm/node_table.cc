#include "slurm/node_table.h"

#include <array>
#include <charconv>
#include <cstring>

namespace slipway::slurm {
namespace {

using model::NodeBase;
using model::SlurmNodeState;

struct BaseWord {
  std::string_view word;
  NodeBase base;
};
constexpr std::array base_words = {
    BaseWord{"UNKNOWN", NodeBase::unknown},     BaseWord{"DOWN", NodeBase::down},
    BaseWord{"ERROR", NodeBase::error},         BaseWord{"IDLE", NodeBase::idle},
    BaseWord{"ALLOCATED", NodeBase::allocated}, BaseWord{"ALLOC", NodeBase::allocated},
    BaseWord{"MIXED", NodeBase::mixed},         BaseWord{"FUTURE", NodeBase::future},
};

struct FlagWord {
  std::string_view word;
  uint32_t flag;
};
// Long words are scontrol's; the others appear in compact forms or were renamed between releases.
constexpr std::array flag_words = {
    FlagWord{"CLOUD", model::node_cloud},
    FlagWord{"DRAIN", model::node_drain},
    FlagWord{"DRAINING", model::node_drain},
    FlagWord{"DRAINED", model::node_drain},
    FlagWord{"COMPLETING", model::node_completing},
    FlagWord{"NOT_RESPONDING", model::node_not_responding},
    FlagWord{"NO_RESPOND", model::node_not_responding},
    FlagWord{"FAIL", model::node_fail},
    FlagWord{"FAILING", model::node_fail},
    FlagWord{"INVALID_REG", model::node_invalid_reg},
    FlagWord{"INVAL", model::node_invalid_reg},
    FlagWord{"POWERED_DOWN", model::node_powered_down},
    FlagWord{"POWERING_UP", model::node_powering_up},
    FlagWord{"POWERING_DOWN", model::node_powering_down},
    FlagWord{"POWER_DOWN", model::node_power_down_requested},
    FlagWord{"POWER_UP", model::node_power_up_requested},
    FlagWord{"REBOOT", model::node_reboot},
    FlagWord{"REBOOT_REQUESTED", model::node_reboot},
    FlagWord{"REBOOT_ISSUED", model::node_reboot},
    FlagWord{"RESERVED", model::node_reserved},
    FlagWord{"MAINT", model::node_maintenance},
    FlagWord{"MAINTENANCE", model::node_maintenance},
    FlagWord{"PLANNED", model::node_planned},
};

// The marks that Slurm's short forms put behind a base state ("IDLE*", "ALLOC#").
uint32_t flag_of_mark(char mark) {
  switch (mark) {
    case '*':
      return model::node_not_responding;
    case '~':
      return model::node_powered_down;
    case '#':
      return model::node_powering_up;
    case '%':
      return model::node_powering_down;
    case '!':
      return model::node_power_down_requested;
    case '@':
      return model::node_reboot;
    case '^':
      return model::node_reboot;
    case '$':
      return model::node_maintenance;
    case '-':
      return model::node_planned;
    default:
      return 0;
  }
}

void apply_word(std::string_view word, SlurmNodeState& state) {
  while (!word.empty() && (word.back() < 'A' || word.back() > 'Z')) {
    state.flags |= flag_of_mark(word.back());
    word.remove_suffix(1);
  }
  for (const auto& known : base_words) {
    if (known.word == word) {
      state.base = known.base;
      return;
    }
  }
  for (const auto& known : flag_words) {
    if (known.word == word) {
      state.flags |= known.flag;
      return;
    }
  }
}

template <class Number>
Number number_of(std::string_view text) {
  Number value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// "2026-11-22T13:50:42" (the adapter asks for UTC); anything else is the epoch.
TimePoint time_of(std::string_view text) {
  if (text.size() < 19 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
    return {};
  const auto part = [&](size_t at, size_t size) { return number_of<int>(text.substr(at, size)); };
  const std::chrono::year_month_day date{std::chrono::year{part(0, 4)},
                                         std::chrono::month{static_cast<unsigned>(part(5, 2))},
                                         std::chrono::day{static_cast<unsigned>(part(8, 2))}};
  if (!date.ok()) return {};
  return std::chrono::time_point_cast<Duration>(std::chrono::sys_days{date}) + std::chrono::hours{part(11, 2)} +
         std::chrono::minutes{part(14, 2)} + std::chrono::seconds{part(17, 2)};
}

// Reason is the one value with spaces that matters. scontrol appends " [user@time]"; what may follow is another key or
// nothing.
std::string_view reason_of(std::string_view rest) {
  for (const std::string_view next :
       {" Comment=", " Extra=", " ReservationName=", " NextState=", " InstanceId=", " ResumeAfterTime="}) {
    rest = rest.substr(0, rest.find(next));
  }
  while (!rest.empty() && rest.back() == ' ') rest.remove_suffix(1);
  if (!rest.empty() && rest.back() == ']') {
    const size_t bracket = rest.rfind(" [");
    if (bracket != rest.npos && rest.find('@', bracket) != rest.npos) rest = rest.substr(0, bracket);
  }
  return rest;
}

void apply_key(std::string_view key, std::string_view value, Node& node) {
  // Keys come in scontrol's order and the first of a kind counts, so that free text further on cannot pose as one.
  const auto text = [&](std::string& field) {
    if (field.empty() && value != "(null)") field = value;
  };
  switch (key.size()) {
    case 5:
      if (key == "State" && node.state == SlurmNodeState{}) node.state = parse_node_state(value);
      break;
    case 6:
      if (key == "CPUTot" && node.cpus_total == 0) node.cpus_total = number_of<uint32_t>(value);
      break;
    case 8:
      if (key == "NodeAddr") text(node.address);
      if (key == "CPUAlloc" && node.cpus_allocated == 0) node.cpus_allocated = number_of<uint32_t>(value);
      break;
    case 10:
      if (key == "Partitions") text(node.partitions);
      break;
    case 12:
      if (key == "NodeHostName") text(node.hostname);
      if (key == "LastBusyTime" && node.last_busy == TimePoint{}) node.last_busy = time_of(value);
      break;
    case 15:
      if (key == "SlurmdStartTime" && node.slurmd_started == TimePoint{}) node.slurmd_started = time_of(value);
      break;
    case 17:
      if (key == "AvailableFeatures") text(node.features);
      break;
    default:
      break;
  }
}

Node parse_line(std::string_view line) {
  Node node;
  size_t at = 0;
  while (at < line.size()) {
    const void* const found = std::memchr(line.data() + at, '=', line.size() - at);
    if (found == nullptr) break;
    const size_t equals = static_cast<size_t>(static_cast<const char*>(found) - line.data());
    size_t start = equals;
    while (start > at && line[start - 1] != ' ') --start;
    const std::string_view key = line.substr(start, equals - start);
    if (key == "Reason") {
      node.reason = reason_of(line.substr(equals + 1));
      break;
    }
    size_t end = line.find(' ', equals);
    if (end == line.npos) end = line.size();
    const std::string_view value = line.substr(equals + 1, end - equals - 1);
    if (start == 0 && key == "NodeName") {
      node.name = NodeName(value);
    } else {
      apply_key(key, value, node);
    }
    at = end;
  }
  return node;
}

template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    visit(text.substr(0, end));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
}

}  // namespace

model::SlurmNodeState parse_node_state(std::string_view text) {
  SlurmNodeState state;
  while (!text.empty()) {
    const size_t end = text.find('+');
    apply_word(text.substr(0, end), state);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return state;
}

std::vector<Node> parse_nodes(std::string_view scontrol_output) {
  std::vector<Node> nodes;
  for_each_line(scontrol_output, [&](std::string_view line) {
    if (!line.starts_with("NodeName=")) return;
    Node node = parse_line(line);
    if (!node.name.empty()) nodes.push_back(std::move(node));
  });
  return nodes;
}

std::vector<Job> parse_jobs(std::string_view squeue_output, std::string_view mark) {
  std::vector<Job> jobs;
  std::array<std::string_view, 13> field;
  while (!mark.empty()) {
    for (auto& value : field) {
      const size_t end = squeue_output.find(mark);
      if (end == squeue_output.npos) return jobs;
      value = squeue_output.substr(0, end);
      squeue_output.remove_prefix(end + mark.size());
    }
    squeue_output.remove_prefix(squeue_output.starts_with('\n') ? 1 : 0);
    Job job;
    job.id = number_of<JobId>(field[0]);
    if (job.id == 0) continue;
    job.array_id = field[1];
    job.state = field[2];
    job.node_count = number_of<uint32_t>(field[3]);
    job.priority = number_of<uint64_t>(field[4]);
    job.user = field[5];
    job.partition = field[6];
    job.nodes = field[7];
    job.reason = field[8];
    // Slurm says "may be requeued" of srun's and salloc's jobs too, and then ends them.
    job.requeueable = field[9] == "1" && field[10] == "1";
    if (field[11] != "(null)") job.admin_comment = field[11];
    job.name = field[12];
    jobs.push_back(std::move(job));
  }
  return jobs;
}

}  // namespace slipway::slurm
