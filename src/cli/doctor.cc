// What a cluster file counts on in Azure: each finding with its way out; the exit status is 1 when there are problems.
#include "cloud/azure/doctor.h"

#include "cli/cluster_file.h"
#include "cli/commands.h"
#include "cli/json.h"

namespace slipway::cli {

namespace {

using cloud::azure::Finding;
using cloud::azure::Verdict;

constexpr Duration time_max{180'000};

Colour colour_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return Colour::green;
    case Verdict::problem:
      return Colour::red;
    case Verdict::warning:
    case Verdict::unknown:
      return Colour::yellow;
  }
  return Colour::plain;
}

std::string to_json(const std::vector<Finding>& findings) {
  std::string all;
  for (const Finding& finding : findings) {
    all += (all.empty() ? "" : ",") + object({{"what", finding.what},
                                              {"verdict", to_string(finding.verdict)},
                                              {"sentence", finding.sentence},
                                              {"way_out", finding.way_out}});
  }
  return object({{"ok", cloud::azure::is_healthy(findings)}, raw("findings", "[" + all + "]")});
}

std::string to_text(const std::vector<Finding>& findings, const Terminal& terminal) {
  constexpr size_t width = 9;  // of the longest verdict and two blanks
  std::string text;
  size_t counts[4] = {};
  for (const Finding& finding : findings) {
    ++counts[static_cast<size_t>(finding.verdict)];
    const std::string word(to_string(finding.verdict));
    text += terminal.paint(colour_of(finding.verdict), word) + std::string(width - word.size(), ' ') +
            terminal.paint(Colour::bold, finding.what) + ": " + finding.sentence + "\n";
    if (!finding.way_out.empty()) text += std::string(width, ' ') + "→ " + finding.way_out + "\n";
  }
  const auto count = [&](Verdict verdict) { return std::to_string(counts[static_cast<size_t>(verdict)]); };
  return text + "\n" + count(Verdict::ok) + " ok, " + count(Verdict::warning) + " warnings, " +
         count(Verdict::problem) + " problems, " + count(Verdict::unknown) + " unknown\n";
}

}  // namespace

Result<int> doctor_azure(const Options& options, Terminal& terminal) {
  const config::Loaded loaded = config::load(options.file);
  say_problems(loaded, options.file, terminal);
  if (!loaded.ok()) return 1;
  if (!loaded.cluster.azure) {
    return fail(ErrorCode::bad_config, options.file.string() + " has no pool whose provider is azure");
  }
  const SystemClock clock;
  const auto findings = cloud::azure::examine(loaded.cluster, clock, time_max);
  terminal.print(options.json ? to_json(findings) + "\n" : to_text(findings, terminal));
  return cloud::azure::is_healthy(findings) ? 0 : 1;
}

}  // namespace slipway::cli
