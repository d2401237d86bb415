#include "slurm/commands.h"

#include <gtest/gtest.h>

#include "base/hostlist.h"

namespace slipway::slurm {
namespace {

std::vector<NodeName> names(std::initializer_list<const char*> texts) {
  std::vector<NodeName> list;
  for (const char* text : texts) list.emplace_back(text);
  return list;
}

TEST(UpdateCommands, NamesAreCompressed) {
  const auto commands =
      update_commands({NodeChange::power_down, names({"cpu-0001", "cpu-0002", "gpu-0001"}), {}, {}, ""});
  ASSERT_EQ(commands.size(), 1u);
  EXPECT_EQ(commands[0],
            (std::vector<std::string>{"scontrol", "update", "NodeName=cpu-[0001-0002],gpu-0001", "State=POWER_DOWN"}));
}

TEST(UpdateCommands, ABindKeepsThePairs) {
  const auto commands = update_commands({NodeChange::bind,
                                         names({"cpu-0002", "cpu-0001", "cpu-0003"}),
                                         {"198.18.0.9", "198.18.0.7", "198.18.0.8"},
                                         {"m9", "m7", "m8"},
                                         ""});
  ASSERT_EQ(commands.size(), 1u);
  ASSERT_EQ(commands[0].size(), 5u);
  const auto list = [&](size_t i) { return *expand_hostlist(commands[0][i].substr(commands[0][i].find('=') + 1)); };
  EXPECT_EQ(list(2), (std::vector<std::string>{"cpu-0002", "cpu-0001", "cpu-0003"}));
  EXPECT_EQ(list(3), (std::vector<std::string>{"198.18.0.9", "198.18.0.7", "198.18.0.8"}));
  EXPECT_EQ(list(4), (std::vector<std::string>{"m9", "m7", "m8"}));
}

TEST(UpdateCommands, DownAlwaysHasAReasonOnOneLine) {
  auto commands = update_commands({NodeChange::down, names({"a"}), {}, {}, ""});
  EXPECT_EQ(commands[0][4], "Reason=slipway");
  commands =
      update_commands({NodeChange::down, names({"a"}), {}, {}, "machine lost\nState=IDLE" + std::string(500, 'x')});
  EXPECT_EQ(commands[0][4].substr(0, 30), "Reason=machine lost State=IDLE");
  EXPECT_LE(commands[0][4].size(), 207u);
}

TEST(UpdateCommands, NoNodesNoCommand) {
  EXPECT_TRUE(update_commands({NodeChange::resume, {}, {}, {}, ""}).empty());
}

TEST(UpdateCommands, SplitsWhereAnArgumentWouldBeTooLong) {
  NodeUpdate update{NodeChange::bind, {}, {}, {}, ""};
  for (int i = 0; i < 1000; ++i) {
    // Numbers far apart, so that nothing folds.
    update.nodes.emplace_back("n" + std::to_string(i * 7));
    update.addresses.push_back("198.18." + std::to_string(i % 250) + "." + std::to_string(i % 199));
    update.hostnames.push_back("h" + std::to_string(i * 3));
  }
  const auto commands = update_commands(update, 2000);
  EXPECT_GT(commands.size(), 4u);
  std::vector<std::string> nodes;
  std::vector<std::string> addresses;
  for (const auto& command : commands) {
    for (const auto& argument : command) EXPECT_LT(argument.size(), 2000u);
    const auto names_here = expand_hostlist(command[2].substr(9));
    const auto addresses_here = expand_hostlist(command[3].substr(9));
    ASSERT_TRUE(names_here && addresses_here);
    nodes.insert(nodes.end(), names_here->begin(), names_here->end());
    addresses.insert(addresses.end(), addresses_here->begin(), addresses_here->end());
  }
  ASSERT_EQ(nodes.size(), 1000u);
  for (size_t i = 0; i < nodes.size(); ++i) EXPECT_EQ(nodes[i], update.nodes[i].str());
  EXPECT_EQ(addresses, update.addresses);
}

TEST(UpdateCommands, ADrainHasAReasonAndAnUndrainNeedsNone) {
  auto commands = update_commands({NodeChange::drain, names({"a", "b"}), {}, {}, "slipway: no capacity"});
  EXPECT_EQ(commands[0], (std::vector<std::string>{"scontrol", "update", "NodeName=a,b", "State=DRAIN",
                                                   "Reason=slipway: no capacity"}));
  commands = update_commands({NodeChange::drain, names({"a"}), {}, {}, ""});
  EXPECT_EQ(commands[0][4], "Reason=slipway");
  commands = update_commands({NodeChange::undrain, names({"a"}), {}, {}, ""});
  EXPECT_EQ(commands[0], (std::vector<std::string>{"scontrol", "update", "NodeName=a", "State=UNDRAIN"}));
}

TEST(JobCommand, OneForManyJobs) {
  using Argv = std::vector<std::string>;
  EXPECT_EQ(job_command({JobChange::signal, {9, 10}, "USR1"}, {"9_2", "10"}),
            (Argv{"scancel", "--full", "--signal=USR1", "9_2", "10"}));
  EXPECT_EQ(job_command({JobChange::requeue, {9, 10}, ""}, {"9_2", "10"}), (Argv{"scontrol", "requeue", "9_2,10"}));
  EXPECT_EQ(job_command({JobChange::comment, {9, 10}, "slipway: a\nb=c"}, {"9", "10"}),
            (Argv{"scontrol", "update", "JobId=9,10", "AdminComment=slipway: a b=c"}));
  EXPECT_EQ(job_command({JobChange::comment, {9}, ""}, {"9"}).back(), "AdminComment=");
}

TEST(WithoutEndedJobs, KeepsWhatIsARefusal) {
  // As scontrol 22.05.8 and 24.11.5 print them.
  EXPECT_EQ(without_ended_jobs("Job is pending execution for job 8\nInvalid job id specified for job 99999\n"), "");
  EXPECT_EQ(without_ended_jobs("Requested operation is presently disabled for job 6\nInvalid job id specified\n"),
            "Requested operation is presently disabled for job 6");
}

TEST(SqueueFormat, EveryFieldEndsWithTheMark) {
  const std::string format = squeue_format("<7>");
  EXPECT_EQ(format.substr(0, 12), "JobID:<7>,Jo");
  EXPECT_EQ(std::count(format.begin(), format.end(), '<'), 13);
}

TEST(IsUnreachable, TellsSilenceFromRefusal) {
  EXPECT_TRUE(is_unreachable("slurm_update error: Unable to contact slurm controller (connect failure)"));
  EXPECT_FALSE(is_unreachable("slurm_update error: Invalid node state specified"));
}

TEST(ParseVersion, ReadsBothSpellings) {
  EXPECT_EQ(*parse_version("slurm-wlm 22.05.8\n"), (Version{22, 5, 8}));
  EXPECT_EQ(*parse_version("slurm 24.11.5"), (Version{24, 11, 5}));
  EXPECT_EQ(*parse_version("slurm 23.11.0-0rc1"), (Version{23, 11, 0}));
  EXPECT_EQ(*parse_version("slurm 25.05"), (Version{25, 5, 0}));
  EXPECT_LT((Version{22, 5, 8}), (Version{23, 2, 0}));
  for (const char* odd : {"", "slurm", "slurm 22", "slurm 99999999999.1", "x.y.z"})
    EXPECT_FALSE(parse_version(odd)) << odd;
}

}  // namespace
}  // namespace slipway::slurm
