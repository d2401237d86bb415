// The whole daemon but its programs: the real engine and the real agents' door between a small Slurm, a small cloud and
// small agents.
#include "daemon/shell.h"

#include <sys/socket.h>

#include <fstream>

#include "fakes.h"

namespace slipway::daemon {
namespace {

class ShellTest : public ::testing::Test {
 protected:
  explicit ShellTest(uint32_t max = 10) : slurm_(cpu_names(1, max)), cloud_(clock_), cluster_(small_cluster(max)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "slipway-shell-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    std::ofstream(folder_ / "slurm.conf") << "ClusterName=demo\n";
  }
  ~ShellTest() override {
    agents_.clear();
    shell_.reset();
    std::filesystem::remove_all(folder_);
  }

  void start(const std::string& listen = "127.0.0.1:0") {
    ShellOptions options;
    options.listen = listen;
    options.master = master_;
    options.munge_key = "munge";
    options.slurm_conf = folder_ / "slurm.conf";
    options.hosts_file = folder_ / "hosts";
    options.slurm_quick = Duration(100);
    options.slurm_slow = Duration(1'000);
    options.jobs_quick = Duration(100);
    options.may_act = [this] { return may_act_; };
    options.provider_quick = Duration(50);
    options.provider_slow = Duration(500);
    auto shell = Shell::start(loop_, {clock_, slurm_, cloud_, journal_}, cluster_, options);
    ASSERT_TRUE(shell.has_value()) << shell.error().message;
    shell_ = std::move(*shell);
  }

  // A machine that boots for every instance that has none yet.
  void boot_new_machines() {
    for (const auto& instance : cloud_.instances()) {
      if (agents_.contains(instance.id.str())) continue;
      agents_.emplace(instance.id.str(),
                      std::make_unique<FakeAgent>(loop_, shell_->agents_port(), master_, instance.id, &slurm_));
    }
    for (const auto& gone : cloud_.terminated) agents_.erase(gone);
    if (!reconnects_) return;
    for (const auto& [id, agent] : agents_) {
      if (agent->closed) agent->connect();
    }
  }

  bool until(std::function<bool()> done, Duration patience = Duration(10'000)) {
    return run_until(
        loop_,
        [&] {
          boot_new_machines();
          return done();
        },
        patience);
  }

  void resume(JobId job, const std::vector<std::string>& names) {
    slurm_.power_up(names);
    shell_->on_hint(resume_hint(job, names));
  }

  engine::Situation situation(const std::string& name) const {
    const auto& world = shell_->world();
    for (size_t i = 0; i < world.situations.size(); ++i) {
      if (world.view.nodes[i].name.str() == name) return world.situations[i];
    }
    return engine::Situation::held;
  }

  SystemClock clock_;
  Loop loop_;
  FakeSlurm slurm_;
  FakeCloud cloud_;
  MemoryJournal journal_;
  model::Cluster cluster_;
  join::Key master_ = join::random_key();
  std::filesystem::path folder_;
  std::unique_ptr<Shell> shell_;
  bool reconnects_ = false;
  bool may_act_ = true;
  std::map<std::string, std::unique_ptr<FakeAgent>> agents_;
};

class BigShellTest : public ShellTest {
 protected:
  BigShellTest() : ShellTest(200) {}
};

TEST_F(ShellTest, AHintBecomesRunningNodesQuickly) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  const auto begin = std::chrono::steady_clock::now();
  resume(17, cpu_names(1, 4));
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 4; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(700));
  EXPECT_EQ(cloud_.launched(), 4u);
  EXPECT_EQ(cloud_.launch_calls, 1) << "one call launches them all";
  EXPECT_LE(slurm_.job_polls, 1) << "but for the one at the start: the hint said which job wants them";
  ASSERT_TRUE(until([&] { return situation("cpu-0004") == engine::Situation::serving; }));
  for (const auto& [id, agent] : agents_) {
    EXPECT_EQ(agent->welcome->munge_key, "munge");
    EXPECT_EQ(agent->welcome->prep, cluster_.pools[0].prep);
    EXPECT_EQ(agent->welcome->conf_server, "127.0.0.1:6817");
    EXPECT_EQ(agent->welcome->users.size(), 1u);
    EXPECT_TRUE(agent->welcome->slurm_conf.empty());
  }
  EXPECT_GE(journal_.count("node_serving"), 4u);
}

TEST_F(ShellTest, WithoutAHintThePollFindsIt) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  slurm_.power_up(cpu_names(2, 3));
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 2; }));
  EXPECT_GE(slurm_.job_polls, 1) << "squeue had to say whose they are";
}

TEST_F(BigShellTest, ABurstIsBoundOnceEachWithAHandfulOfCommands) {
  reconnects_ = true;  // they all come from one address, of which only so many are let in at once
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(1, cpu_names(1, 200));
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 200; }, Duration(30'000)));
  EXPECT_EQ(cloud_.launched(), 200u);
  std::set<std::string> names;
  for (const auto& [id, agent] : agents_) {
    std::set<std::string> told(agent->binds.begin(), agent->binds.end());
    EXPECT_EQ(told.size(), 1u) << id;
    names.insert(agent->node);
  }
  EXPECT_EQ(names.size(), 200u);
  const auto written = [&] {
    size_t nodes = 0;
    for (const auto& update : slurm_.updates())
      nodes += update.change == slurm::NodeChange::bind ? update.nodes.size() : 0;
    return nodes;
  };
  ASSERT_TRUE(until([&] { return written() >= 200; }));
  EXPECT_LE(slurm_.updates().size(), 12u);
  EXPECT_TRUE(cloud_.terminated.empty());
}

TEST_F(ShellTest, NothingIsDoneBeforeBothEndsWereSeen) {
  cloud_.down = true;
  slurm_.power_up(cpu_names(1, 2));
  start();
  shell_->on_hint(resume_hint(1, cpu_names(1, 2)));
  run_for(loop_, Duration(300));
  EXPECT_EQ(cloud_.launch_calls, 0);
  EXPECT_FALSE(shell_->world().provider_error.empty());
  EXPECT_EQ(journal_.count("provider_unreachable"), 1u) << "said once, not at every try";
  cloud_.down = false;
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 2; }));
  EXPECT_EQ(journal_.count("provider_back"), 1u);
}

TEST_F(ShellTest, ASlurmctldThatRestartsStopsEverythingUntilItIsBack) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  slurm_.down = true;
  shell_->on_hint(resume_hint(1, cpu_names(1, 2)));
  ASSERT_TRUE(until([&] { return !shell_->world().view.slurm_known; }));
  slurm_.power_up(cpu_names(1, 2));
  run_for(loop_, Duration(300));
  EXPECT_EQ(cloud_.launch_calls, 0);
  EXPECT_EQ(journal_.count("slurm_unreachable"), 1u);
  slurm_.down = false;
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 2; }));
  EXPECT_EQ(journal_.count("slurm_back"), 1u);
}

TEST_F(ShellTest, ARestartedDaemonAdoptsWhatIsThere) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(1, cpu_names(1, 6));
  // Dies when some have names and others don't.
  ASSERT_TRUE(until([&] { return slurm_.count_up() >= 2; }));
  const uint16_t port = shell_->agents_port();
  shell_.reset();
  start("127.0.0.1:" + std::to_string(port));
  reconnects_ = true;
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 6; }, Duration(20'000)));
  EXPECT_EQ(cloud_.launched(), 6u) << "nothing was launched twice";
  std::map<std::string, int> holders;
  for (const auto& [id, agent] : agents_) ++holders[agent->node];
  EXPECT_EQ(holders.size(), 6u);
  EXPECT_TRUE(cloud_.terminated.empty());
}

TEST_F(ShellTest, APowerCutIsToldToSlurmWithinASecond) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(1, cpu_names(1, 2));
  ASSERT_TRUE(until([&] {
    return situation("cpu-0001") == engine::Situation::serving && situation("cpu-0002") == engine::Situation::serving;
  }));
  std::string victim;
  for (const auto& [id, agent] : agents_) {
    if (agent->node == "cpu-0001") victim = id;
  }
  const auto begin = std::chrono::steady_clock::now();
  agents_.at(victim)->drop();
  cloud_.power_cut(victim);
  const auto told_down = [&] {
    for (const auto& update : slurm_.updates()) {
      if (update.change == slurm::NodeChange::down && update.nodes[0].str() == "cpu-0001") return true;
    }
    return false;
  };
  ASSERT_TRUE(run_until(loop_, told_down));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(500));
  EXPECT_EQ(slurm_.node("cpu-0002").state.base, model::NodeBase::allocated);
  cloud_.terminated.insert(victim);
  ASSERT_TRUE(until([&] { return (slurm_.node("cpu-0001").state.flags & model::node_powered_down) != 0; }))
      << "usable again";
}

TEST_F(ShellTest, ALoginMachineGetsItsConfigurationAndNoName) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  FakeAgent login(loop_, shell_->agents_port(), master_, InstanceId("i-login"));
  ASSERT_TRUE(until([&] { return login.welcome.has_value(); }));
  EXPECT_EQ(login.welcome->slurm_conf, "ClusterName=demo\n");
  EXPECT_EQ(login.welcome->prep, "");
  EXPECT_EQ(read_file(folder_ / "hosts").value_or(""), "# slipway logins\n127.0.0.1 login\n# end of slipway logins\n");
  resume(1, cpu_names(1, 1));
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 1; }));
  EXPECT_TRUE(login.binds.empty());
}

TEST_F(ShellTest, AJobStartsAsSoonAsItsNodesAreRegistered) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  int ends[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
  Channel prolog(loop_, Fd(ends[1]), Peer{});
  std::vector<std::string> said;
  prolog.on_message([&](std::string word) { said.push_back(std::move(word)); });
  slurm_.power_up(cpu_names(1, 2));
  auto start_hint = resume_hint(0, cpu_names(1, 2));
  start_hint.kind = slurm::HintKind::job_start;
  start_hint.job = 9;
  shell_->on_hint(start_hint, std::make_unique<Channel>(loop_, Fd(ends[0]), Peer{}));
  ASSERT_TRUE(until([&] { return !said.empty(); }));
  EXPECT_EQ(said[0], "wait");
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 2; }));
  const auto registered = std::chrono::steady_clock::now();
  ASSERT_TRUE(until([&] { return said.size() == 2; }));
  EXPECT_EQ(said[1], "go");
  EXPECT_LT(std::chrono::steady_clock::now() - registered, std::chrono::milliseconds(400));
}

TEST_F(ShellTest, AnInstanceThatIsNotListedIsNeverBound) {
  cloud_.down = true;
  start();
  slurm_.power_up(cpu_names(1, 1));
  FakeAgent stranger(loop_, shell_->agents_port(), master_, InstanceId("i-unlisted"));
  run_for(loop_, Duration(200));
  EXPECT_FALSE(stranger.welcome.has_value()) << "its role can't be known";
  cloud_.down = false;
  ASSERT_TRUE(until([&] { return slurm_.count_up() == 1; }));
  EXPECT_TRUE(stranger.binds.empty());
}

TEST_F(ShellTest, AMachineThatNothingWantsGoesAway) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(1, cpu_names(1, 1));
  ASSERT_TRUE(until([&] { return situation("cpu-0001") == engine::Situation::serving; }));
  slurm::NodeUpdate suspend;
  suspend.change = slurm::NodeChange::power_down;
  suspend.nodes.emplace_back("cpu-0001");
  (void)slurm_.update(suspend);
  slurm::Hint hint;
  hint.kind = slurm::HintKind::suspend;
  shell_->on_hint(hint);
  ASSERT_TRUE(
      until([&] { return (slurm_.node("cpu-0001").state.flags & model::node_powered_down) != 0; }, Duration(3'000)));
  EXPECT_EQ(cloud_.terminated.size(), 1u);
  EXPECT_TRUE(cloud_.instances().empty());
}

TEST_F(ShellTest, WhenAllIsQuietItIsSeldomLookedAt) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  const int nodes = slurm_.node_polls;
  const int lists = cloud_.listings;
  run_for(loop_, Duration(2'100));
  EXPECT_LE(slurm_.node_polls - nodes, 3);
  EXPECT_LE(cloud_.listings - lists, 6);
}

TEST_F(ShellTest, AnAddressInUseIsAnErrorAtTheStart) {
  start();
  ShellOptions options;
  options.listen = "127.0.0.1:" + std::to_string(shell_->agents_port());
  EXPECT_FALSE(Shell::start(loop_, {clock_, slurm_, cloud_, journal_}, cluster_, options).has_value());
}

TEST_F(ShellTest, ALaunchSaysWhatMayBeBoughtWhereAndARefusalSendsTheRestElsewhere) {
  auto& pool = cluster_.pools[0];
  pool.markets = {model::Market::spot, model::Market::on_demand};
  pool.zones = {"a", "b"};
  cloud_.room_in = {{"a", 1}, {"b", 1}};
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(17, cpu_names(1, 4));
  // Room for two of four; what was refused is asked for again, on demand, before any pause is over.
  ASSERT_TRUE(until([&] { return cloud_.launch_calls >= 2; }, Duration(2'000)));
  ASSERT_TRUE(until([&] { return shell_->world().memory.pools[0].ways[0].open; }));
  const auto first = cloud_.requests[0];
  EXPECT_EQ(first.count, 4u);
  EXPECT_EQ(first.market, model::Market::spot);
  ASSERT_EQ(first.offers.size(), 2u);
  EXPECT_EQ(first.offers[0].zone, "a");
  EXPECT_EQ(first.offers[1].zone, "b");
  EXPECT_EQ(cloud_.requests[1].market, model::Market::on_demand);
  const auto& instances = shell_->world().view.instances;
  ASSERT_TRUE(until([&] { return instances.size() == 2; }));
  for (const auto& instance : instances) EXPECT_EQ(instance.market, model::Market::spot);
}

TEST_F(ShellTest, TheProvidersWindowHoldsWhereTheFileSaysNothing) {
  cloud_.can.launch_window = {.quiet = Duration(300), .longest = Duration(2'000)};
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  for (uint32_t i = 1; i <= 4; ++i) {
    resume(i, cpu_names(i, i));
    run_for(loop_, Duration(60));
  }
  EXPECT_EQ(cloud_.launch_calls, 0);
  ASSERT_TRUE(until([&] { return cloud_.launch_calls > 0; }));
  EXPECT_EQ(cloud_.requests[0].count, 4u);
  EXPECT_EQ(shell_->world().spec.launch_window, cloud_.can.launch_window);
}

TEST_F(ShellTest, AThrottledListingIsNotRepeatedBeforeItMay) {
  cloud_.throttles = 1;
  start();
  ASSERT_TRUE(until([&] { return cloud_.listings >= 1; }));
  run_for(loop_, Duration(150));
  EXPECT_EQ(cloud_.listings, 1);
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  EXPECT_GE(cloud_.listings, 2);
}

TEST_F(ShellTest, ListingsKeepToTheAccountsBudget) {
  cluster_.api = model::ApiBudget{.per_second = 4, .burst = 2};
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(1, cpu_names(1, 1));
  run_for(loop_, Duration(1'500));
  EXPECT_LE(cloud_.listings + cloud_.launch_calls, 2 + 4 * 2);
}

TEST_F(ShellTest, AJobWhosePoolGivesNoMachineIsGivenBackAndToldWhy) {
  cluster_.pools[0].zones = {"a"};
  cloud_.room_in = {{"a", 0}};
  slurm::Job job;
  job.id = 17;
  job.state = "CONFIGURING";
  job.partition = "batch";
  job.nodes = "cpu-0001";
  job.requeueable = true;
  slurm_.set_jobs({job});
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(17, cpu_names(1, 1));
  ASSERT_TRUE(until([&] { return !slurm_.job_updates().empty(); }));
  const auto said = slurm_.job_updates()[0];
  EXPECT_EQ(said.change, slurm::JobChange::comment);
  EXPECT_EQ(said.jobs, std::vector<JobId>{17});
  EXPECT_TRUE(said.text.starts_with(engine::our_reason)) << said.text;
  ASSERT_TRUE(until([&] {
    const auto updates = slurm_.updates();
    return std::any_of(updates.begin(), updates.end(), [](const slurm::NodeUpdate& update) {
      return update.change == slurm::NodeChange::down && update.nodes[0].str() == "cpu-0001" && update.jobs_may_restart;
    });
  })) << "the hint doesn't say that it may be requeued: squeue does";
  ASSERT_TRUE(until([&] { return slurm_.node("cpu-0007").state.base == model::NodeBase::down; })) << "held";
}

TEST_F(ShellTest, AnEvictedMachinesJobIsSignalledAndMoved) {
  cluster_.pools[0].eviction.signal = "USR1";
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  resume(17, cpu_names(1, 1));
  ASSERT_TRUE(until([&] { return situation("cpu-0001") == engine::Situation::serving; }));
  slurm::Job job;
  job.id = 17;
  job.state = "RUNNING";
  job.partition = "batch";
  job.nodes = "cpu-0001";
  job.requeueable = true;
  slurm_.set_jobs({job});
  cloud_.evict(cloud_.instances()[0].id.str(), clock_.now() + Duration(2'000));
  ASSERT_TRUE(until([&] { return slurm_.job_updates().size() >= 2; }));
  EXPECT_EQ(slurm_.job_updates()[0].change, slurm::JobChange::signal);
  EXPECT_EQ(slurm_.job_updates()[0].text, "USR1");
  EXPECT_EQ(slurm_.job_updates()[1].change, slurm::JobChange::requeue);
  EXPECT_EQ(slurm_.job_updates()[1].jobs, std::vector<JobId>{17});
  EXPECT_TRUE(slurm_.node("cpu-0001").state.has(model::node_drain));
  ASSERT_TRUE(until([&] { return cloud_.launched() == 2; })) << "another machine, before this one goes";
}

TEST_F(ShellTest, WithoutTheLeaseAPlanIsNotCarriedOut) {
  start();
  ASSERT_TRUE(until([&] { return !shell_->world().situations.empty(); }));
  may_act_ = false;
  resume(17, cpu_names(1, 2));
  run_for(loop_, Duration(300));
  EXPECT_EQ(cloud_.launch_calls, 0);
  EXPECT_TRUE(slurm_.updates().empty());
}

}  // namespace
}  // namespace slipway::daemon
