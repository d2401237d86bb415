#include "slurm/hook_protocol.h"

#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <optional>

#include "base/hostlist.h"

namespace slipway::slurm {
namespace {

namespace json = boost::json;

// All the jobs' node lists together; more is not a resume file that slurmctld wrote.
constexpr size_t names_max = 2'000'000;

std::optional<HintKind> kind_of(std::string_view word) {
  if (word == "resume") return HintKind::resume;
  if (word == "suspend") return HintKind::suspend;
  if (word == "resume_fail") return HintKind::resume_fail;
  if (word == "job_start") return HintKind::job_start;
  return std::nullopt;
}

std::vector<NodeName> to_names(std::vector<std::string> texts) {
  std::vector<NodeName> names;
  names.reserve(texts.size());
  for (auto& text : texts) names.emplace_back(std::move(text));
  return names;
}

std::string_view text_at(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  const json::string* const text = value != nullptr ? value->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

JobId job_id_at(const json::object& object) {
  const json::value* const value = object.if_contains("job_id");
  if (value == nullptr) return 0;
  boost::system::error_code error;
  const auto id = value->to_number<JobId>(error);
  return error ? 0 : id;
}

// The jobs of a resume file, of 22.05 ("nodes") or of 23.02 and later ("nodes_resume"). Nothing when it isn't one.
std::vector<HintJob> jobs_of(std::string_view text) {
  std::vector<HintJob> jobs;
  boost::system::error_code error;
  const json::value document = json::parse(json::string_view(text.data(), text.size()), error);
  const json::object* const top = error ? nullptr : document.if_object();
  const json::value* const list = top != nullptr ? top->if_contains("jobs") : nullptr;
  const json::array* const entries = list != nullptr ? list->if_array() : nullptr;
  if (entries == nullptr) return jobs;
  size_t names_left = names_max;
  for (const json::value& entry : *entries) {
    const json::object* const object = entry.if_object();
    if (object == nullptr) continue;
    std::string_view hostlist = text_at(*object, "nodes_resume");
    if (hostlist.empty()) hostlist = text_at(*object, "nodes");
    const JobId id = job_id_at(*object);
    if (id == 0 || hostlist.empty()) continue;
    auto names = expand_hostlist(hostlist, names_left);
    if (!names) continue;
    names_left -= names->size();
    jobs.push_back({id, to_names(std::move(*names))});
  }
  return jobs;
}

}  // namespace

Result<Hint> decode_hint(std::string_view frame) {
  std::array<std::string_view, 4> field;
  for (auto& value : field) {
    const size_t end = frame.find('\0');
    if (end == frame.npos) return fail(ErrorCode::bad_config, "the hook's message has too few fields");
    value = frame.substr(0, end);
    frame.remove_prefix(end + 1);
  }
  if (field[0] != "1") {
    return fail(ErrorCode::bad_config,
                "the hook speaks another version of the protocol: install slipway-hook and slipwayd together");
  }
  const auto kind = kind_of(field[1]);
  if (!kind) return fail(ErrorCode::bad_config, "the hook's message is of an unknown kind");
  auto names = expand_hostlist(field[2]);
  if (!names) return fail(ErrorCode::bad_config, "the hook's node list is malformed: " + names.error().message);
  Hint hint;
  hint.kind = *kind;
  hint.nodes = to_names(std::move(*names));
  std::from_chars(field[3].data(), field[3].data() + field[3].size(), hint.job);
  if (!frame.empty()) {
    try {
      hint.jobs = jobs_of(frame);
    } catch (const std::exception&) {  // Boost.JSON throws when memory runs out or a limit of its own is exceeded
      hint.jobs.clear();
    }
  }
  return hint;
}

}  // namespace slipway::slurm
