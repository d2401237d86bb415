#include "cli/cluster_file.h"

#include "cli/json.h"

namespace slipway::cli {

void say_problems(const config::Loaded& loaded, const std::filesystem::path& file, Terminal& terminal) {
  size_t errors = 0;
  for (const config::Problem& problem : loaded.problems) {
    if (problem.severity == config::Severity::error) ++errors;
    terminal.say(config::format(problem, file.string()));
  }
  if (errors > 0) terminal.say(std::to_string(errors) + (errors == 1 ? " error" : " errors"));
}

std::string problems_json(const config::Loaded& loaded) {
  std::string problems;
  for (const config::Problem& problem : loaded.problems) {
    problems += (problems.empty() ? "" : ",") +
                object({{"severity", problem.severity == config::Severity::error ? "error" : "warning"},
                        {"line", int64_t{problem.line}},
                        {"column", int64_t{problem.column}},
                        {"message", problem.message}});
  }
  return object({{"ok", loaded.ok()}, {"cluster", loaded.cluster.name}, raw("problems", "[" + problems + "]")});
}

}  // namespace slipway::cli
