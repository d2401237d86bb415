#include <gtest/gtest.h>

#include "cli/options.h"

namespace slipway::cli {
namespace {

Options good(std::vector<std::string> words) {
  const Parsed parsed = parse_command_line(std::move(words));
  EXPECT_FALSE(parsed.stop) << parsed.out << parsed.err;
  return parsed.options;
}

std::string refused(std::vector<std::string> words) {
  const Parsed parsed = parse_command_line(std::move(words));
  EXPECT_TRUE(parsed.stop);
  EXPECT_EQ(2, parsed.exit_status);
  EXPECT_EQ("", parsed.out);
  return parsed.err;
}

TEST(Parse, EveryCommand) {
  EXPECT_EQ(Verb::validate, good({"validate", "a.yaml"}).verb);
  EXPECT_EQ(Verb::up, good({"up", "a.yaml", "--subnet", "198.18.0.0/20"}).verb);
  EXPECT_EQ(Verb::status, good({"status"}).verb);
  EXPECT_EQ(Verb::nodes, good({"nodes", "--all", "--pool", "cpu"}).verb);
  EXPECT_EQ(Verb::jobs, good({"jobs"}).verb);
  EXPECT_EQ(Verb::events, good({"events", "-f", "-n", "3"}).verb);
  EXPECT_EQ(Verb::explain, good({"explain", "cpu-0001"}).verb);
  EXPECT_EQ(Verb::shell, good({"shell"}).verb);
  EXPECT_EQ(Verb::logs, good({"logs", "cpu-0001", "slurmd", "-f"}).verb);
  EXPECT_EQ(Verb::down, good({"down", "--keep-data"}).verb);
  EXPECT_EQ(Verb::chaos_kill, good({"chaos", "kill", "cpu-0001", "i-00000001"}).verb);
  EXPECT_EQ(Verb::chaos_freeze, good({"chaos", "freeze", "x"}).verb);
  EXPECT_EQ(Verb::chaos_thaw, good({"chaos", "thaw", "x"}).verb);
  EXPECT_EQ(Verb::chaos_cut_off, good({"chaos", "cut-off", "x"}).verb);
  EXPECT_EQ(Verb::chaos_reconnect, good({"chaos", "reconnect", "x"}).verb);
  EXPECT_EQ(Verb::chaos_boot, good({"chaos", "boot", "--never", "2", "--delay", "3s"}).verb);
  EXPECT_EQ(Verb::chaos_evict, good({"chaos", "evict", "x"}).verb);
  EXPECT_EQ(Verb::chaos_capacity, good({"chaos", "capacity", "3"}).verb);
  EXPECT_EQ(Verb::chaos_clear, good({"chaos", "clear"}).verb);
  EXPECT_EQ(Verb::doctor_azure, good({"doctor", "azure", "a.yaml", "--json"}).verb);
  EXPECT_EQ(Verb::azure_role, good({"azure", "role"}).verb);
  EXPECT_EQ("a.yaml", good({"azure", "role", "a.yaml"}).file);
  EXPECT_EQ(Verb::completion, good({"completion", "fish"}).verb);
  EXPECT_EQ(Verb::version, good({"version"}).verb);
}

TEST(Parse, CloudCommandsSayWhatTheyAreFor) {
  refused({"doctor"});
  refused({"doctor", "azure"});
  refused({"doctor", "aws", "a.yaml"});
  refused({"azure"});
  refused({"azure", "roles"});
}

TEST(Parse, ChaosOfAPretendedCloud) {
  EXPECT_EQ("30s", good({"chaos", "evict", "cpu-0001"}).notice);
  const Options evict = good({"chaos", "evict", "cpu-0001", "cpu-0002", "--notice", "0"});
  EXPECT_EQ("0", evict.notice);
  EXPECT_EQ((std::vector<std::string>{"cpu-0001", "cpu-0002"}), evict.words);
  const Options any = good({"chaos", "capacity", "unlimited"});
  EXPECT_EQ("unlimited", any.capacity);
  EXPECT_EQ("", any.pool + any.market + any.machine + any.zone);
  EXPECT_EQ("no_capacity", any.error);
  const Options one = good({"chaos", "capacity", "3", "--pool", "gpu", "--market", "spot", "--machine", "m.large",
                            "--zone", "a", "--error", "quota"});
  EXPECT_EQ("3", one.capacity);
  EXPECT_EQ("gpu", one.pool);
  EXPECT_EQ("spot", one.market);
  EXPECT_EQ("m.large", one.machine);
  EXPECT_EQ("a", one.zone);
  EXPECT_EQ("quota", one.error);
}

TEST(Parse, GlobalOptionsStandAnywhere) {
  const Options before = good({"--json", "--cluster", "demo", "--state-base", "/x", "nodes"});
  const Options after = good({"nodes", "--json", "--cluster", "demo", "--state-base", "/x"});
  for (const Options& options : {before, after}) {
    EXPECT_TRUE(options.json);
    EXPECT_EQ("demo", options.cluster);
    EXPECT_EQ("/x", options.state_base);
  }
  EXPECT_EQ("demo", good({"chaos", "kill", "cpu-0001", "--cluster", "demo"}).cluster);
}

TEST(Parse, StateBaseFromTheEnvironment) {
  EXPECT_EQ("/var/lib/slipway", good({"status"}).state_base);
  ::setenv("SLIPWAY_STATE_BASE", "/elsewhere", 1);
  EXPECT_EQ("/elsewhere", good({"status"}).state_base);
  EXPECT_EQ("/here", good({"--state-base", "/here", "status"}).state_base);
  ::unsetenv("SLIPWAY_STATE_BASE");
}

TEST(Parse, ExecPassesItsCommandOnUntouched) {
  const Options options = good({"exec", "login:2", "--user", "alice", "--", "ls", "-l", "--json", "--", "x"});
  EXPECT_EQ(Verb::exec, options.verb);
  EXPECT_EQ("login:2", options.target);
  EXPECT_EQ("alice", options.user);
  EXPECT_FALSE(options.json);
  EXPECT_EQ((std::vector<std::string>{"ls", "-l", "--json", "--", "x"}), options.words);
  EXPECT_EQ((std::vector<std::string>{"hostname"}), good({"exec", "login", "hostname"}).words);
  EXPECT_EQ((std::vector<std::string>{"a", "", "b c"}), good({"exec", "login", "--", "a", "", "b c"}).words);
}

TEST(Parse, WrongUsage) {
  refused({});
  refused({"--nonsense"});
  refused({"nodes", "--nonsense"});
  refused({"validate"});
  refused({"up"});
  refused({"explain"});
  refused({"events", "-n", "0"});
  refused({"events", "-n", "many"});
  refused({"completion", "tcsh"});
  refused({"chaos"});
  refused({"chaos", "kill"});
  refused({"chaos", "boot", "--never", "-1"});
  refused({"chaos", "evict"});
  refused({"chaos", "capacity"});
  refused({"chaos", "capacity", "3", "--market", "black"});
  refused({"chaos", "capacity", "3", "--error", "permanent"});
  refused({"jobs", "--", "x"});
  EXPECT_NE(std::string::npos, refused({"exec", "login"}).find("exec needs a command"));
  EXPECT_NE(std::string::npos, refused({"exec", "login", "ls", "-l"}).find("Put -- before the command"));
}

TEST(Parse, NamesTheNearestCommand) {
  EXPECT_NE(std::string::npos, refused({"nodse"}).find("did you mean \"nodes\"?"));
  EXPECT_NE(std::string::npos, refused({"chaos", "kil", "x"}).find("did you mean \"kill\"?"));
  EXPECT_EQ(std::string::npos, refused({"entirely-else"}).find("did you mean"));
}

TEST(Parse, HelpAndVersionAreNoFailures) {
  for (const auto& words :
       {std::vector<std::string>{"--help"}, {"nodes", "--help"}, {"chaos", "boot", "-h"}, {"--version"}}) {
    const Parsed parsed = parse_command_line(words);
    EXPECT_TRUE(parsed.stop);
    EXPECT_EQ(0, parsed.exit_status);
    EXPECT_NE("", parsed.out);
    EXPECT_EQ("", parsed.err);
  }
  EXPECT_EQ("slipway " SLIPWAY_VERSION "\n", parse_command_line({"--version"}).out);
}

}  // namespace
}  // namespace slipway::cli
