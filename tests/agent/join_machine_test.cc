// `slipway-agent --join`, with a stand-in for the agent that it starts.
#include "agent/join_machine.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "fake_imds.h"

namespace slipway::agent {
namespace {

namespace fs = std::filesystem;

// Takes the lock beside its boot data as the agent does, says what it was given, writes its status, and lives on.
constexpr const char* fake_agent = R"sh(#!/usr/bin/perl
use Fcntl ':flock'; use File::Basename; use POSIX;
my $run = dirname($ARGV[0]);
chomp(my $mode = -e "$run/mode" ? do { open(my $f, '<', "$run/mode"); scalar <$f> } : 'join');
exit 3 if $mode eq 'die';
open(my $lock, '+<', "$run/agent.lock") or die;
flock($lock, LOCK_EX | LOCK_NB) or exit 4;
open(my $starts, '>>', "$run/starts"); print $starts "$$ session ", POSIX::getpgrp(), " ", join(',', sort keys %ENV), "\n"; close $starts;
if ($mode eq 'join') { select(undef, undef, undef, 0.2); }
open(my $status, '>', "$run/agent.status"); print $status $mode eq 'join' ? "joined\n" : "Connection refused\n"; close $status;
if ($mode eq 'die late') { select(undef, undef, undef, 0.3); exit 5; }
sleep 60;
)sh";

class JoinTest : public ::testing::Test {
 protected:
  JoinTest() {
    enter_own_network();
    char name[] = "/tmp/slipway-join-test.XXXXXX";
    options_.run = mkdtemp(name);
    options_.log = options_.run / "agent.log";
    options_.agent = options_.run / "agent";
    options_.systemd = options_.run / "no-systemd";
    options_.start_patience = Duration(3'000);
    options_.join_patience = Duration(3'000);
    std::ofstream(options_.agent) << fake_agent;
    chmod(options_.agent.c_str(), 0755);
  }
  ~JoinTest() override {
    for (const auto& [pid, words] : starts()) {
      (void)kill(pid, SIGKILL);
      (void)waitpid(pid, nullptr, 0);
    }
    fs::remove_all(options_.run);
  }

  void mode(const std::string& mode) { std::ofstream(options_.run / "mode") << mode; }
  std::vector<std::pair<pid_t, std::string>> starts() const {
    std::vector<std::pair<pid_t, std::string>> found;
    std::ifstream in(options_.run / "starts");
    for (std::string line; std::getline(in, line);)
      found.emplace_back(std::stoi(line), line.substr(line.find(' ') + 1));
    return found;
  }
  struct Said {
    int status;
    std::string out;
    std::string err;
  };
  Said join() {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int status = join_machine(environment_, options_);
    fflush(stdout);
    return {status, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
  }

  JoinOptions options_;
  Environment environment_{{"SLIPWAY_CLUSTER", "demo"},
                           {"SLIPWAY_POOL", "cpu"},
                           {"SLIPWAY_DAEMON", "127.0.0.1:6830"},
                           {"SLIPWAY_DAEMON_KEY", std::string(64, 'a')},
                           {"SLIPWAY_PROVIDER", "azure"},
                           {"SLIPWAY_KIND", "batch"},
                           {"SLIPWAY_IDENTITY", "/subscriptions/1/x"},
                           {"SLIPWAY_IMDS", "http://127.0.0.1:1"},
                           {"AZ_BATCH_POOL_ID", "demo-cpu"},
                           {"AZ_BATCH_NODE_ID", "tvmps_1_d"},
                           {"AZ_BATCH_AUTHENTICATION_TOKEN", "nobody's business"}};
};

TEST_F(JoinTest, ABatchNodeKnowsItselfFromItsEnvironment) {
  const auto boot = boot_data_of(environment_, Duration(100));
  ASSERT_TRUE(boot) << boot.error().message;
  EXPECT_EQ(boot->cluster, "demo");
  EXPECT_EQ(boot->role, "compute");
  EXPECT_EQ(boot->pool, "cpu");
  EXPECT_EQ(boot->instance, "cpu/tvmps_1_d");
  EXPECT_EQ(boot->daemon, "127.0.0.1:6830");
  EXPECT_EQ(boot->daemon_key, std::string(64, 'a'));
  EXPECT_EQ(boot->identity, "/subscriptions/1/x");
  EXPECT_EQ(boot->address, "127.0.0.1") << "the one towards the daemon";
  EXPECT_EQ(boot->secret, "");
}

TEST_F(JoinTest, AScaleSetsMachineAsksForItsName) {
  Loop loop;
  FakeImds server(loop);
  environment_["SLIPWAY_KIND"] = "scale_set";
  environment_["SLIPWAY_IMDS"] = server.origin();
  environment_["SLIPWAY_DAEMON"] = "203.0.113.1:6830";  // no route: the service knows the address too
  std::optional<Result<join::BootData>> boot;
  Workers workers(loop, 1);
  server.status = 500;  // not up yet
  loop.after(Duration(100), [&] { server.status = 200; });
  workers.run([&] { return boot_data_of(environment_, Duration(2'000)); },
              [&](Result<join::BootData> got) { boot = std::move(got); });
  ASSERT_TRUE(pump_until(loop, [&] { return boot.has_value(); }));
  ASSERT_TRUE(*boot) << boot->error().message;
  EXPECT_EQ((*boot)->instance, "cpu/vm_1");
  EXPECT_EQ((*boot)->address, "198.18.0.9");
}

TEST_F(JoinTest, NamesWhatIsWrongWithTheEnvironment) {
  const auto expect_problem = [&](const std::string& name, const std::string& value, const std::string& word) {
    Environment environment = environment_;
    environment[name] = value;
    const auto boot = boot_data_of(environment, Duration(50));
    ASSERT_FALSE(boot) << name;
    EXPECT_NE(boot.error().message.find(word), std::string::npos) << boot.error().message;
  };
  for (const char* name : {"SLIPWAY_CLUSTER", "SLIPWAY_POOL", "SLIPWAY_DAEMON", "SLIPWAY_DAEMON_KEY",
                           "SLIPWAY_PROVIDER", "SLIPWAY_KIND", "AZ_BATCH_NODE_ID"}) {
    expect_problem(name, "", name);
  }
  expect_problem("SLIPWAY_PROVIDER", "moon", "SLIPWAY_PROVIDER");
  expect_problem("SLIPWAY_KIND", "moon", "SLIPWAY_KIND");
  expect_problem("SLIPWAY_DAEMON_KEY", "12", "daemon_key");
  expect_problem("SLIPWAY_DAEMON", "controller:6830", "");
  expect_problem("SLIPWAY_POOL", "../x", "instance");
  expect_problem("SLIPWAY_KIND", "scale_set", "metadata service");
}

TEST_F(JoinTest, WritesTheBootDataStartsTheAgentAndWaits) {
  const Said said = join();
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_NE(said.out.find("cpu/tvmps_1_d of the cluster demo"), std::string::npos) << said.out;
  EXPECT_NE(said.out.find("joined\n"), std::string::npos) << said.out;
  struct stat info {};
  ASSERT_EQ(stat((options_.run / "boot.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto boot = join::parse_boot_data(read_file(options_.run / "boot.json").value());
  ASSERT_TRUE(boot);
  EXPECT_EQ(boot->instance, "cpu/tvmps_1_d");
  ASSERT_EQ(starts().size(), 1u);
  const auto [pid, words] = starts()[0];
  EXPECT_EQ(words, "session " + std::to_string(pid) + " HOME,LANG,PATH") << "its own session, nothing of Batch's";
}

TEST_F(JoinTest, ASecondCallStartsNoSecondAgent) {
  ASSERT_EQ(join().status, 0);
  const Said again = join();
  EXPECT_EQ(again.status, 0);
  EXPECT_NE(again.out.find("runs on this machine already"), std::string::npos) << again.out;
  EXPECT_NE(again.out.find("joined\n"), std::string::npos) << again.out;
  EXPECT_EQ(starts().size(), 1u);
}

TEST_F(JoinTest, WhatIsLeftOfAnEarlierBootDoesntMatter) {
  std::ofstream(options_.run / "agent.status") << "joined\n";
  std::ofstream(options_.run / "agent.lock") << "";
  std::ofstream(options_.run / "boot.json") << "nonsense";
  mode("try");
  options_.join_patience = Duration(300);
  const Said said = join();
  EXPECT_EQ(said.status, 0);
  EXPECT_EQ(said.out.find("joined\n"), std::string::npos) << said.out;
}

TEST_F(JoinTest, ADaemonThatIsAwayIsNoReasonToThrowTheMachineAway) {
  mode("try");
  options_.join_patience = Duration(300);
  const Said said = join();
  EXPECT_EQ(said.status, 0);
  EXPECT_NE(said.out.find("trying on: Connection refused"), std::string::npos) << said.out;
  EXPECT_EQ(starts().size(), 1u);
  EXPECT_EQ(kill(starts()[0].first, 0), 0) << "it goes on";
}

TEST_F(JoinTest, AnAgentThatEndsFails) {
  std::ofstream(options_.log) << "error agent_failed why=\"no root\"\n";
  options_.start_patience = Duration(300);
  for (const char* how : {"die", "die late"}) {
    mode(how);
    const Said said = join();
    EXPECT_EQ(said.status, 1) << how;
    EXPECT_NE(said.err.find("no root"), std::string::npos) << said.err;
  }
}

TEST_F(JoinTest, AWrongEnvironmentFailsAtOnce) {
  environment_.erase("SLIPWAY_POOL");
  const Said said = join();
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.err.find("SLIPWAY_POOL"), std::string::npos) << said.err;
  EXPECT_TRUE(starts().empty());
}

TEST_F(JoinTest, TheLockIsForOne) {
  auto first = take_lock(options_.run);
  ASSERT_TRUE(first);
  EXPECT_EQ(take_lock(options_.run).error().code, ErrorCode::denied);
  first->reset();
  EXPECT_TRUE(take_lock(options_.run));
}

// Systemd's commands are stand-ins in front of PATH.
class SystemdTest : public JoinTest {
 protected:
  SystemdTest() {
    fs::create_directories(options_.systemd);
    tool("systemctl", "exit 5\n");  // no such units
    setenv("PATH", (options_.run.string() + ":" + path_).c_str(), 1);
  }
  ~SystemdTest() override { setenv("PATH", path_.c_str(), 1); }
  void tool(const std::string& name, const std::string& text) {
    std::ofstream(options_.run / name) << "#!/bin/sh\necho \"" + name + " $*\" >> "
                                       << (options_.run / "called").string() << "\n"
                                       << text;
    chmod((options_.run / name).c_str(), 0755);
  }
  const std::string path_ = getenv("PATH");
};

TEST_F(SystemdTest, RunsTheAgentAsAUnitOfItsOwn) {
  tool("systemd-run",
       "for last; do before=$agent; agent=$last; done\nsetsid \"$before\" \"$agent\" < /dev/null > /dev/null 2>&1 &\n");
  const Said said = join();
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(starts().size(), 1u);
  const std::string called = read_file(options_.run / "called").value();
  EXPECT_TRUE(called.starts_with("systemctl stop munge.service slurmd.service\n")) << called;
  EXPECT_NE(called.find("systemd-run --unit=slipway-agent "), std::string::npos) << called;
  EXPECT_NE(called.find(" --property=Delegate=yes "), std::string::npos) << called;
  EXPECT_TRUE(called.ends_with(" " + options_.agent + " " + (options_.run / "boot.json").string() + "\n")) << called;
}

TEST_F(SystemdTest, ThatRefusesASecondUnitWhileItRestartsTheFirstIsWaitedFor) {
  tool("systemd-run",
       "for last; do before=$agent; agent=$last; done\n"
       "(sleep 0.3; setsid \"$before\" \"$agent\") < /dev/null > /dev/null 2>&1 &\n"
       "echo unit exists >&2; exit 1\n");
  const Said said = join();
  EXPECT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(starts().size(), 1u);
}

TEST_F(SystemdTest, ThatRefusesIsAFailure) {
  options_.start_patience = Duration(300);
  tool("systemd-run", "echo no bus >&2; exit 1\n");
  const Said said = join();
  EXPECT_EQ(said.status, 1);
  EXPECT_NE(said.err.find("no bus"), std::string::npos) << said.err;
}

// The real agent, whose machine is Azure's; it isn't PID 1 there.
class ClaimedMachineTest : public ::testing::Test {
 protected:
  const join::Key master_ = join::random_key();
  Loop loop_;
  FakeDaemon daemon_{loop_, master_};
  FakeImds server_{loop_};
};

TEST_F(ClaimedMachineTest, JoinsServesAndTellsOfItsEnd) {
  MachineOptions options;
  options.own_pids = false;
  options.imds = server_.origin();
  TestMachine machine(master_, options);
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_.heard(join::Phase::waiting); }));
  EXPECT_EQ(daemon_.claims.at(0).instance, "cpu/vm_1");
  EXPECT_EQ(machine.file("/run/slipway/agent.status"), "joined\n");
  EXPECT_EQ(take_lock(machine.path("/run/slipway")).error().code, ErrorCode::denied);
  ASSERT_TRUE(pump_until(loop_, [&] { return !daemon_.notices.empty(); }));
  EXPECT_EQ(daemon_.notices.back().kind, join::NoticeKind::none);

  daemon_.say(join::Bind{"cpu-0001"});
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_.heard(join::Phase::serving, "cpu-0001"); }));
  server_.events = R"({"Events":[{"EventId":"e-1","EventType":"Preempt","Resources":["vm_1"],
      "EventStatus":"Scheduled","NotBefore":"Fri, 25 Feb 2050 06:13:50 GMT"}]})";
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_.notices.back().kind == join::NoticeKind::preempt; }));
  const size_t told = daemon_.notices.size();
  daemon_.drop_all();
  ASSERT_TRUE(pump_until(loop_, [&] { return daemon_.notices.size() > told; })) << "again on each connection";
  EXPECT_EQ(daemon_.notices.back().event, "e-1");

  machine.terminate();
  ASSERT_TRUE(machine.wait_for_end(loop_, Duration(5'000)));
  EXPECT_EQ(machine.status(), 0);
}

}  // namespace
}  // namespace slipway::agent
