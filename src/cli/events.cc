#include <chrono>
#include <thread>

#include "base/channel.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/table.h"
#include "deploy/deploy.h"

namespace slipway::cli {

namespace {

constexpr uint32_t lines_default = 50;
constexpr uint32_t lines_max = 5000;  // that the daemon gives in one answer
constexpr Duration reconnect_pause{500};
constexpr Duration answer_max{15'000};

std::string subject(const Json& event) {
  std::string text = event.text("node");
  const std::string instance = event.text("instance");
  if (!instance.empty()) text += (text.empty() ? "" : " ") + instance;
  if (text.empty()) text = event.text("pool");
  if (event.number("job") > 0) text += (text.empty() ? "job " : " job ") + event.text("job");
  return text;
}

// Each batch is a table of its own widths would dance, so the columns of a stream are fixed.
void print_events(const std::vector<Json>& events, const Options& options, Terminal& terminal) {
  const TimePoint now = SystemClock().now();
  const auto padded = [](std::string text, size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
  };
  std::string out;
  for (const Json& event : events) {
    if (options.json) {
      out += event.dump() + "\n";
      continue;
    }
    const auto at = event.time("at");
    std::string line = terminal.paint(Colour::dim, at ? local_time(*at, now) : padded("", 12)) + "  " +
                       padded(event.text("kind"), 18) + "  " + padded(subject(event), 20) + "  " +
                       event.text("message");
    for (char& c : line) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\033') c = '?';
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + "\n";
  }
  if (!out.empty()) terminal.print(out);
}

int64_t last_id(const std::vector<Json>& events, int64_t before) {
  for (const Json& event : events) before = std::max(before, event.number("id"));
  return before;
}

// One connection's worth of new events; returns when it ends. `after` moves on with what was printed.
Result<void> follow_once(const ClusterRef& cluster, const Options& options, Terminal& terminal, int64_t& after) {
  auto channel = BlockingChannel::connect_unix(deploy::api_socket(cluster.state), answer_max);
  if (!channel) return Failure(channel.error());
  std::vector<Argument> request{{"call", "events"}, {"follow", true}, {"after", after}};
  if (!options.node.empty()) request.emplace_back("node", options.node);
  if (auto sent = channel->send(object(request), answer_max); !sent) return sent;
  while (true) {
    auto frame = channel->receive(Duration(60'000));
    if (!frame && frame.error().code == ErrorCode::transient) continue;  // a quiet minute
    if (!frame) return Failure(frame.error());
    auto answer = Json::parse(*frame);
    if (!answer) return Failure(answer.error());
    if (!answer->flag("ok")) return fail(ErrorCode::permanent, answer->at("error").text("message"));
    const std::vector<Json> news = answer->at("result").items();
    print_events(news, options, terminal);
    after = last_id(news, after);
  }
}

}  // namespace

Result<int> events(const Options& options, Terminal& terminal) {
  auto cluster = choose_cluster(options);
  if (!cluster) return Failure(cluster.error());
  const uint32_t lines = std::min(options.lines > 0 ? options.lines : lines_default, lines_max);
  std::vector<Argument> arguments{{"limit", int64_t{lines}}};
  if (!options.node.empty()) arguments.emplace_back("node", options.node);
  const auto answer = ask_daemon(*cluster, "events", arguments);
  if (!answer) return Failure(answer.error());
  if (!options.follow) {
    if (options.json) {
      terminal.print(answer->dump() + "\n");
    } else {
      print_events(answer->items(), options, terminal);
    }
    return 0;
  }
  print_events(answer->items(), options, terminal);
  int64_t after = last_id(answer->items(), 0);
  // The daemon may be restarted under us; the cluster's end is ours.
  bool said = false;
  while (true) {
    const int64_t before = after;
    const auto ended = follow_once(*cluster, options, terminal, after);
    if (ended.error().code == ErrorCode::permanent) return Failure(ended.error());
    if (!std::filesystem::exists(deploy::kept_cluster_file(cluster->state))) {
      terminal.say("cluster " + cluster->name + " was taken down");
      return 0;
    }
    if (after != before) said = false;
    if (!said) terminal.say("the daemon went away; waiting for it");
    said = true;
    std::this_thread::sleep_for(reconnect_pause);
  }
}

}  // namespace slipway::cli
