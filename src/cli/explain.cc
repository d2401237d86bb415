#include "cli/commands.h"
#include "cli/context.h"

namespace slipway::cli {

Result<int> explain(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  const std::string& what = options.target;
  // Slurm's node names never are plain numbers, and jobs always are: "17" or, for one task of an array, "17_3".
  const bool is_job =
      !what.empty() && what.find_first_not_of("0123456789_") == std::string::npos && what.front() != '_';
  const size_t digits = std::min(what.find('_'), what.size());
  Argument argument("node", what);
  if (is_job && digits == what.size() && digits <= 9) {
    argument = Argument("job", int64_t{std::stol(what)});
  } else if (is_job) {
    argument = Argument("job", what);
  }
  const auto answer = ask_daemon(*cluster, "explain", {argument});
  if (!answer) return Failure(answer.error());
  if (options.json) {
    terminal.print(answer->dump() + "\n");
    return 0;
  }
  std::string text = answer->text("text");
  if (text.empty() || text.back() != '\n') text += '\n';
  terminal.print(text);
  return 0;
}

}  // namespace slipway::cli
