// One test a rule that the model of slurmctld follows. Times are seconds since slurmctld's start; power scans happen at
// whole seconds.
#include "sim/slurm.h"

#include <gtest/gtest.h>

#include <numeric>

namespace slipway::sim {
namespace {

using namespace model;
using slurm::HintKind;
using slurm::JobChange;
using slurm::NodeChange;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint begin{Duration(1'700'000'000'000)};

class SlurmModel : public ::testing::Test {
 protected:
  SlurmModel() {
    options.resume_timeout = seconds(100);
    options.suspend_timeout = seconds(20);
  }

  // Pools cpu (8 nodes) and gpu (4), partition batch over both.
  Slurm& make() {
    time = Timeline(begin);  // nothing of a model before this one is left on it
    std::vector<engine::Spec::Pool> pools(2);
    pools[0].name = PoolName("cpu");
    pools[0].max = 8;
    pools[1].name = PoolName("gpu");
    pools[1].max = 4;
    slurm_ = std::make_unique<Slurm>(time, Random(seed), pools,
                                     std::vector<PartitionSpec>{{"batch", {0, 1}}, {"gpu", {1}}}, options);
    slurm_->on_hook = [this](const slurm::Hint& hint) {
      hooks.push_back(hint);
      hook_times.push_back(time.now());
      if (hint.kind == HintKind::job_start && prompt) {
        time.after(Duration(0), [this, job = hint.job] { poll(job); });
      }
      if (hint.kind == HintKind::resume && boot >= Duration(0)) {
        for (const NodeName& name : hint.nodes) {
          const uint32_t node = slurm_->index_of(name);
          time.after(boot, [this, node] { slurm_->slurmd_started(node, "198.18.0." + std::to_string(node + 10)); });
        }
      }
    };
    slurm_->on_node_state = [this](uint32_t node) {
      ++node_calls;
      if (history[node].empty() || history[node].back() != word(node)) history[node].push_back(word(node));
    };
    slurm_->on_job_state = [this](const Job& job) { job_history[job.id].push_back(job.state); };
    return *slurm_;
  }
  // What the daemon does with a prolog: says go when the nodes are up.
  void poll(JobId id) {
    const Job& job = slurm_->all_jobs().at(id);
    if (job.state != JobState::configuring) return;
    for (const uint32_t node : job.nodes) {
      constexpr uint32_t waits = node_powered_down | node_powering_up | node_powering_down | node_not_responding;
      if ((slurm_->nodes()[node].slurm.flags & waits) != 0) {
        time.after(Duration(100), [this, id] { poll(id); });
        return;
      }
    }
    slurm_->start_job(id);
  }
  void run(Duration duration) { time.run_until(time.now() + duration); }
  double now() const { return static_cast<double>((time.now() - begin).count()) / 1000; }

  std::string word(uint32_t node) const {
    static constexpr const char* names[] = {"CLOUD",         "DRAIN",       "COMPLETING",   "NOT_RESPONDING",
                                            "FAIL",          "INVALID_REG", "POWERED_DOWN", "POWERING_UP",
                                            "POWERING_DOWN", "POWER_DOWN",  "POWER_UP"};
    static constexpr const char* bases[] = {"UNKNOWN", "DOWN", "ERROR", "IDLE", "ALLOCATED", "MIXED", "FUTURE"};
    const SlurmNodeState state = slurm_->nodes()[node].slurm;
    std::string text = bases[static_cast<size_t>(state.base)];
    for (size_t bit = 1; bit < std::size(names); ++bit) {
      if ((state.flags >> bit & 1) != 0) text += std::string("+") + names[bit];
    }
    return text;
  }
  JobState state_of(JobId job) const { return slurm_->all_jobs().at(job).state; }
  size_t fired(HintKind kind) const {
    return static_cast<size_t>(
        std::count_if(hooks.begin(), hooks.end(), [&](const slurm::Hint& hint) { return hint.kind == kind; }));
  }
  const slurm::Hint& last(HintKind kind) const {
    const auto found =
        std::find_if(hooks.rbegin(), hooks.rend(), [&](const slurm::Hint& hint) { return hint.kind == kind; });
    EXPECT_NE(found, hooks.rend());
    return *found;
  }
  Result<void> tell(NodeChange change, uint32_t node, const std::string& reason = "slipway: test") {
    return slurm_->update(slurm::NodeUpdate{change, {slurm_->nodes()[node].name}, {}, {}, reason, false});
  }
  void power_up(uint32_t node) {
    ASSERT_TRUE(tell(NodeChange::power_up, node));
    run(seconds(5));
    ASSERT_EQ(word(node), "IDLE");
  }

  Timeline time{begin};
  SlurmOptions options;
  uint64_t seed = 1;
  Duration boot = milliseconds(1'500);  // negative: machines don't boot by themselves
  bool prompt = true;                   // prologs are answered
  std::vector<slurm::Hint> hooks;
  std::vector<TimePoint> hook_times;
  std::map<uint32_t, std::vector<std::string>> history;
  std::map<JobId, std::vector<JobState>> job_history;
  size_t node_calls = 0;
  std::unique_ptr<Slurm> slurm_;
};

// --- a normal cycle ---

TEST_F(SlurmModel, JobWakesItsNodesAndTheyAreSentToSleepAgain) {
  Slurm& slurm = make();
  run(milliseconds(500));
  const JobId job = slurm.submit({.nodes = 2, .runs = seconds(10)});
  run(seconds(30));
  EXPECT_EQ(state_of(job), JobState::done);
  ASSERT_TRUE(slurm.update(slurm::NodeUpdate{NodeChange::power_down, {NodeName("cpu-0001"), NodeName("cpu-0002")}}));
  run(seconds(60));
  const std::vector<std::string> cycle{"ALLOCATED+POWERED_DOWN",
                                       "ALLOCATED+NOT_RESPONDING+POWERING_UP",
                                       "ALLOCATED",
                                       "IDLE+COMPLETING",
                                       "IDLE",
                                       "IDLE+POWER_DOWN",
                                       "IDLE+POWERING_DOWN",
                                       "IDLE+POWERED_DOWN"};
  EXPECT_EQ(history[0], cycle);
  EXPECT_EQ(history[1], cycle);
  EXPECT_EQ(job_history[job], (std::vector<JobState>{JobState::pending, JobState::configuring, JobState::running,
                                                     JobState::completing, JobState::done}));
  size_t events = 0;
  for (; !time.empty() && events < 10; ++events) time.step();
  EXPECT_TRUE(time.empty()) << "something runs while nothing is pending";
}

TEST_F(SlurmModel, HooksAreFiredOnceAScanForAllNodes) {
  Slurm& slurm = make();
  run(milliseconds(300));
  const JobId first = slurm.submit({.nodes = 2});
  const JobId second = slurm.submit({.nodes = 3});
  run(milliseconds(600));
  EXPECT_EQ(fired(HintKind::resume), 0u) << "before the scan at the next second";
  run(milliseconds(200));
  ASSERT_EQ(fired(HintKind::resume), 1u);
  const slurm::Hint& hint = last(HintKind::resume);
  EXPECT_EQ(hint.nodes.size(), 5u);
  ASSERT_EQ(hint.jobs.size(), 2u);
  EXPECT_EQ(hint.jobs[0].id, first);
  EXPECT_EQ(hint.jobs[0].nodes, (std::vector{NodeName("cpu-0001"), NodeName("cpu-0002")}));
  EXPECT_EQ(hint.jobs[1].id, second);
  EXPECT_EQ(hint.jobs[1].nodes.size(), 3u);
}

TEST_F(SlurmModel, ManualPowerUpIsInNoJobOfTheHint) {
  make();
  ASSERT_TRUE(tell(NodeChange::power_up, 3));
  EXPECT_EQ(word(3), "IDLE+POWERED_DOWN+POWER_UP");
  run(seconds(1));
  EXPECT_EQ(word(3), "IDLE+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(last(HintKind::resume).nodes, std::vector{NodeName("cpu-0004")});
  EXPECT_TRUE(last(HintKind::resume).jobs.empty());
}

TEST_F(SlurmModel, JobCancelledBeforeItsScanWakesNobody) {
  Slurm& slurm = make();
  run(milliseconds(300));
  const JobId job = slurm.submit({});
  run(milliseconds(100));
  slurm.cancel(job);
  run(seconds(5));
  EXPECT_EQ(fired(HintKind::resume), 0u);
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
  EXPECT_EQ(state_of(job), JobState::cancelled);
}

TEST_F(SlurmModel, CancellingAJobLeavesItsNodesBooting) {
  Slurm& slurm = make();
  boot = seconds(10);
  const JobId job = slurm.submit({});
  run(seconds(3));
  slurm.cancel(job);
  EXPECT_EQ(state_of(job), JobState::cancelled) << "nothing on a booting node to wait for";
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING+POWERING_UP");
  run(seconds(20));
  EXPECT_EQ(word(0), "IDLE");
  const JobId next = slurm.submit({});
  run(seconds(2));
  EXPECT_EQ(slurm.all_jobs().at(next).nodes, std::vector<uint32_t>{0});
}

TEST_F(SlurmModel, ANewJobMayGetANodeThatBoots) {
  Slurm& slurm = make();
  boot = seconds(10);
  slurm.cancel([&] {
    const JobId job = slurm.submit({});
    run(seconds(3));
    return job;
  }());
  const JobId next = slurm.submit({});
  run(seconds(1));
  EXPECT_EQ(slurm.all_jobs().at(next).nodes, std::vector<uint32_t>{0});
  run(seconds(15));
  EXPECT_EQ(state_of(next), JobState::running);
  EXPECT_EQ(fired(HintKind::resume), 1u);
}

// --- timeouts ---

TEST_F(SlurmModel, ResumeTimeoutSetsTheNodeDownAndRequeuesItsJob) {
  for (const Release release : {Release::r22_05, Release::r24_11}) {
    options.release = release;
    hooks.clear();
    Slurm& slurm = make();
    boot = seconds(-1);
    const JobId job = slurm.submit({.nodes = 2});
    run(seconds(101));
    EXPECT_EQ(fired(HintKind::resume_fail), 0u);
    run(seconds(2));
    ASSERT_EQ(fired(HintKind::resume_fail), 1u);
    EXPECT_EQ(last(HintKind::resume_fail).nodes.size(), 2u) << "one hook for both";
    EXPECT_EQ(word(0), release == Release::r22_05 ? "DOWN+NOT_RESPONDING+POWERED_DOWN" : "DOWN+POWERED_DOWN");
    EXPECT_EQ(slurm.nodes()[0].reason, "ResumeTimeout reached");
    EXPECT_EQ(fired(HintKind::suspend), 0u);
    const Job& again = slurm.all_jobs().at(job);
    EXPECT_EQ(again.state, JobState::pending);
    EXPECT_EQ(again.restarts, 1u);
    EXPECT_EQ(again.begin_at - hook_times.back(), options.cred_expire + seconds(1));
    run(seconds(55));
    EXPECT_EQ(state_of(job), JobState::pending);
    run(seconds(18));
    EXPECT_EQ(state_of(job), JobState::configuring);
    EXPECT_EQ(slurm.all_jobs().at(job).nodes, (std::vector<uint32_t>{2, 3})) << "not those that are DOWN";
  }
}

TEST_F(SlurmModel, ResumeTimeoutEndsJobsThatCannotBeRequeued) {
  Slurm& slurm = make();
  boot = seconds(-1);
  const JobId srun = slurm.submit({.batch = false});
  const JobId stubborn = slurm.submit({.requeue = false});
  run(seconds(110));
  EXPECT_EQ(state_of(srun), JobState::failed);
  EXPECT_EQ(state_of(stubborn), JobState::failed);
}

TEST_F(SlurmModel, WayBackAfterAResumeTimeout) {
  Slurm& slurm = make();
  boot = seconds(-1);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(105));
  ASSERT_EQ(word(0), "DOWN+POWERED_DOWN");
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  EXPECT_EQ(fired(HintKind::suspend), 1u);
  ASSERT_TRUE(tell(NodeChange::resume, 0));
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
  boot = seconds(1);
  const JobId job = slurm.submit({});
  run(seconds(5));
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, SuspendTimeoutEndsPoweringDownWhateverTheMachineDoes) {
  Slurm& slurm = make();
  power_up(0);
  EXPECT_EQ(slurm.nodes()[0].address, "198.18.0.10");
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(20));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  run(seconds(3));
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
  EXPECT_EQ(slurm.nodes()[0].address, "cpu-0001");
}

// --- updates ---

TEST_F(SlurmModel, ResumeEndsPoweringDownAtOnce) {
  Slurm& slurm = make();
  power_up(0);
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  EXPECT_EQ(word(0), "IDLE+POWER_DOWN");
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  ASSERT_TRUE(tell(NodeChange::resume, 0));
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
  EXPECT_EQ(slurm.nodes()[0].address, "cpu-0001");
}

TEST_F(SlurmModel, ResumeIsRefusedWhilePoweringUpAndOthersOfTheListAreDone) {
  Slurm& slurm = make();
  power_up(1);
  ASSERT_TRUE(tell(NodeChange::down, 1));
  boot = seconds(-1);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(2));
  const auto done =
      slurm.update(slurm::NodeUpdate{NodeChange::resume, {NodeName("cpu-0001"), NodeName("cpu-0002"), NodeName("x")}});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, ErrorCode::permanent);
  EXPECT_NE(done.error().message.find("cpu-0001,x"), std::string::npos) << done.error().message;
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(word(1), "IDLE+NOT_RESPONDING");
  EXPECT_FALSE(tell(NodeChange::resume, 5)) << "nothing to resume from";
}

TEST_F(SlurmModel, PowerDownOfABusyNodeWaitsForTheJob) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(30)});
  run(seconds(10));
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(10));
  EXPECT_EQ(word(0), "ALLOCATED+POWER_DOWN");
  const JobId next = slurm.submit({});
  run(seconds(20));
  EXPECT_EQ(state_of(job), JobState::done);
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  EXPECT_EQ(slurm.all_jobs().at(next).nodes, std::vector<uint32_t>{1});
}

TEST_F(SlurmModel, DownKeepsPoweringUpAndPowerDownThenAbortsTheBoot) {
  Slurm& slurm = make();
  boot = seconds(-1);
  const JobId job = slurm.submit({.nodes = 2});
  run(seconds(3));
  ASSERT_TRUE(tell(NodeChange::down, 0, "slipway: no machine"));
  EXPECT_EQ(word(0), "DOWN+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(word(1), "IDLE+NOT_RESPONDING+POWERING_UP") << "the job's other node boots on";
  EXPECT_EQ(state_of(job), JobState::pending);
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  EXPECT_EQ(word(0), "DOWN+NOT_RESPONDING+POWER_DOWN");
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  EXPECT_EQ(slurm.nodes()[0].reason, "slipway: no machine") << "24.11 keeps the text";
}

TEST_F(SlurmModel, PlainPowerDownOfABootingNodeWaitsAndForceDoesNot) {
  make();
  boot = seconds(10);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  ASSERT_TRUE(tell(NodeChange::power_up, 1));
  run(seconds(2));
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  ASSERT_TRUE(tell(NodeChange::power_down_force, 1));
  EXPECT_EQ(word(1), "IDLE+NOT_RESPONDING+POWER_DOWN");
  run(seconds(2));
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING+POWERING_UP+POWER_DOWN");
  EXPECT_EQ(word(1), "IDLE+POWERING_DOWN");
  run(seconds(10));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN") << "up for a moment, then down";
}

TEST_F(SlurmModel, ForceRequeuesTheJobOfABootingNode) {
  Slurm& slurm = make();
  boot = seconds(-1);
  const JobId job = slurm.submit({});
  run(seconds(3));
  ASSERT_TRUE(tell(NodeChange::power_down_force, 0));
  EXPECT_EQ(state_of(job), JobState::pending);
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  EXPECT_FALSE(slurm.nodes()[0].busy);
}

TEST_F(SlurmModel, PowerUpWhilePoweringUpRunsTheProgramAgainAndRestartsTheTimer) {
  make();
  boot = seconds(-1);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(60));
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(2));
  EXPECT_EQ(fired(HintKind::resume), 2u);
  run(seconds(90));
  EXPECT_EQ(fired(HintKind::resume_fail), 0u);
  run(seconds(15));
  EXPECT_EQ(fired(HintKind::resume_fail), 1u);
}

TEST_F(SlurmModel, DrainKeepsJobsAwayAndUndrainBringsThemBack) {
  Slurm& slurm = make();
  for (uint32_t node = 8; node < 12; ++node) ASSERT_TRUE(tell(NodeChange::drain, node, "slipway: no capacity"));
  EXPECT_EQ(word(8), "IDLE+DRAIN+POWERED_DOWN");
  const JobId stays = slurm.submit({.partition = 1});
  const JobId goes = slurm.submit({.partition = 0, .nodes = 2});
  run(seconds(5));
  EXPECT_EQ(state_of(stays), JobState::pending);
  EXPECT_EQ(slurm.all_jobs().at(goes).nodes, (std::vector<uint32_t>{0, 1})) << "the partition's other pool";
  ASSERT_TRUE(tell(NodeChange::undrain, 8));
  EXPECT_EQ(word(8), "IDLE+NOT_RESPONDING+POWERED_DOWN") << "the flag stays, and jobs are placed there";
  run(seconds(1));
  EXPECT_EQ(slurm.all_jobs().at(stays).nodes, std::vector<uint32_t>{8});
  run(seconds(5));
  EXPECT_EQ(state_of(stays), JobState::running);
}

TEST_F(SlurmModel, DrainOfABootingNodeRequeuesItsJobAndOfABusyOneDoesNot) {
  Slurm& slurm = make();
  const JobId runs = slurm.submit({});
  run(seconds(5));
  boot = seconds(-1);
  const JobId boots = slurm.submit({});
  run(seconds(3));
  ASSERT_TRUE(tell(NodeChange::drain, 0));
  ASSERT_TRUE(tell(NodeChange::drain, 1));
  EXPECT_EQ(word(0), "ALLOCATED+DRAIN");
  EXPECT_EQ(state_of(runs), JobState::running);
  EXPECT_EQ(word(1), "IDLE+DRAIN+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(state_of(boots), JobState::pending);
  EXPECT_GT(slurm.all_jobs().at(boots).begin_at, time.now() + seconds(60));
}

TEST_F(SlurmModel, ReasonIsClearedByOldReleasesOnly) {
  for (const Release release : {Release::r22_05, Release::r24_11}) {
    options.release = release;
    Slurm& slurm = make();
    ASSERT_TRUE(tell(NodeChange::drain, 0, "slipway: why"));
    EXPECT_EQ(slurm.nodes()[0].reason, "slipway: why");
    ASSERT_TRUE(tell(NodeChange::undrain, 0));
    EXPECT_EQ(slurm.nodes()[0].reason, release == Release::r22_05 ? "" : "slipway: why");
  }
}

TEST_F(SlurmModel, DownNodeThatIsAliveComesBackByResumeAndARegistration) {
  Slurm& slurm = make();
  power_up(0);
  slurm.set_by_hand(0, NodeChange::down, "look at the fan");
  EXPECT_EQ(word(0), "DOWN");
  EXPECT_EQ(slurm.nodes()[0].reason, "look at the fan");
  slurm.set_by_hand(0, NodeChange::resume, "");
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING");
  run(seconds(2));
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, BindSetsTheAddressAndRegistrationTheRealOne) {
  Slurm& slurm = make();
  boot = seconds(5);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(2));
  ASSERT_TRUE(slurm.update(slurm::NodeUpdate{NodeChange::bind, {NodeName("cpu-0001")}, {"198.18.9.9"}, {"h"}}));
  EXPECT_EQ(slurm.nodes()[0].address, "198.18.9.9");
  run(seconds(8));
  EXPECT_EQ(slurm.nodes()[0].address, "198.18.0.10");
}

// --- registrations ---

TEST_F(SlurmModel, SlurmdFromBeforeTheResumeIsIgnoredOnceAndForAll) {
  Slurm& slurm = make();
  boot = seconds(-1);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  slurm.slurmd_started(0, "198.18.0.99");  // before the scan, and heard only after it
  slurm.slurmd_cut_off(0, true);
  run(seconds(2));
  slurm.slurmd_cut_off(0, false);
  run(seconds(30));
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(slurm.nodes()[0].slurmd_started, begin) << "what gives it away";
  slurm.slurmd_started(0, "198.18.0.99");
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, RegistrationInPoweredDownIsAccepted) {
  Slurm& slurm = make();
  slurm.slurmd_started(2, "198.18.0.50");
  run(seconds(1));
  EXPECT_EQ(word(2), "IDLE");
  EXPECT_EQ(slurm.nodes()[2].address, "198.18.0.50");
  EXPECT_NE(slurm.nodes()[2].last_busy, TimePoint{});
}

TEST_F(SlurmModel, RegistrationWhilePoweringDownIsIgnored) {
  Slurm& slurm = make();
  power_up(0);
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(2));
  slurm.slurmd_started(0, "198.18.0.77");
  run(seconds(10));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
}

TEST_F(SlurmModel, LateRegistrationAfterAResumeTimeoutReturnsTheNodeToService) {
  Slurm& slurm = make();
  boot = seconds(-1);
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(105));
  slurm.slurmd_started(0, "198.18.0.50");
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, APowerUpThatARegistrationOvertookWakesTheNodeAfterItsNextSleep) {
  Slurm& slurm = make();
  boot = seconds(-1);
  run(milliseconds(100));
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  slurm.slurmd_started(0, "198.18.0.50");
  run(seconds(3));
  EXPECT_EQ(word(0), "IDLE+POWER_UP");
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(1));
  ASSERT_TRUE(tell(NodeChange::resume, 0));
  run(seconds(1));
  EXPECT_EQ(fired(HintKind::resume), 1u);
}

TEST_F(SlurmModel, RegistrationsQueueUp) {
  options.registration = seconds(1);
  Slurm& slurm = make();
  for (uint32_t node = 0; node < 8; ++node) slurm.slurmd_started(node, "a");
  run(milliseconds(4'500));
  uint32_t up = 0;
  for (uint32_t node = 0; node < 8; ++node) up += word(node) == "IDLE" ? 1 : 0;
  EXPECT_EQ(up, 4u);
}

TEST_F(SlurmModel, OldReleasesMissSomeVeryEarlyRegistrations) {
  const auto lost_of_100 = [&](bool early) {
    options.early_registrations = early;
    boot = milliseconds(100);
    uint32_t lost = 0;
    for (seed = 1; seed <= 100; ++seed) {
      make();
      EXPECT_TRUE(tell(NodeChange::power_up, 0));
      run(seconds(5));
      lost += word(0) == "IDLE" ? 0 : 1;
    }
    return lost;
  };
  const uint32_t lost = lost_of_100(true);
  EXPECT_GT(lost, 0u);
  EXPECT_LT(lost, 30u);
  EXPECT_EQ(lost_of_100(false), 0u);
}

// --- jobs ---

TEST_F(SlurmModel, PrologOfAJobOnNodesThatAreUpComesAtOnce) {
  Slurm& slurm = make();
  power_up(0);
  run(milliseconds(300));
  const TimePoint submitted = time.now();
  const JobId job = slurm.submit({});
  run(seconds(1));
  ASSERT_EQ(fired(HintKind::job_start), 1u);
  EXPECT_EQ(last(HintKind::job_start).job, job);
  EXPECT_EQ(last(HintKind::job_start).nodes, std::vector{NodeName("cpu-0001")});
  EXPECT_EQ(state_of(job), JobState::running);
  EXPECT_LT(slurm.all_jobs().at(job).started - submitted, milliseconds(600));
}

TEST_F(SlurmModel, JobWaitsForItsPrologHoweverLongItsNodesAreUp) {
  prompt = false;
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 2});
  run(seconds(90));
  EXPECT_EQ(word(0), "ALLOCATED");
  EXPECT_EQ(state_of(job), JobState::configuring);
  slurm.start_job(job);
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, PrologThatEndsTooEarlyCostsTheRegularTest) {
  prompt = false;
  boot = seconds(5);
  Slurm& slurm = make();
  const JobId job = slurm.submit({.batch = false});
  run(seconds(3));
  slurm.start_job(job);
  run(seconds(26));
  EXPECT_EQ(state_of(job), JobState::configuring) << "its node has been up for 20 s";
  run(seconds(2));
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, WithoutOurPrologJobsAreTestedEvery30SecondsAndBatchLaunchesEvery10) {
  options.prolog = false;
  Slurm& slurm = make();
  run(seconds(1));
  const JobId batch = slurm.submit({.runs = seconds(200)});
  const JobId srun = slurm.submit({.runs = seconds(200), .batch = false});
  run(seconds(120));
  EXPECT_EQ(fired(HintKind::job_start), 0u);
  EXPECT_EQ(slurm.all_jobs().at(srun).started, begin + seconds(30));
  EXPECT_GT(slurm.all_jobs().at(batch).started, begin + seconds(30));
  EXPECT_LE(slurm.all_jobs().at(batch).started, begin + seconds(40));
  const JobId next = slurm.submit({.nodes = 1, .runs = seconds(5), .batch = false});
  run(seconds(60));
  ASSERT_TRUE(tell(NodeChange::power_up, 5));
  EXPECT_EQ(state_of(next), JobState::done);
}

TEST_F(SlurmModel, AJobWaitsForAllItsNodes) {
  boot = seconds(-1);
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 3});
  run(seconds(2));
  slurm.slurmd_started(0, "a");
  slurm.slurmd_started(1, "b");
  run(seconds(30));
  EXPECT_EQ(state_of(job), JobState::configuring);
  slurm.slurmd_started(2, "c");
  run(seconds(1));
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, DownRequeuesWithSlurmsDelayUnlessJobsMayRestart) {
  Slurm& slurm = make();
  const JobId waits = slurm.submit({.runs = seconds(500)});
  const JobId starts = slurm.submit({.runs = seconds(500)});
  run(seconds(5));
  const TimePoint lost = time.now();
  for (const uint32_t node : {0u, 1u}) slurm.slurmd_ended(node);
  ASSERT_TRUE(
      slurm.update(slurm::NodeUpdate{NodeChange::down, {NodeName("cpu-0001")}, {}, {}, "slipway: gone", false}));
  ASSERT_TRUE(slurm.update(slurm::NodeUpdate{NodeChange::down, {NodeName("cpu-0002")}, {}, {}, "slipway: gone", true}));
  EXPECT_EQ(state_of(waits), JobState::pending);
  EXPECT_EQ(slurm.all_jobs().at(waits).begin_at, lost + seconds(61));
  run(seconds(1));
  EXPECT_EQ(state_of(starts), JobState::configuring);
  EXPECT_EQ(slurm.all_jobs().at(starts).nodes, std::vector<uint32_t>{2});
  EXPECT_EQ(state_of(waits), JobState::pending);
  run(seconds(75));
  EXPECT_EQ(state_of(waits), JobState::running);
}

TEST_F(SlurmModel, RequeueHappensOnlyToJobsThatAllowIt) {
  Slurm& slurm = make();
  const JobId batch = slurm.submit({.runs = seconds(500)});
  const JobId srun = slurm.submit({.runs = seconds(500), .batch = false});
  const JobId stubborn = slurm.submit({.runs = seconds(500), .requeue = false});
  run(seconds(5));
  ASSERT_TRUE(slurm.update(slurm::JobUpdate{JobChange::requeue, {batch, srun, stubborn}, ""}));
  EXPECT_EQ(state_of(batch), JobState::completing);
  run(milliseconds(200));
  EXPECT_EQ(state_of(batch), JobState::pending);
  EXPECT_EQ(state_of(srun), JobState::running);
  EXPECT_EQ(state_of(stubborn), JobState::running);
  run(seconds(2));
  EXPECT_EQ(state_of(batch), JobState::running) << "no delay";
  EXPECT_EQ(slurm.all_jobs().at(batch).restarts, 1u);
}

TEST_F(SlurmModel, CheckpointingJobsKeepWhatASignalSaved) {
  Slurm& slurm = make();
  const JobId saves = slurm.submit({.runs = seconds(100), .checkpoints = true});
  const JobId forgets = slurm.submit({.runs = seconds(100)});
  const JobId dies = slurm.submit({.runs = seconds(100), .dies_of_signals = true});
  run(seconds(43));
  const TimePoint started = slurm.all_jobs().at(saves).started;
  ASSERT_TRUE(slurm.update(slurm::JobUpdate{JobChange::signal, {saves, forgets, dies}, "USR1"}));
  EXPECT_EQ(slurm.all_jobs().at(saves).done, time.now() - started);
  EXPECT_EQ(slurm.all_jobs().at(forgets).done, Duration(0));
  EXPECT_EQ(state_of(saves), JobState::running);
  run(milliseconds(200));
  EXPECT_EQ(state_of(dies), JobState::failed);
  ASSERT_TRUE(slurm.update(slurm::JobUpdate{JobChange::requeue, {saves, forgets}, ""}));
  run(seconds(70));
  EXPECT_EQ(state_of(saves), JobState::done);
  EXPECT_EQ(state_of(forgets), JobState::running);
}

TEST_F(SlurmModel, CommentsAreKeptAndShownForPendingJobs) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 12});
  const JobId behind = slurm.submit({.nodes = 12});
  run(seconds(1));
  ASSERT_TRUE(slurm.update(slurm::JobUpdate{JobChange::comment, {job, behind}, "slipway: waits"}));
  const auto done = slurm.update(slurm::JobUpdate{JobChange::comment, {77, behind}, "slipway: still"});
  EXPECT_FALSE(done) << "an unknown job";
  ASSERT_EQ(slurm.pending().size(), 1u);
  EXPECT_EQ(slurm.pending()[0].id, behind);
  EXPECT_EQ(slurm.pending()[0].told, "slipway: still");
  EXPECT_EQ(slurm.pending()[0].pools, (std::vector<engine::PoolIndex>{0, 1}));
}

TEST_F(SlurmModel, JobViewsTellWhatTheDaemonNeeds) {
  Slurm& slurm = make();
  const JobId runs = slurm.submit({.runs = seconds(500)});
  run(seconds(5));
  boot = seconds(-1);
  const JobId boots = slurm.submit({.nodes = 2, .batch = false});
  run(seconds(5));
  ASSERT_EQ(slurm.jobs().size(), 2u);
  EXPECT_EQ(slurm.jobs()[0].id, runs);
  EXPECT_TRUE(slurm.jobs()[0].running);
  EXPECT_TRUE(slurm.jobs()[0].requeueable);
  ASSERT_EQ(slurm.starting_jobs().size(), 1u);
  EXPECT_EQ(slurm.starting_jobs()[0].id, boots);
  EXPECT_FALSE(slurm.starting_jobs()[0].requeueable);
  EXPECT_EQ(slurm.starting_jobs()[0].nodes, (std::vector{NodeName("cpu-0002"), NodeName("cpu-0003")}));
}

TEST_F(SlurmModel, TimeLimitsEndJobsInTheirRegularCheck) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(500), .time_limit = seconds(40)});
  run(seconds(300));
  EXPECT_EQ(state_of(job), JobState::failed);
  const Duration took = slurm.all_jobs().at(job).ended - slurm.all_jobs().at(job).started;
  EXPECT_GE(took, seconds(40));
  EXPECT_LE(took, seconds(71));
}

// --- who gets which nodes ---

TEST_F(SlurmModel, NodesThatAreUpComeBeforeThoseThatSleepThenPoolsInOrder) {
  Slurm& slurm = make();
  power_up(9);
  power_up(3);
  const JobId job = slurm.submit({.nodes = 4});
  run(seconds(1));
  EXPECT_EQ(slurm.all_jobs().at(job).nodes, (std::vector<uint32_t>{0, 1, 3, 9}));
}

TEST_F(SlurmModel, SmallJobsOvertakeButDoNotDelayTheFront) {
  Slurm& slurm = make();
  const JobId long_one = slurm.submit({.partition = 1, .nodes = 2, .runs = seconds(300)});
  run(seconds(5));
  const JobId front = slurm.submit({.partition = 1, .nodes = 3, .runs = seconds(10)});
  run(seconds(1));
  std::vector<JobId> small;
  for (int i = 0; i < 5; ++i) small.push_back(slurm.submit({.partition = 1, .nodes = 1, .runs = seconds(100)}));
  run(seconds(200));
  EXPECT_EQ(state_of(small[0]), JobState::done) << "3 of 4 nodes are the front's: one job at a time may overtake";
  EXPECT_EQ(state_of(small[1]), JobState::running);
  EXPECT_EQ(state_of(small[2]), JobState::pending);
  run(seconds(150));
  EXPECT_EQ(state_of(long_one), JobState::done);
  EXPECT_EQ(state_of(front), JobState::done);
}

TEST_F(SlurmModel, AFrontThatCanNeverStartHoldsNobodyUp) {
  Slurm& slurm = make();
  const JobId huge = slurm.submit({.partition = 1, .nodes = 5});
  std::vector<JobId> small;
  for (int i = 0; i < 4; ++i) small.push_back(slurm.submit({.partition = 1, .runs = seconds(30)}));
  run(seconds(10));
  EXPECT_EQ(state_of(huge), JobState::pending);
  for (const JobId job : small) EXPECT_EQ(state_of(job), JobState::running);
}

// --- machines that are lost ---

TEST_F(SlurmModel, UnheardNodesAreNotRespondingThenDownAndTheirJobsRequeued) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(30)});
  run(seconds(10));
  slurm.slurmd_ended(0, "another address");
  EXPECT_TRUE(slurm.runs_job(0));
  slurm.slurmd_ended(0, "198.18.0.10");
  EXPECT_FALSE(slurm.runs_job(0));
  run(seconds(31));
  EXPECT_EQ(word(0), "ALLOCATED+NOT_RESPONDING");
  run(seconds(79));
  EXPECT_EQ(state_of(job), JobState::running) << "nobody tells slurmctld that it can never end";
  run(seconds(45));
  EXPECT_EQ(word(0), "DOWN+NOT_RESPONDING");
  EXPECT_EQ(slurm.nodes()[0].reason, "Not responding");
  EXPECT_EQ(state_of(job), JobState::pending);
  EXPECT_EQ(slurm.all_jobs().at(job).restarts, 1u);
}

TEST_F(SlurmModel, AMachineCutOffForAShortTimeKeepsItsJob) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(30)});
  run(seconds(10));
  slurm.slurmd_cut_off(0, true);
  run(seconds(60));
  EXPECT_EQ(word(0), "ALLOCATED+NOT_RESPONDING");
  EXPECT_TRUE(slurm.runs_job(0));
  EXPECT_EQ(state_of(job), JobState::running);
  slurm.slurmd_cut_off(0, false);
  run(seconds(2));
  EXPECT_EQ(word(0), "IDLE");
  EXPECT_EQ(state_of(job), JobState::done) << "it had ended meanwhile";
}

TEST_F(SlurmModel, DownDoesNotLastOnANodeThatAnswers) {
  Slurm& slurm = make();
  power_up(1);
  const JobId job = slurm.submit({.runs = seconds(500)});
  run(seconds(1));
  ASSERT_TRUE(tell(NodeChange::down, 1));
  EXPECT_EQ(word(1), "DOWN");
  EXPECT_EQ(state_of(job), JobState::pending);
  run(milliseconds(200));
  EXPECT_EQ(word(1), "IDLE") << "its slurmd said that it ended the job";
  ASSERT_TRUE(tell(NodeChange::down, 1));
  run(seconds(1));
  EXPECT_EQ(word(1), "DOWN") << "nobody asks it";
  run(options.slurmd_timeout / 3);
  EXPECT_EQ(word(1), "IDLE") << "but for the next ping";
}

TEST_F(SlurmModel, ADownNodeThatIsHeardReturnsByItselfAfterAWhile) {
  Slurm& slurm = make();
  power_up(0);
  slurm.slurmd_cut_off(0, true);
  run(seconds(300));
  ASSERT_EQ(word(0), "DOWN+NOT_RESPONDING");
  slurm.slurmd_cut_off(0, false);
  run(seconds(60));
  EXPECT_EQ(word(0), "DOWN+NOT_RESPONDING");
  run(seconds(800));
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, DownReachesNoMachineThatIsCutOffAndItsCopyRunsOn) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(500)});
  run(seconds(10));
  slurm.slurmd_cut_off(0, true);
  ASSERT_TRUE(tell(NodeChange::down, 0));
  EXPECT_EQ(state_of(job), JobState::pending);
  EXPECT_TRUE(slurm.runs_job(0));
  slurm.slurmd_started(0, "198.18.0.200");
  run(seconds(1));
  EXPECT_FALSE(slurm.runs_job(0)) << "the name is another machine's now";
}

TEST_F(SlurmModel, AnotherMachineUnderTheNameOfABusyNodeCostsItsJob) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(500)});
  run(seconds(10));
  slurm.slurmd_started(0, "198.18.0.200");
  run(seconds(1));
  EXPECT_EQ(state_of(job), JobState::pending);
  EXPECT_EQ(slurm.all_jobs().at(job).restarts, 1u);
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, CompletingOnADeadMachineLastsUntilDown) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 2, .runs = seconds(500)});
  run(seconds(10));
  slurm.slurmd_ended(1);
  slurm.cancel(job);
  run(seconds(20));
  EXPECT_EQ(word(0), "IDLE");
  EXPECT_EQ(state_of(job), JobState::completing);
  EXPECT_TRUE(slurm.nodes()[1].busy);
  ASSERT_TRUE(tell(NodeChange::power_down, 1));
  run(seconds(3));
  EXPECT_EQ(word(1).substr(0, 15), "IDLE+COMPLETING") << "never suspended so";
  ASSERT_TRUE(tell(NodeChange::down, 1));
  EXPECT_EQ(state_of(job), JobState::cancelled);
  run(seconds(1));
  EXPECT_EQ(word(1), "IDLE+POWERING_DOWN");
}

TEST_F(SlurmModel, WayBackOfAnUpNodeWhoseMachineWasLost) {
  Slurm& slurm = make();
  power_up(0);
  slurm.slurmd_ended(0);
  ASSERT_TRUE(tell(NodeChange::down, 0));
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  EXPECT_EQ(word(0), "DOWN+POWER_DOWN");
  run(seconds(1));
  EXPECT_EQ(word(0), "IDLE+POWERING_DOWN");
  ASSERT_TRUE(tell(NodeChange::resume, 0));
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
}

// --- slurmctld restarts ---

TEST_F(SlurmModel, WhileDownNothingAnswers) {
  Slurm& slurm = make();
  slurm.stop(false);
  EXPECT_FALSE(slurm.answers());
  EXPECT_EQ(tell(NodeChange::power_up, 0).error().code, ErrorCode::transient);
  EXPECT_EQ(slurm.update(slurm::JobUpdate{}).error().code, ErrorCode::transient);
  const JobId kept = slurm.submit({});
  const JobId cancelled = slurm.submit({});
  slurm.cancel(cancelled);
  run(seconds(10));
  EXPECT_TRUE(hooks.empty());
  slurm.start();
  run(seconds(5));
  EXPECT_EQ(state_of(kept), JobState::running);
  EXPECT_EQ(state_of(cancelled), JobState::cancelled);
}

TEST_F(SlurmModel, AnOrderlyRestartKeepsBootingNodesAndTheirJobs) {
  boot = seconds(8);
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 2});
  run(seconds(4));
  slurm.stop(false);
  run(seconds(2));
  slurm.start();
  run(seconds(1));
  EXPECT_EQ(word(0), "ALLOCATED+NOT_RESPONDING+POWERING_UP");
  run(seconds(20));
  EXPECT_EQ(fired(HintKind::resume), 1u);
  EXPECT_EQ(fired(HintKind::job_start), 2u) << "prologs run again";
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, ControllerDowntimeCountsAgainstResumeTimeout) {
  boot = seconds(-1);
  Slurm& slurm = make();
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(50));
  slurm.stop(false);
  run(seconds(60));
  slurm.start();
  run(seconds(2));
  EXPECT_EQ(fired(HintKind::resume_fail), 1u);
}

TEST_F(SlurmModel, AKilledSlurmctldForgetsAJobsStartAndItsNodesSleepAgain) {
  boot = seconds(6);
  Slurm& slurm = make();
  run(seconds(10));
  const JobId job = slurm.submit({.nodes = 2, .runs = seconds(500)});
  run(seconds(3));
  ASSERT_EQ(word(0), "ALLOCATED+NOT_RESPONDING+POWERING_UP");
  slurm.stop(true);
  run(milliseconds(500));
  slurm.start();
  EXPECT_EQ(word(0), "IDLE+POWERED_DOWN");
  EXPECT_EQ(state_of(job), JobState::pending);
  run(seconds(20));
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, ABootingMachineOfAForgottenStartMakesItsNodeUp) {
  boot = seconds(6);
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 2});
  run(seconds(3));
  slurm.stop(true);
  slurm.start();
  slurm.cancel(job);
  run(seconds(10));
  EXPECT_EQ(word(0), "IDLE");
  EXPECT_EQ(fired(HintKind::resume), 1u);
}

TEST_F(SlurmModel, AfterASaveTheStartIsKept) {
  boot = seconds(20);
  Slurm& slurm = make();
  const JobId job = slurm.submit({.nodes = 2});
  run(seconds(8));  // the start asked for a save, which took place after the scan
  slurm.stop(true);
  slurm.start();
  EXPECT_EQ(word(0), "ALLOCATED+NOT_RESPONDING+POWERING_UP");
  EXPECT_EQ(state_of(job), JobState::configuring);
  run(seconds(30));
  EXPECT_EQ(fired(HintKind::resume), 1u);
  EXPECT_EQ(state_of(job), JobState::running);
}

TEST_F(SlurmModel, ALostPoweringUpRunsTheHookASecondTime) {
  options.save_delay = milliseconds(200);  // saved before the scan
  boot = seconds(6);
  Slurm& slurm = make();
  run(milliseconds(500));
  const JobId job = slurm.submit({});
  ASSERT_TRUE(tell(NodeChange::power_up, 5));
  run(seconds(3));
  slurm.stop(true);
  slurm.start();
  EXPECT_EQ(word(0), "ALLOCATED+POWERED_DOWN");
  EXPECT_EQ(word(5), "IDLE+POWERED_DOWN+POWER_UP");
  EXPECT_EQ(state_of(job), JobState::configuring);
  run(seconds(2));
  EXPECT_EQ(fired(HintKind::resume), 2u);
  EXPECT_EQ(last(HintKind::resume).nodes, (std::vector{NodeName("cpu-0001"), NodeName("cpu-0006")}));
}

TEST_F(SlurmModel, ALostPoweringDownRunsTheHookASecondTimeWithTheOldAddress) {
  options.save_delay = milliseconds(200);
  Slurm& slurm = make();
  power_up(0);
  run(milliseconds(100));
  ASSERT_TRUE(tell(NodeChange::power_down, 0));
  run(seconds(2));
  ASSERT_EQ(word(0), "IDLE+POWERING_DOWN");
  slurm.stop(true);
  slurm.start();
  EXPECT_EQ(word(0), "IDLE+POWER_DOWN");
  EXPECT_EQ(slurm.nodes()[0].address, "198.18.0.10");
  run(seconds(2));
  EXPECT_EQ(fired(HintKind::suspend), 2u);
  EXPECT_TRUE(tell(NodeChange::resume, 0));
}

TEST_F(SlurmModel, ACopyOfAJobWhoseStartWasForgottenIsEndedAndTheJobRunsAgain) {
  Slurm& slurm = make();
  power_up(0);
  run(seconds(10));
  const JobId job = slurm.submit({.runs = seconds(60)});
  run(seconds(1));
  ASSERT_TRUE(slurm.runs_job(0));
  slurm.fail_over();
  EXPECT_EQ(state_of(job), JobState::pending);
  EXPECT_TRUE(slurm.runs_job(0)) << "the copy";
  run(seconds(5));
  EXPECT_EQ(state_of(job), JobState::running);
  run(seconds(70));
  EXPECT_EQ(state_of(job), JobState::done);
}

TEST_F(SlurmModel, AJobThatEndsWhileSlurmctldIsDownEndsAfterItsReturn) {
  Slurm& slurm = make();
  const JobId job = slurm.submit({.runs = seconds(20)});
  run(seconds(15));
  slurm.stop(true);
  run(seconds(30));
  EXPECT_EQ(state_of(job), JobState::running);
  slurm.start();
  run(seconds(3));
  EXPECT_EQ(state_of(job), JobState::done);
  EXPECT_EQ(slurm.all_jobs().at(job).restarts, 0u);
}

TEST_F(SlurmModel, RegistrationsGoOnByThemselvesAfterARestart) {
  boot = seconds(3);
  Slurm& slurm = make();
  ASSERT_TRUE(tell(NodeChange::power_up, 0));
  run(seconds(2));
  slurm.stop(false);
  run(seconds(10));
  EXPECT_EQ(word(0), "IDLE+NOT_RESPONDING+POWERING_UP");
  slurm.start();
  run(seconds(10));
  EXPECT_EQ(word(0), "IDLE");
}

TEST_F(SlurmModel, NodesWhoseMachineDiedWhileSlurmctldWasDownAreFound) {
  Slurm& slurm = make();
  power_up(0);
  slurm.stop(false);
  slurm.slurmd_ended(0);
  run(seconds(10));
  slurm.start();
  run(seconds(300));
  EXPECT_EQ(word(0), "DOWN+NOT_RESPONDING");
}

// --- what the world relies on ---

TEST_F(SlurmModel, ChangedNodesAreToldOnce) {
  Slurm& slurm = make();
  EXPECT_EQ(slurm.take_changed().size(), 12u) << "all at first";
  EXPECT_TRUE(slurm.take_changed().empty());
  slurm.submit({.nodes = 2});
  run(seconds(10));
  std::vector<uint32_t> changed = slurm.take_changed();
  std::sort(changed.begin(), changed.end());
  EXPECT_EQ(changed, (std::vector<uint32_t>{0, 1}));
  run(seconds(20));
  EXPECT_TRUE(slurm.take_changed().empty());
}

TEST_F(SlurmModel, EachVisibleChangeIsReportedOnce) {
  Slurm& slurm = make();
  slurm.submit({.nodes = 3, .runs = seconds(5)});
  run(seconds(30));
  EXPECT_EQ(node_calls, 15u);
}

TEST_F(SlurmModel, TheSameSeedGivesTheSameHistory) {
  const auto story = [&] {
    history.clear();
    job_history.clear();
    options.early_registrations = true;
    Slurm& slurm = make();
    for (int i = 0; i < 20; ++i) {
      slurm.submit({.partition = static_cast<uint32_t>(i % 2),
                    .nodes = static_cast<uint32_t>(1 + i % 4),
                    .runs = seconds(7 + i)});
      run(milliseconds(1'700));
      if (i == 9) slurm.fail_over();
    }
    run(seconds(300));
    return std::pair(history, job_history);
  };
  const auto first = story();
  EXPECT_EQ(first, story());
  for (const auto& [job, states] : first.second) EXPECT_EQ(states.back(), JobState::done) << job;
}

}  // namespace
}  // namespace slipway::sim
