// What the machine host reads that others wrote, or that it wrote itself in an earlier life.
#include <gtest/gtest.h>

#include <filesystem>

#include "machines/accounts.h"
#include "machines/machine_boot_data.h"
#include "machines/process.h"
#include "machines/record.h"
#include "machines/root_plan.h"
#include "test_cluster.h"

namespace slipway::machines {
namespace {

TEST(Accounts, FindsTheUserAmongDamagedLines) {
  constexpr std::string_view passwd =
      "root:x:0:0:root:/root:/bin/bash\n"
      "broken:x:12\n"
      "ada:x:-1:7:bad:/home/bad:/bin/sh\n"
      "ada:x:4294967295:7:no change:/home/bad:/bin/sh\n"
      "ada:x:1001:1002:Ada,,,:/home/ada:\n";
  auto ada = find_account(passwd, "ada");
  ASSERT_TRUE(ada);
  EXPECT_EQ(ada->uid, 1001u);
  EXPECT_EQ(ada->gid, 1002u);
  EXPECT_EQ(ada->home, "/home/ada");
  EXPECT_EQ(ada->shell, "");
  EXPECT_FALSE(find_account(passwd, "bob"));
  EXPECT_FALSE(find_account(passwd, ""));
}

TEST(Accounts, GroupsHoldThePrimaryOnceAndTheOthers) {
  constexpr std::string_view group = "a:x:5:bob,ada\nb:x:6:adam\nc:x:7:ada\nown:x:1002:ada\nbad:x:x:ada\n";
  EXPECT_EQ(groups_of(group, "ada", 1002), (std::vector<gid_t>{1002, 5, 7}));
}

TEST(Process, StartTimeIsFoundBehindAnyName) {
  std::string fields = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
  EXPECT_EQ(parse_start_time("42 (sh)" + fields), 777u);
  EXPECT_EQ(parse_start_time("42 (a) b) 1 2 (c)" + fields), 777u);
  EXPECT_EQ(parse_start_time("42 (sh) S 1 2"), 0u);
  EXPECT_EQ(parse_start_time(""), 0u);
  EXPECT_GT(start_time(::getpid()), 0u);
}

TEST(Process, OnlyTheSameProcessIsOpened) {
  ProcessId self = identify(::getpid());
  EXPECT_TRUE(open_process(self));
  ProcessId reused = self;
  ++reused.start_time;
  EXPECT_FALSE(open_process(reused));
  ProcessId other_boot = self;
  other_boot.boot_id = "x";
  EXPECT_FALSE(open_process(other_boot));
  ProcessId other_network = self;
  ++other_network.net_namespace;
  EXPECT_FALSE(open_process(other_network));
  EXPECT_FALSE(open_process(ProcessId{}));
}

TEST(Process, FirstProcessOfANamespaceBelow) {
  EXPECT_TRUE(is_first_process("Name:\tx\nNSpid:\t4711\t1\nVm:\n"));
  EXPECT_TRUE(is_first_process("NSpid:\t4711\t12\t1"));
  EXPECT_FALSE(is_first_process("Name:\tx\nNSpid:\t1\n"));
  EXPECT_FALSE(is_first_process("Name:\tx\nNSpid:\t4711\t11\n"));
  EXPECT_FALSE(is_first_process(""));
}

TEST(Record, IdsAreFixedInShape) {
  EXPECT_EQ(machine_id(10), "i-0000000a");
  EXPECT_EQ(machine_number("i-0000000a"), 10u);
  EXPECT_EQ(machine_number("i-ffffffff"), 0xffffffffu);
  for (const char* bad :
       {"", "i-", "i-a", "i-0000000A", "i-0000000g", "j-0000000a", "i-000000000a", "../etc", "i-00000000"}) {
    EXPECT_EQ(machine_number(bad), 0u) << bad;
  }
}

TEST(Record, ComesBackWhole) {
  Record record;
  record.machine = {"i-00000007",
                    "compute",
                    "cpu",
                    "token \"x\"",
                    MachineState::frozen,
                    "198.18.0.9",
                    4711,
                    TimePoint(Duration(123)),
                    true,
                    "",
                    model::Market::spot,
                    {"m.large", "a"},
                    "rack",
                    TimePoint(Duration(789))};
  record.process = {4711, 99, 4026532000, "boot"};
  record.ending = "killed";
  record.ended_at = TimePoint(Duration(456));
  auto back = parse_record(to_json(record));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->machine.launch_token, "token \"x\"");
  EXPECT_EQ(back->machine.state, MachineState::frozen);
  EXPECT_TRUE(back->machine.cut_off);
  EXPECT_EQ(back->process.pid, 4711);
  EXPECT_EQ(back->process.start_time, 99u);
  EXPECT_EQ(back->process.net_namespace, 4026532000u);
  EXPECT_EQ(back->process.boot_id, "boot");
  EXPECT_EQ(back->ending, "killed");
  EXPECT_EQ(back->ended_at, TimePoint(Duration(456)));
  EXPECT_EQ(back->machine.launched_at, TimePoint(Duration(123)));
  EXPECT_EQ(back->machine.market, model::Market::spot);
  EXPECT_EQ(back->machine.offer, (model::Offer{"m.large", "a"}));
  EXPECT_EQ(back->machine.placement, "rack");
  EXPECT_EQ(back->machine.evict_at, TimePoint(Duration(789)));
}

TEST(Record, OfAnOlderHostHasNoLabels) {
  auto record = parse_record(R"({"id":"i-00000007","role":"compute","state":"running"})");
  ASSERT_TRUE(record);
  EXPECT_EQ(record->machine.market, model::Market::on_demand);
  EXPECT_EQ(record->machine.offer, model::Offer{});
  EXPECT_EQ(record->machine.evict_at, TimePoint{});
}

TEST(Record, RefusesWhatIsNone) {
  for (const char* bad :
       {"", "{", "[]", "{}", R"({"id":"../x","state":"running"})", R"({"id":"i-00000001","state":"flying"})"}) {
    EXPECT_FALSE(parse_record(bad)) << bad;
  }
}

class Folder : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/slipway-machines-test-XXXXXX";
    ASSERT_TRUE(::mkdtemp(name));
    path_ = name;
    std::filesystem::create_directories(path_ / "host");
  }
  void TearDown() override { std::filesystem::remove_all(path_); }
  std::filesystem::path path_;
};

TEST_F(Folder, CounterNeverRunsBackwards) {
  EXPECT_EQ(load_counter(path_).next_number, 1u);
  ASSERT_TRUE(save_counter(path_, {20, "198.18.0.9"}));
  EXPECT_EQ(load_counter(path_).next_number, 20u);
  EXPECT_EQ(load_counter(path_).last_address, "198.18.0.9");
  std::filesystem::create_directories(path_ / "machines/i-00000030");
  EXPECT_EQ(load_counter(path_).next_number, 0x31u);
  write_text_file(path_ / "host/counter.json", "{damaged");
  EXPECT_EQ(load_counter(path_).next_number, 0x31u);
}

TEST_F(Folder, DamagedRecordsDontHideTheOthers) {
  Record record;
  record.machine.id = "i-00000002";
  std::filesystem::create_directories(machine_folder(path_, record.machine.id));
  ASSERT_TRUE(save_record(path_, record));
  write_text_file(path_ / "machines/i-00000001/machine.json", "{}");
  write_text_file(path_ / "machines/i-00000003/machine.json", to_json(record));  // says that it is number 2
  write_text_file(path_ / "machines/notes.txt", "hello");
  auto records = load_records(path_);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].machine.id, "i-00000002");
}

TEST_F(Folder, BootDataCantBeOverruledByTheRole) {
  std::string master(64, 'a');
  Machine machine;
  machine.id = "i-00000001";
  machine.role = "compute";
  machine.address = "198.18.0.7";
  auto text = make_boot_data(master, "demo", machine,
                             R"({"daemon":"198.18.0.2:1","secret":"mine","instance":"i-9","extra":{"a":1}})");
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_NE(text->find(R"("instance":"i-00000001")"), std::string::npos) << *text;
  EXPECT_NE(text->find(R"("extra":{"a":1})"), std::string::npos) << *text;
  EXPECT_NE(text->find(R"("daemon":"198.18.0.2:1")"), std::string::npos) << *text;
  EXPECT_EQ(text->find("mine"), std::string::npos) << *text;
  machine.id = "i-00000002";
  EXPECT_NE(*make_boot_data(master, "demo", machine, ""), *text);
  EXPECT_FALSE(make_boot_data(master, "demo", machine, "[1]"));
  EXPECT_FALSE(make_boot_data("short", "demo", machine, ""));
}

TEST_F(Folder, MissingMasterKeyIsNamed) {
  auto key = read_master_key(path_);
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::bad_config);
  EXPECT_NE(key.error().message.find("master.key"), std::string::npos) << key.error().message;
}

TEST(MountInfo, ReadsEscapesAndTheTopMount) {
  auto mounts = parse_mountinfo(
      "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
      "30 27 8:1 / /usr/my\\040soft\\134ware rw,relatime shared:7 master:3 - xfs /dev/sdb rw\n"
      "31 27 0:9 / /run rw - tmpfs tmpfs rw\n"
      "32 27 0:9 / /opt rw - tmpfs tmpfs rw\n"
      "33 27 8:2 / /opt rw - ext4 /dev/sdc rw\n"
      "garbage\n"
      "34 27 0:10 / relative rw - ext4 x rw\n");
  ASSERT_EQ(mounts.size(), 4u);
  EXPECT_EQ(mounts[1].path, "/usr/my soft\\ware");
  EXPECT_EQ(mounts[1].type, "xfs");
  EXPECT_EQ(mounts[3].path, "/opt");
  EXPECT_EQ(mounts[3].type, "ext4") << "the later mount covers the earlier";
}

TEST(MountInfo, OnlySoftwareAndItsStateGetLayers) {
  std::vector<MountPoint> mounts = {{"/", "ext4"},
                                    {"/var/log", "ext4"},
                                    {"/var", "xfs"},
                                    {"/home", "ext4"},
                                    {"/proc", "proc"},
                                    {"/usr/local", "nfs"},
                                    {"/boot/efi", "vfat"},
                                    {"/run", "tmpfs"},
                                    {"/varnish", "ext4"},
                                    {"/var/lib/docker/overlay2/x/merged", "overlay"},
                                    {"/opt/x", "fuse.sshfs"},
                                    {"/data", "ext4"}};
  EXPECT_EQ(system_mounts(mounts), (std::vector<std::string>{"/usr/local", "/var", "/var/log"}));
}

TEST(RootPlan, HidesSecretsOfTheBox) {
  auto plan = plan_root("", {"/var/lib/some-states"}, {});
  ASSERT_TRUE(plan) << plan.error().message;
  auto hidden = [&](const std::string& path) {
    for (const RootPlan::Folder& folder : plan->folders) {
      const std::string& target = plan->layers[folder.layer].target;
      if ((target.empty() ? folder.path : target + "/" + folder.path) == path) return folder.opaque;
    }
    return false;
  };
  for (const char* path : {"home", "root", "etc/slurm", "etc/munge", "var/tmp", "var/lib/some-states"})
    EXPECT_TRUE(hidden(path)) << path;
  for (const char* path : {"etc", "usr", "var", "var/lib"}) EXPECT_FALSE(hidden(path)) << path;
}

TEST(RootPlan, RefusesWhatIsNoRootAndBadMounts) {
  auto image = plan_root("/proc", {}, {});
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, ErrorCode::bad_config);
  EXPECT_FALSE(plan_root("relative", {}, {}));
  EXPECT_FALSE(plan_root("", {}, {{"/etc", "relative", false}}));
  EXPECT_FALSE(plan_root("", {}, {{"/etc", "/", false}}));
  EXPECT_FALSE(plan_root("", {}, {{"/no/such/folder", "/x", false}}));
  EXPECT_TRUE(plan_root("", {}, {{"/etc", "/x", false}}));
}

}  // namespace
}  // namespace slipway::machines
