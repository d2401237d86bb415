#include "daemon/api.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <thread>

#include "daemon/api_encode.h"
#include "daemon/api_request.h"
#include "daemon/api_server.h"
#include "daemon/hints.h"
#include "fakes.h"

namespace slipway::daemon {
namespace {

namespace json = boost::json;

json::value parse(const std::string& text) {
  json::error_code failed;
  auto value = json::parse(text, failed);
  EXPECT_FALSE(failed) << text;
  return value;
}

World world_of(uint32_t nodes) {
  World world;
  world.cluster = small_cluster(nodes);
  world.spec = engine::make_spec(world.cluster);
  world.memory.pools.resize(1);
  for (const auto& name : cpu_names(1, nodes)) {
    engine::NodeView node;
    node.name = NodeName(name);
    node.pool = 0;
    node.slurm = {model::NodeBase::idle, model::node_cloud | model::node_powered_down};
    world.view.nodes.push_back(node);
  }
  world.view.slurm_known = true;
  world.situations.assign(nodes, engine::Situation::asleep);
  return world;
}

void add_instance(World& world, const std::string& id, const std::string& bound,
                  const std::string& address = "198.18.0.9") {
  engine::InstanceView instance;
  instance.id = InstanceId(id);
  instance.pool = 0;
  instance.state = model::InstanceState::running;
  instance.address = address;
  instance.bound = NodeName(bound);
  world.view.instances.push_back(instance);
}

TEST(ApiRequest, UnderstandsEveryCall) {
  const auto events = parse_request(R"({"call":"events","after":7,"node":"cpu-0001","limit":3,"follow":true})");
  ASSERT_TRUE(events.has_value());
  EXPECT_EQ(events->after, 7);
  EXPECT_EQ(events->limit, 3u);
  EXPECT_TRUE(events->follow && events->has_after && events->has_limit);
  EXPECT_EQ(parse_request(R"({"call":"explain","job":12})")->job, "12");
  EXPECT_EQ(parse_request(R"({"call":"explain","job":"12_7"})")->job, "12_7");
  EXPECT_TRUE(parse_request(R"({"call":"nodes","all":true,"pool":"cpu"})")->all);
  EXPECT_TRUE(parse_request(R"({"call":"status"})").has_value());
}

TEST(ApiRequest, SaysWhatIsWrong) {
  for (const char* bad :
       {"", "[]", "{", "{}", R"({"call":"reboot"})", R"({"call":7})", R"({"call":"nodes","al":true})",
        R"({"call":"nodes","all":"yes"})", R"({"call":"events","after":-1})", R"({"call":"events","limit":1e3})",
        R"({"call":"events","limit":99999999})", R"({"call":"explain","job":99999999999})", R"({"call":"status"} x)",
        R"({"call":{"a":{"b":{"c":{"d":{}}}}}})"}) {
    const auto request = parse_request(bad);
    ASSERT_FALSE(request.has_value()) << bad;
    EXPECT_EQ(request.error().code, ErrorCode::bad_config);
    EXPECT_NE(request.error().message.find("bad request"), std::string::npos);
  }
  EXPECT_FALSE(parse_request("{\"call\":\"nodes\",\"node\":\"" + std::string(300, 'x') + "\"}").has_value());
  EXPECT_FALSE(parse_request(std::string(request_bytes_max + 1, ' ')).has_value());
}

TEST(ApiEncode, StatusCountsWhatIsThere) {
  World world = world_of(6);
  auto& nodes = world.view.nodes;
  nodes[0].slurm = {model::NodeBase::allocated, model::node_cloud};
  nodes[0].busy = true;
  nodes[1].slurm = {model::NodeBase::idle, model::node_cloud};
  nodes[2].slurm = {model::NodeBase::allocated, model::node_cloud | model::node_powering_up};
  nodes[3].slurm = {model::NodeBase::down, model::node_cloud};
  world.memory.pools[0].ways.resize(2);
  world.memory.pools[0].ways[0] = {.open = true, .not_before = TimePoint(Duration(9'000)), .why = "no room in a"};
  world.memory.pools[0].ways[1] = {.open = true, .not_before = TimePoint(Duration(5'000)), .why = "no room in b"};
  world.memory.pools[0].held = true;
  world.lease = {"controller/7/ab", 3};
  add_instance(world, "i-1", "cpu-0001");
  add_instance(world, "i-2", "cpu-0002");
  add_instance(world, "i-3", "");
  world.jobs.resize(2);
  world.jobs[0].state = "PENDING";
  world.jobs[1].state = "RUNNING";
  world.slurm_version = "22.05.8";
  const auto status = parse(encode_status(world, 1234));
  EXPECT_EQ(status.at("cluster").as_string(), "demo");
  EXPECT_EQ(status.at("daemon").at("rss_kib").to_number<int>(), 1234);
  EXPECT_TRUE(status.at("slurm").at("known").as_bool());
  EXPECT_EQ(status.at("slurm").at("as_of").as_string(), "");
  const auto& counts = status.at("nodes");
  EXPECT_EQ(counts.at("total").to_number<int>(), 6);
  EXPECT_EQ(counts.at("up").to_number<int>(), 2);
  EXPECT_EQ(counts.at("busy").to_number<int>(), 1);
  EXPECT_EQ(counts.at("booting").to_number<int>(), 1);
  EXPECT_EQ(counts.at("down").to_number<int>(), 1);
  EXPECT_EQ(counts.at("asleep").to_number<int>(), 2);
  EXPECT_EQ(status.at("instances").at("total").to_number<int>(), 3);
  EXPECT_EQ(status.at("instances").at("unbound").to_number<int>(), 1);
  EXPECT_EQ(status.at("jobs").at("pending").to_number<int>(), 1);
  const auto& pool = status.at("pools").at(0);
  EXPECT_EQ(pool.at("name").as_string(), "cpu");
  EXPECT_EQ(pool.at("failed").to_number<int>(), 1);
  EXPECT_EQ(pool.at("instances").to_number<int>(), 3);
  EXPECT_EQ(pool.at("why").as_string(), "no room in b") << "the way that opens first";
  EXPECT_EQ(pool.at("not_before").as_string(), "1970-01-01T00:00:05.000Z");
  EXPECT_TRUE(pool.at("short").as_bool());
  EXPECT_EQ(status.at("lease").at("holder").as_string(), "controller/7/ab");
  EXPECT_EQ(status.at("lease").at("epoch").to_number<int>(), 3);
  world.memory.pools[0].ways[0].open = false;
  const auto one_open = parse(encode_status(world, 1234)).at("pools").at(0);
  EXPECT_EQ(one_open.at("why").as_string(), "") << "a way is open";
  EXPECT_EQ(one_open.at("not_before").as_string(), "");
}

TEST(ApiEncode, NodesLeaveOutTheSleepingUnlessAsked) {
  World world = world_of(3);
  world.view.nodes[1].slurm = {model::NodeBase::mixed, model::node_cloud};
  world.view.nodes[1].reason = "odd \xff bytes";
  world.situations[1] = engine::Situation::serving;
  add_instance(world, "i-1", "cpu-0002");
  slurm::Job job;
  job.id = 42;
  job.nodes = "cpu-[0002-0003]";
  world.jobs.push_back(job);
  const auto awake = parse(*encode_nodes(world, "", false));
  ASSERT_EQ(awake.as_array().size(), 1u);
  const auto& node = awake.at(0);
  EXPECT_EQ(node.at("node").as_string(), "cpu-0002");
  EXPECT_EQ(node.at("state").as_string(), "MIXED");
  EXPECT_EQ(node.at("situation").as_string(), "serving");
  EXPECT_EQ(node.at("instance").as_string(), "i-1");
  EXPECT_EQ(node.at("address").as_string(), "198.18.0.9");
  EXPECT_EQ(node.at("jobs").at(0).to_number<int>(), 42);
  EXPECT_EQ(node.at("reason").as_string(), "odd ? bytes");
  EXPECT_EQ(parse(*encode_nodes(world, "cpu", true)).as_array().size(), 3u);
  EXPECT_EQ(encode_nodes(world, "gpu", true).error().code, ErrorCode::not_found);
}

TEST(ApiEncode, AThousandNodesStayBelowAMegabyte) {
  World world = world_of(1000);
  for (size_t i = 0; i < 1000; ++i) {
    world.view.nodes[i].reason = std::string(2000, 'r');
    world.situations[i] = engine::Situation::serving;
    add_instance(world, "i-" + std::to_string(i), world.view.nodes[i].name.str());
  }
  EXPECT_LT(encode_nodes(world, "", true)->size(), 1'000'000u);
}

TEST(ApiEncode, LocationComesFromAgentsThenMemoryThenAddress) {
  World world = world_of(4);
  for (auto& node : world.view.nodes) node.slurm = {model::NodeBase::idle, model::node_cloud};
  add_instance(world, "i-1", "cpu-0001", "198.18.0.1");
  add_instance(world, "i-2", "", "198.18.0.2");
  add_instance(world, "i-3", "", "198.18.0.3");
  world.memory.nodes[NodeName("cpu-0002")].bound = InstanceId("i-2");
  world.view.nodes[2].address = "198.18.0.3";
  const auto at = [&](const char* name) {
    return parse(*encode_location(world, NodeName(name))).at("instance").as_string();
  };
  EXPECT_EQ(at("cpu-0001"), "i-1");
  EXPECT_EQ(at("cpu-0002"), "i-2");
  EXPECT_EQ(at("cpu-0003"), "i-3");
  EXPECT_EQ(encode_location(world, NodeName("cpu-0004")).error().code, ErrorCode::not_found);
  EXPECT_EQ(encode_location(world, NodeName("nope")).error().code, ErrorCode::not_found);
}

TEST(ApiEncode, ExplainsNodesAndJobsOrSaysThatThereAreNone) {
  World world = world_of(2);
  EXPECT_FALSE(
      parse(*explain_node_json(world, TimePoint(Duration(1)), NodeName("cpu-0001"))).at("text").as_string().empty());
  EXPECT_EQ(explain_node_json(world, TimePoint(Duration(1)), NodeName("x")).error().code, ErrorCode::not_found);
  EXPECT_EQ(explain_job_json(world, TimePoint(Duration(1)), "5").error().code, ErrorCode::not_found);
  slurm::Job job;
  job.id = 5;
  job.array_id = "4_1";
  job.state = "PENDING";
  world.jobs.push_back(job);
  EXPECT_TRUE(explain_job_json(world, TimePoint(Duration(1)), "5").has_value());
  EXPECT_TRUE(explain_job_json(world, TimePoint(Duration(1)), "4_1").has_value());
}

TEST(ApiEncode, StatesAreSlurmsWords) {
  EXPECT_EQ(state_words({model::NodeBase::idle, model::node_cloud | model::node_powered_down}), "IDLE+POWERED_DOWN");
  EXPECT_EQ(state_words({model::NodeBase::down, model::node_not_responding | model::node_drain}),
            "DOWN+DRAIN+NOT_RESPONDING");
  EXPECT_EQ(state_words({}), "UNKNOWN");
}

TEST(ApiEncode, CleansWhatIsNotUtf8) {
  EXPECT_EQ(clean_utf8("plain é 日 🙂"), "plain é 日 🙂");
  EXPECT_EQ(clean_utf8("\xc3"), "?");
  EXPECT_EQ(clean_utf8("\xed\xa0\x80"), "???");
  EXPECT_EQ(clean_utf8("\xc0\xaf"), "??");
  EXPECT_EQ(clean_utf8("\xf5\x80\x80\x80"), "????");
}

class ApiServerTest : public ::testing::Test {
 protected:
  ApiServerTest() : slurm_(cpu_names(1, 3)), cloud_(clock_) {
    std::string pattern = (std::filesystem::temp_directory_path() / "slipway-api-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    ShellOptions options;
    options.listen = "127.0.0.1:0";
    auto shell = Shell::start(loop_, {clock_, slurm_, cloud_, journal_}, small_cluster(3), options);
    EXPECT_TRUE(shell.has_value());
    shell_ = std::move(*shell);
    auto server = ApiServer::open(loop_, clock_, *shell_, journal_,
                                  {.socket = folder_ / "api.sock", .request_patience = Duration(300)});
    EXPECT_TRUE(server.has_value());
    server_ = std::move(*server);
    EXPECT_TRUE(run_until(loop_, [&] { return !shell_->world().situations.empty(); }));
  }
  ~ApiServerTest() override {
    server_.reset();
    shell_.reset();
    std::filesystem::remove_all(folder_);
  }

  // A blocking call from a thread of its own, while the loop serves.
  Result<std::string> ask(const std::string& request) {
    Result<std::string> answer = fail(ErrorCode::permanent, "never");
    std::atomic<bool> done{false};
    std::thread caller([&] {
      answer = call((folder_ / "api.sock").string(), request, Duration(5'000));
      done = true;
    });
    run_until(loop_, [&] { return done.load(); });
    caller.join();
    return answer;
  }

  SystemClock clock_;
  Loop loop_;
  FakeSlurm slurm_;
  FakeCloud cloud_;
  MemoryJournal journal_;
  std::filesystem::path folder_;
  std::unique_ptr<Shell> shell_;
  std::unique_ptr<ApiServer> server_;
};

TEST_F(ApiServerTest, AnswersEveryCall) {
  slurm::Job job;
  job.id = 3;
  job.state = "PENDING";
  slurm_.set_jobs({job});
  const auto status = ask(R"({"call":"status"})");
  ASSERT_TRUE(status.has_value()) << status.error().message;
  EXPECT_TRUE(parse(*status).at("slurm").at("known").as_bool());
  EXPECT_EQ(parse(*status).at("jobs").at("pending").to_number<int>(), 1);
  EXPECT_EQ(parse(*ask(R"({"call":"nodes","all":true})")).as_array().size(), 3u);
  EXPECT_EQ(parse(*ask(R"({"call":"jobs"})")).as_array().size(), 1u);
  EXPECT_GE(slurm_.job_polls, 3) << "who has just called sbatch must see the job";
  EXPECT_GE(parse(*ask(R"({"call":"events"})")).as_array().size(), 1u);
  EXPECT_TRUE(ask(R"({"call":"explain","node":"cpu-0001"})").has_value());
  EXPECT_EQ(ask(R"({"call":"locate","node":"cpu-0001"})").error().code, ErrorCode::not_found);
  EXPECT_EQ(ask(R"({"call":"explain"})").error().code, ErrorCode::bad_config);
  EXPECT_EQ(ask("nonsense").error().code, ErrorCode::bad_config);
}

TEST_F(ApiServerTest, JobsFailWhenSqueueDoesButStatusDoesNot) {
  slurm_.down = true;
  // What squeue said just before is still fresh for a moment.
  Result<std::string> jobs = ask(R"({"call":"jobs"})");
  for (int attempt = 0; attempt < 50 && jobs; ++attempt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    jobs = ask(R"({"call":"jobs"})");
  }
  ASSERT_FALSE(jobs.has_value());
  EXPECT_EQ(jobs.error().code, ErrorCode::transient);
  EXPECT_TRUE(ask(R"({"call":"status"})").has_value());
}

TEST_F(ApiServerTest, FollowersSeeWhatComesInOrderAndOnce) {
  auto channel = Channel::connect_unix(loop_, folder_ / "api.sock");
  ASSERT_TRUE(channel.has_value());
  std::vector<int64_t> ids;
  (*channel)->on_message([&](const std::string& frame) {
    const auto answer = parse(frame);
    for (const auto& event : answer.at("result").as_array()) ids.push_back(event.at("id").to_number<int64_t>());
  });
  (*channel)->send(R"({"call":"events","follow":true,"after":0})");
  ASSERT_TRUE(run_until(loop_, [&] { return !ids.empty(); }));
  const size_t before = ids.size();
  slurm_.power_up(cpu_names(1, 2));
  shell_->on_hint(resume_hint(1, cpu_names(1, 2)));
  ASSERT_TRUE(run_until(loop_, [&] { return ids.size() >= before + 3; }));
  for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(ids[i], static_cast<int64_t>(i + 1));
}

TEST_F(ApiServerTest, WhoAsksNothingIsShownOut) {
  auto channel = Channel::connect_unix(loop_, folder_ / "api.sock");
  ASSERT_TRUE(channel.has_value());
  bool closed = false;
  (*channel)->on_close([&](const std::string&) { closed = true; });
  EXPECT_TRUE(run_until(
      loop_, [&] { return closed; }, Duration(3'000)));
}

TEST(ApiClient, SaysWhenNobodyListens) {
  EXPECT_EQ(call("/nonexistent/api.sock", "{}", Duration(100)).error().code, ErrorCode::not_found);
}

class HintsTest : public ::testing::Test {
 protected:
  HintsTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "slipway-hints-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    chmod(pattern.c_str(), 0755);
    Hints::Options options;
    options.socket = folder_ / "hook.sock";
    options.slurm_uid = [this] { return slurm_uid_; };
    auto hints =
        Hints::open(loop_, clock_, options, [this](const Result<slurm::Hint>& hint, std::unique_ptr<Channel> channel) {
          got_.push_back(hint.has_value());
          if (hint && hint->kind == slurm::HintKind::job_start) kept_ = std::move(channel);
        });
    EXPECT_TRUE(hints.has_value());
    hints_ = std::move(*hints);
  }
  ~HintsTest() override { std::filesystem::remove_all(folder_); }

  // Connects as `uid` from a child and sends `frame`.
  void hint_as(uid_t uid, const std::string& frame) {
    const pid_t child = fork();
    if (child == 0) {
      if (setgid(uid) != 0 || setuid(uid) != 0) _exit(1);
      auto channel = BlockingChannel::connect_unix(folder_ / "hook.sock", Duration(1'000));
      _exit(channel && channel->send(frame, Duration(1'000)) ? 0 : 2);
    }
    run_for(loop_, Duration(150));
    int status = 0;
    waitpid(child, &status, 0);
  }

  SystemClock clock_;
  Loop loop_;
  std::filesystem::path folder_;
  std::optional<uid_t> slurm_uid_;
  std::vector<bool> got_;
  std::unique_ptr<Channel> kept_;
  std::unique_ptr<Hints> hints_;
};

TEST_F(HintsTest, OnlyRootAndTheSlurmUserAreHeard) {
  const std::string frame = std::string("1\0suspend\0cpu-0001\0\0", 20);
  hint_as(0, frame);
  ASSERT_EQ(got_.size(), 1u);
  EXPECT_TRUE(got_[0]);
  hint_as(64030, frame);
  EXPECT_EQ(got_.size(), 1u) << "nobody knows yet who SlurmUser is";
  slurm_uid_ = 64030;
  hint_as(64030, frame);
  EXPECT_EQ(got_.size(), 2u);
  hint_as(65534, frame);
  EXPECT_EQ(got_.size(), 2u);
  hint_as(0, "nonsense");
  ASSERT_EQ(got_.size(), 3u);
  EXPECT_FALSE(got_[2]) << "still a reason to look at Slurm";
}

TEST_F(HintsTest, AJobsPrologKeepsItsChannel) {
  auto prolog = Channel::connect_unix(loop_, folder_ / "hook.sock");
  ASSERT_TRUE(prolog.has_value());
  std::string word;
  bool closed = false;
  (*prolog)->on_message([&](std::string frame) { word = std::move(frame); });
  (*prolog)->on_close([&](const std::string&) { closed = true; });
  (*prolog)->send(
      std::string("1\0job_start\0cpu-0001\0"
                  "7\0",
                  23));
  ASSERT_TRUE(run_until(loop_, [&] { return kept_ != nullptr; }));
  kept_->send("wait");
  ASSERT_TRUE(run_until(loop_, [&] { return word == "wait"; }));
  EXPECT_FALSE(closed);
}

}  // namespace
}  // namespace slipway::daemon
