// slipway-vm as the first process of a machine. Needs root.
#include <gtest/gtest.h>

#include "../machines/test_cluster.h"
#include "rehearse/host_calls.h"
#include "rehearse/vm_files.h"

namespace slipway::rehearse {
namespace {

class VmTest : public ::testing::Test {
 protected:
  VmTest() {
    const auto built = std::filesystem::read_symlink("/proc/self/exe").parent_path() / vm_program;
    std::filesystem::copy_file(built, cluster.programs() / vm_program);
    cluster.start_host();
    machines::MachineSpec spec;
    spec.role = vm_role;
    spec.pool = "cpu";
    spec.program = vm_program;
    machine = cluster.launch_one(spec);
    logs = machines::machine_logs(cluster.state(), machine.id);
  }

  void give(const std::string& text) {
    machines::write_text_file(logs / "new", text);
    std::filesystem::rename(logs / "new", logs / recipe_file);
  }
  std::string said(const char* file) {
    auto text = read_file(logs / file);
    return text ? *text : "";
  }
  bool says(const char* file, const std::string& text) {
    return machines::eventually([&] { return said(file) == text; });
  }

  machines::TestCluster cluster;
  machines::Machine machine;
  std::filesystem::path logs;
};

TEST_F(VmTest, RunsOneRecipeOnce) {
  EXPECT_EQ(said(status_file), "");
  give(recipe_text({"", "echo \"$A|$B\"; cat; exit 3", {{"A", "one two\nthree"}, {"B", ""}}}));
  ASSERT_TRUE(says(status_file, "ended 3\n")) << said(status_file);
  EXPECT_EQ(said(output_file), "one two\nthree|\n");
  give(recipe_text({"", "echo again", {}}));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(said(status_file), "ended 3\n");
  EXPECT_EQ(said(output_file), "one two\nthree|\n");
}

TEST_F(VmTest, SaysThatItBegan) {
  give(recipe_text({"", "sleep 1000", {}}));
  ASSERT_TRUE(says(status_file, "begun\n"));
  ASSERT_TRUE(machines::eventually([&] { return run_in(machine, "pgrep -x sleep").status == 0; }));
  ASSERT_EQ(run_in(machine, "kill -TERM $(pgrep -x sleep)").status, 0);
  ASSERT_TRUE(says(status_file, "ended 143\n")) << said(status_file);
}

TEST_F(VmTest, ReapsStrangers) {
  give(recipe_text({"", "(sleep 0.1 & sleep 0.2 &) ; exit 0", {}}));
  ASSERT_TRUE(says(status_file, "ended 0\n"));
  EXPECT_TRUE(machines::eventually([&] { return run_in(machine, "pgrep -x sleep").status == 1; }));
  EXPECT_EQ(run_in(machine, "ps -eo stat | grep -c '^Z'").out, "0\n");
}

TEST_F(VmTest, EndsInOrder) {
  give(recipe_text({"",
                    "trap 'sleep 0.2; echo told; exit 0' TERM; (trap '' TERM; sleep 1000) & "
                    "echo ready; while :; do sleep 0.05; done",
                    {}}));
  ASSERT_TRUE(says(output_file, "ready\n"));
  ASSERT_TRUE(cluster.client().terminate({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  EXPECT_EQ(said(output_file), "ready\ntold\n");
  EXPECT_EQ(said(status_file), "ended 0\n");
  EXPECT_EQ(cluster.find(machine.id).end, "terminated");
}

TEST_F(VmTest, AnIdleOneEndsAtOnce) {
  ASSERT_TRUE(machines::eventually([&] { return said("vm.log").find("vm_ready") != std::string::npos; }));
  const auto before = std::chrono::steady_clock::now();
  ASSERT_TRUE(cluster.client().terminate({machine.id}));
  ASSERT_TRUE(cluster.wait_gone(machine.id));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
  EXPECT_NE(said("vm.log").find("ending"), std::string::npos);
}

TEST_F(VmTest, IsNoProgramForPeople) {
  const auto ran = machines::run_apart([] {
    ::execl((std::filesystem::read_symlink("/proc/self/exe").parent_path() / vm_program).c_str(), vm_program, nullptr);
    return 1;
  });
  EXPECT_EQ(ran.status, 2);
  EXPECT_NE(ran.out.find("not meant for people"), std::string::npos);
}

TEST_F(VmTest, TheHostRefusesProgramsThatAreNotThere) {
  machines::MachineSpec spec;
  spec.role = vm_role;
  for (const char* program : {"slipway-nothing", "../slipway-vm", "/bin/sh", "."}) {
    spec.program = program;
    const auto launched = cluster.client().launch(spec, 1, "");
    ASSERT_FALSE(launched) << program;
    EXPECT_EQ(launched.error().code, ErrorCode::bad_config);
    EXPECT_NE(launched.error().message.find(program), std::string::npos);
  }
}

}  // namespace
}  // namespace slipway::rehearse
