#include "cli/context.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/duration.h"
#include "cli/hostname.h"
#include "cli/logs.h"
#include "cli/suggest.h"

namespace slipway::cli {
namespace {

Target target(const char* text) {
  const auto parsed = parse_target(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Target{};
}

TEST(ParseTarget, RolesInstancesNodes) {
  EXPECT_EQ((Target{Target::Kind::role, "controller", 1}), target("controller"));
  EXPECT_EQ((Target{Target::Kind::role, "controller", 1}), target("controller:1"));
  EXPECT_EQ((Target{Target::Kind::role, "login", 12}), target("login:12"));
  EXPECT_EQ((Target{Target::Kind::instance, "i-0000000a", 1}), target("i-0000000a"));
  EXPECT_EQ((Target{Target::Kind::node, "cpu-0001", 1}), target("cpu-0001"));
  EXPECT_EQ((Target{Target::Kind::node, "i-0001", 1}), target("i-0001")) << "a node of a pool called i";
  EXPECT_EQ((Target{Target::Kind::node, "i-0000000g", 1}), target("i-0000000g"));
}

TEST(ParseTarget, RefusesTheRest) {
  for (const char* text : {"", "login:", "login:0", "login:x", "login:1x", "login:-1", "login:99999999999", "cpu:1",
                           "a b", "-x", "../x", "a/b", "x;y", "größe"}) {
    const auto parsed = parse_target(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(std::string::npos, parsed.error().message.find("name a machine as")) << parsed.error().message;
  }
  EXPECT_FALSE(parse_target(std::string(300, 'a')));
}

machines::Machine machine(const char* id, const char* role, machines::MachineState state) {
  machines::Machine made;
  made.id = id;
  made.role = role;
  made.state = state;
  return made;
}

TEST(PickMachine, CountsThoseThatRun) {
  using machines::MachineState;
  const std::vector<machines::Machine> all{
      machine("i-00000004", "login", MachineState::running), machine("i-00000001", "controller", MachineState::running),
      machine("i-00000002", "login", MachineState::gone), machine("i-00000003", "login", MachineState::frozen)};
  EXPECT_EQ("i-00000003", pick_machine(all, target("login"))->id);
  EXPECT_EQ("i-00000004", pick_machine(all, target("login:2"))->id);
  EXPECT_EQ("i-00000001", pick_machine(all, target("controller"))->id);
  EXPECT_EQ("i-00000002", pick_machine(all, target("i-00000002"))->id) << "named by itself, a gone one is found";
  const auto third = pick_machine(all, target("login:3"));
  ASSERT_FALSE(third);
  EXPECT_EQ("there is no login:3; 2 run", third.error().message);
  EXPECT_FALSE(pick_machine(all, target("controller:2")));
  EXPECT_FALSE(pick_machine({}, target("controller")));
  EXPECT_FALSE(pick_machine(all, target("i-000000ff")));
}

TEST(ParseDuration, UnitsAndBounds) {
  EXPECT_EQ(Duration(500), *parse_duration("500ms"));
  EXPECT_EQ(Duration(10'000), *parse_duration("10s"));
  EXPECT_EQ(Duration(10'000), *parse_duration("10"));
  EXPECT_EQ(Duration(120'000), *parse_duration("2m"));
  EXPECT_EQ(Duration(3'600'000), *parse_duration("1h"));
  for (const char* text : {"", "s", "-1s", "1d", "1 s", "soon", "9999999999999h", "100000h", "1.5s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(LastLines, CutsAtLines) {
  EXPECT_EQ("c\n", last_lines("a\nb\nc\n", 1));
  EXPECT_EQ("b\nc", last_lines("a\nb\nc", 2));
  EXPECT_EQ("a\nb\n", last_lines("a\nb\n", 5));
  EXPECT_EQ("\n", last_lines("a\n\n", 1));
  EXPECT_EQ("", last_lines("", 3));
  EXPECT_EQ("\n", last_lines("\n", 1));
}

TEST(NearestWord, OnlyWhenNear) {
  const std::vector<std::string> words{"nodes", "jobs", "events"};
  EXPECT_EQ("nodes", nearest_word("nodse", words));
  EXPECT_EQ("jobs", nearest_word("job", words));
  EXPECT_EQ("", nearest_word("validate", words));
  EXPECT_EQ("", nearest_word(std::string(1000, 'a'), words));
}

TEST(HostnameOf, IsOursForOurselves) {
  char buffer[256] = {};
  ASSERT_EQ(0, ::gethostname(buffer, sizeof buffer - 1));
  // Others than root may not join a namespace, be it their own.
  EXPECT_EQ(::geteuid() == 0 ? buffer : "", hostname_of(::getpid()));
  EXPECT_EQ("", hostname_of(-1));
}

}  // namespace
}  // namespace slipway::cli
