#include "join/messages.h"

#include <random>

#include "gtest/gtest.h"

namespace slipway::join {
namespace {

std::string all_bytes() {
  std::string out;
  for (int i = 0; i < 256; ++i) out += static_cast<char>(i);
  return out;
}

TEST(Messages, ReportRoundTrips) {
  for (Phase phase : {Phase::preparing, Phase::waiting, Phase::starting, Phase::serving, Phase::failed}) {
    const auto message =
        decode_from_agent(encode(FromAgent(Report{phase, "cpu-0001", 1'772'000'000'123, "a \"line\"", "x\ny\t\\"})));
    ASSERT_TRUE(message) << message.error().message;
    const Report& report = std::get<Report>(*message);
    EXPECT_EQ(report.phase, phase);
    EXPECT_EQ(report.node, "cpu-0001");
    EXPECT_EQ(report.slurmd_started_ms, 1'772'000'000'123u);
    EXPECT_EQ(report.message, "a \"line\"");
    EXPECT_EQ(report.log_tail, "x\ny\t\\");
  }
  EXPECT_EQ(std::get<Report>(decode_from_agent(encode(FromAgent(Report{}))).value()).node, "");
}

TEST(Messages, ALogTailOfAnyBytesArrives) {
  std::string log = "first line is cut off\n";
  while (log.size() < 100'000) log += all_bytes() + "\n";
  log += "slurmd: fatal: \xc3\xa9t\xc3\xa9 \xed\xa0\x80 \xff";
  const auto message =
      decode_from_agent(encode(FromAgent(Report{Phase::failed, "", 0, std::string(5000, '\xff'), log})));
  ASSERT_TRUE(message) << message.error().message;
  const Report& report = std::get<Report>(*message);
  EXPECT_LE(report.log_tail.size(), 16u << 10);
  EXPECT_TRUE(report.log_tail.ends_with("slurmd: fatal: \xc3\xa9t\xc3\xa9 ??? ?"));
  EXPECT_EQ(report.message, std::string(1024, '?'));
}

TEST(Messages, NoticeRoundTrips) {
  for (NoticeKind kind : {NoticeKind::none, NoticeKind::preempt, NoticeKind::terminate, NoticeKind::redeploy,
                          NoticeKind::reboot, NoticeKind::freeze}) {
    const auto message = decode_from_agent(encode(FromAgent(Notice{kind, 1'772'000'000'123, "602d9444-\"1\""})));
    ASSERT_TRUE(message) << message.error().message;
    const Notice& notice = std::get<Notice>(*message);
    EXPECT_EQ(notice.kind, kind);
    EXPECT_EQ(notice.at_ms, 1'772'000'000'123u);
    EXPECT_EQ(notice.event, "602d9444-\"1\"");
    EXPECT_EQ(ends_machine(kind), kind != NoticeKind::none && kind != NoticeKind::freeze);
  }
  EXPECT_EQ(std::get<Notice>(decode_from_agent(encode(FromAgent(Notice{}))).value()).at_ms, 0u);
  for (const char* bad : {R"({"type":"notice"})", R"({"type":"notice","kind":"party"})",
                          R"({"type":"notice","kind":"preempt"})", R"({"type":"notice","kind":"preempt","at_ms":-1})",
                          R"({"type":"notice","kind":"preempt","at_ms":999999999999999})",
                          R"({"type":"notice","kind":"none","event":7})"}) {
    EXPECT_EQ(decode_from_agent(bad).error().code, ErrorCode::bad_config) << bad;
  }
}

TEST(Messages, WelcomeRoundTrips) {
  Welcome welcome;
  welcome.munge_key = all_bytes();
  welcome.slurm_conf = "ClusterName=demo\n";
  welcome.hosts = "198.18.0.2 controller\n";
  welcome.users = {{"ada", 2001}, {"bob.b-2", 4'294'967'293}};
  welcome.prep = "#!/bin/sh\necho " + all_bytes();
  welcome.conf_server = "198.18.0.2:6817";
  welcome.heartbeat_every = Duration(1500);
  const auto message = decode_from_daemon(encode(FromDaemon(welcome)));
  ASSERT_TRUE(message) << message.error().message;
  const Welcome& got = std::get<Welcome>(*message);
  EXPECT_EQ(got.munge_key, welcome.munge_key);
  EXPECT_EQ(got.slurm_conf, welcome.slurm_conf);
  EXPECT_EQ(got.hosts, welcome.hosts);
  ASSERT_EQ(got.users.size(), 2u);
  EXPECT_EQ(got.users[0].name, "ada");
  EXPECT_EQ(got.users[1].uid, 4'294'967'293u);
  EXPECT_EQ(got.prep, welcome.prep);
  EXPECT_EQ(got.conf_server, welcome.conf_server);
  EXPECT_EQ(got.heartbeat_every, welcome.heartbeat_every);
}

TEST(Messages, TheOthersRoundTrip) {
  EXPECT_TRUE(std::holds_alternative<Heartbeat>(decode_from_agent(encode(FromAgent(Heartbeat{}))).value()));
  EXPECT_EQ(std::get<Bind>(decode_from_daemon(encode(FromDaemon(Bind{"gpu-0004"}))).value()).node, "gpu-0004");
  EXPECT_EQ(std::get<Leave>(decode_from_daemon(encode(FromDaemon(Leave{"idle for 10m"}))).value()).reason,
            "idle for 10m");
}

TEST(Messages, UnknownKeysAreIgnoredAndMissingOnesHaveDefaults) {
  EXPECT_TRUE(decode_from_agent(R"({"type":"heartbeat","load":[1,2]})"));
  const auto message = decode_from_daemon(R"({"type":"welcome","new_thing":{"a":1}})");
  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<Welcome>(*message).heartbeat_every, Duration(20'000));
}

TEST(Messages, EachSideSpeaksOnlyItsOwnPart) {
  EXPECT_FALSE(decode_from_agent(encode(FromDaemon(Bind{"cpu-0001"}))));
  EXPECT_FALSE(decode_from_daemon(encode(FromAgent(Heartbeat{}))));
}

TEST(Messages, RefusesWhatIsWrong) {
  for (const char* bad :
       {"", "null", "[]", "{}", "{\"type\":7}", "{\"type\":\"?\"}", "{\"type\":\"report\"}",
        R"({"type":"report","phase":"happy"})", R"({"type":"report","phase":"serving","node":"a b"})",
        R"({"type":"report","phase":"serving","node":"-x"})",
        R"({"type":"report","phase":"serving","node":"../../etc"})",
        R"({"type":"report","phase":"serving","node":"a\nb"})",
        R"({"type":"report","phase":"serving","slurmd_started_ms":-1})",
        R"({"type":"report","phase":"serving","slurmd_started_ms":1.5})",
        R"({"type":"report","phase":"serving","slurmd_started_ms":18446744073709551615})",
        R"({"type":"report","phase":"serving","message":[]})", "{\"type\":\"heartbeat\"}x",
        "{\"type\":\"report\",\"phase\":\"failed\",\"message\":\"\xff\"}", "[[[[[[[[[[[[[[[[[[[[[["}) {
    const auto message = decode_from_agent(bad);
    ASSERT_FALSE(message) << bad;
    EXPECT_EQ(message.error().code, ErrorCode::bad_config) << bad;
  }
  for (const char* bad :
       {R"({"type":"bind"})", R"({"type":"bind","node":""})", R"({"type":"bind","node":"x y"})",
        R"({"type":"bind","node":"--help"})", R"({"type":"welcome","munge_key":"***"})",
        R"({"type":"welcome","munge_key":"QQ"})", R"({"type":"welcome","users":{}})",
        R"({"type":"welcome","users":[{"name":"root2","uid":0}]})",
        R"({"type":"welcome","users":[{"name":"a:b","uid":1}]})",
        R"({"type":"welcome","users":[{"name":"a\nb","uid":1}]})", R"({"type":"welcome","users":[{"uid":1}]})",
        R"({"type":"welcome","users":[{"name":"a","uid":4294967295}]})", R"({"type":"welcome","conf_server":"a b"})",
        R"({"type":"welcome","heartbeat_every_ms":-5})"}) {
    const auto message = decode_from_daemon(bad);
    ASSERT_FALSE(message) << bad;
    EXPECT_EQ(message.error().code, ErrorCode::bad_config) << bad;
  }
}

TEST(Messages, RefusesWhatIsTooLong) {
  EXPECT_FALSE(decode_from_agent("{\"type\":\"heartbeat\",\"pad\":\"" + std::string(300'000, 'x') + "\"}"));
  EXPECT_FALSE(
      decode_from_agent("{\"type\":\"report\",\"phase\":\"failed\",\"message\":\"" + std::string(1025, 'x') + "\"}"));
  EXPECT_FALSE(
      decode_from_agent("{\"type\":\"report\",\"phase\":\"failed\",\"node\":\"" + std::string(64, 'x') + "\"}"));
  EXPECT_FALSE(decode_from_daemon("{\"type\":\"welcome\",\"munge_key\":\"" + std::string(8000, 'A') + "\"}"));
}

TEST(Messages, DamagedFramesNeverCrash) {
  std::mt19937 random(7);
  const std::string agent = encode(FromAgent(Report{Phase::failed, "cpu-0001", 12345, "m", "l"}));
  Welcome welcome;
  welcome.users = {{"ada", 1}};
  const std::string daemon = encode(FromDaemon(welcome));
  for (int i = 0; i < 20'000; ++i) {
    for (std::string frame : {agent, daemon}) {
      for (unsigned n = random() % 4; n > 0; --n) frame[random() % frame.size()] = static_cast<char>(random());
      frame.resize(random() % (frame.size() + 1));
      (void)decode_from_agent(frame);
      (void)decode_from_daemon(frame);
    }
  }
}

}  // namespace
}  // namespace slipway::join
