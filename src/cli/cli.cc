#include <cstdio>
#include <exception>

#include "cli/commands.h"

namespace slipway::cli {

namespace {

Result<int> dispatch(const Options& options, Terminal& terminal) {
  switch (options.verb) {
    case Verb::validate:
      return validate(options, terminal);
    case Verb::up:
      return up(options, terminal);
    case Verb::rehearse:
      return rehearse(options, terminal);
    case Verb::status:
      return status(options, terminal);
    case Verb::nodes:
      return nodes(options, terminal);
    case Verb::jobs:
      return jobs(options, terminal);
    case Verb::events:
      return events(options, terminal);
    case Verb::explain:
      return explain(options, terminal);
    case Verb::exec:
      return exec(options, terminal);
    case Verb::shell:
      return shell(options, terminal);
    case Verb::logs:
      return logs(options, terminal);
    case Verb::down:
      return down(options, terminal);
    case Verb::chaos_kill:
    case Verb::chaos_freeze:
    case Verb::chaos_thaw:
    case Verb::chaos_cut_off:
    case Verb::chaos_reconnect:
    case Verb::chaos_evict:
    case Verb::chaos_boot:
    case Verb::chaos_capacity:
    case Verb::chaos_clear:
      return chaos(options, terminal);
    case Verb::simulate:
      return simulate(options, terminal);
    case Verb::doctor_azure:
      return doctor_azure(options, terminal);
    case Verb::azure_role:
      return azure_role(options, terminal);
    case Verb::completion:
      terminal.print(completion_script(command_tree(), options.shell));
      return 0;
    case Verb::version:
      terminal.print(std::string("slipway ") + SLIPWAY_VERSION + "\n");
      return 0;
    case Verb::none:
      break;
  }
  return 2;
}

}  // namespace

int run(int argc, char** argv) {
  Terminal terminal;
  try {
    const Parsed parsed = parse_command_line({argv + 1, argv + argc});
    if (!parsed.out.empty()) terminal.print(parsed.out);
    if (!parsed.err.empty()) std::fwrite(parsed.err.data(), 1, parsed.err.size(), stderr);
    if (parsed.stop) return parsed.exit_status;
    const Result<int> done = dispatch(parsed.options, terminal);
    if (done) return *done;
    terminal.say("slipway: " + done.error().message);
  } catch (const std::exception& error) {
    terminal.say(std::string("slipway: ") + error.what());
  }
  return 1;
}

}  // namespace slipway::cli
