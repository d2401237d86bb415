#include "deploy/preflight.h"

#include <gtest/gtest.h>

#include "deploy/state_folder.h"
#include "temporary_folder.h"

namespace slipway::deploy {
namespace {

namespace fs = std::filesystem;

const char* const programs[] = {"slurmctld", "scontrol", "squeue", "sbatch", "srun", "sinfo", "slurmd", "munged"};

class Preflight : public testing::Test {
 protected:
  Preflight() {
    make_image("root", 64030);
    for (const char* name : {"slipway-agent", "slipwayd", "slipway-hook", "slipway-machines"}) {
      folder_.write(std::string("bin/") + name, "", 0755);
    }
    fs::create_directories(folder_.path() / "base");
    cluster_.name = "demo";
    model::Pool pool;
    pool.name = PoolName("cpu");
    pool.max = 10;
    cluster_.pools.push_back(pool);
    box_.root = folder_.path() / "root";
    box_.memory_available_mib = 4000;
    box_.disk_free_mib = [this](const fs::path& folder) -> Result<uint64_t> {
      asked_ = folder;
      return disk_mib_;
    };
    box_.host_answers = [this](const fs::path&) { return host_answers_; };
  }

  void make_image(const std::string& name, int slurm_uid) {
    for (const char* program : programs) folder_.write(name + "/usr/bin/" + program, "", 0755);
    folder_.write(name + "/etc/passwd",
                  "munge:x:102:105::/:/bin/false\nslurm:x:" + std::to_string(slurm_uid) + ":64030::/:/bin/false\n");
  }

  fs::path state() const { return folder_.path() / "base/demo"; }
  std::vector<std::string> check() { return preflight(cluster_, {state(), folder_.path() / "bin"}, box_); }
  // Exactly one obstacle, with all of these words.
  void expect_one(std::initializer_list<const char*> words) {
    const auto found = check();
    ASSERT_EQ(1U, found.size()) << testing::PrintToString(found);
    for (const char* word : words) EXPECT_NE(std::string::npos, found[0].find(word)) << word << " in: " << found[0];
  }

  TemporaryFolder folder_;
  model::Cluster cluster_;
  Box box_;
  uint64_t disk_mib_ = 10'000;
  bool host_answers_ = false;
  fs::path asked_;
};

TEST_F(Preflight, FindsNothingOnAGoodBox) {
  EXPECT_EQ(std::vector<std::string>(), check());
  EXPECT_EQ(folder_.path() / "base", asked_) << "the file system that the state folder will be on";
}

TEST_F(Preflight, OthersThanRoot) {
  box_.uid = 1000;
  expect_one({"root", "sudo"});
}

TEST_F(Preflight, MissingProgramsNameTheirPackages) {
  fs::remove(folder_.path() / "root/usr/bin/slurmd");
  expect_one({"slurmd is missing", "apt-get install", "Debian's package slurmd"});
  fs::remove(folder_.path() / "root/usr/bin/munged");
  fs::remove(folder_.path() / "root/usr/bin/sinfo");
  fs::remove(folder_.path() / "root/usr/bin/squeue");
  const auto found = check();
  ASSERT_EQ(3U, found.size()) << testing::PrintToString(found);
  EXPECT_NE(std::string::npos, found[0].find("package munge:"));
  EXPECT_NE(std::string::npos, found[1].find("squeue, sinfo are missing"));
  EXPECT_NE(std::string::npos, found[1].find("package slurm-client:"));
}

TEST_F(Preflight, ImagesAreLookedAtForWhatTheirMachinesNeed) {
  make_image("image", 64030);
  cluster_.pools[0].image = (folder_.path() / "image").string();
  fs::remove(folder_.path() / "image/usr/bin/slurmctld");  // no controller runs on it
  EXPECT_EQ(std::vector<std::string>(), check());
  fs::remove(folder_.path() / "image/usr/bin/slurmd");
  expect_one({"slurmd", "the image", "chroot"});
  cluster_.pools[0].image = (folder_.path() / "nowhere").string();
  expect_one({"nowhere", "pool cpu", "not a folder"});
}

TEST_F(Preflight, AccountsMustExistAndAgree) {
  folder_.write("root/etc/passwd", "slurm:x:64030:64030::/:/bin/false\n");
  expect_one({"user munge", "useradd"});
  make_image("root", 64030);
  make_image("image", 7);
  cluster_.pools[0].image = (folder_.path() / "image").string();
  expect_one({"different numbers", "64030 on this box", "7 on the image"});
}

TEST_F(Preflight, MissingPartsOfSlipway) {
  fs::remove(folder_.path() / "bin/slipwayd");
  expect_one({"slipwayd not found", "scripts/build"});
}

TEST_F(Preflight, StateFolders) {
  folder_.write("base/demo/version", "1\n");
  EXPECT_EQ(std::vector<std::string>(), check()) << "kept data is welcome";
  folder_.write("base/demo/keys/munge.key", "");
  expect_one({"was not taken down completely", "slipway down --cluster demo"});
  host_answers_ = true;
  expect_one({"already up", "slipway status"});
  {
    const auto lock = StateLock::take(state(), Duration(0));
    expect_one({"another `slipway up`"});
  }
  folder_.write("base/demo/version", "7\n");
  expect_one({"layout version \"7\"", "version 1"});
  fs::remove(state() / "version");
  expect_one({"not a state folder of Slipway", "--state-base"});
}

TEST_F(Preflight, RoomOnDiskAndInMemory) {
  disk_mib_ = disk_free_min_mib - 1;
  expect_one({"disk space", "199 MiB"});
  disk_mib_ = disk_free_min_mib;
  box_.memory_available_mib = memory_free_min_mib - 1;
  expect_one({"memory", "255 MiB"});
}

TEST_F(Preflight, Subnets) {
  cluster_.subnet = "198.18.16.0/20";
  EXPECT_EQ(std::vector<std::string>(), check());
  box_.networks = {*parse_subnet("10.0.0.0/8"), *parse_subnet("198.18.31.0/24")};
  expect_one({"taken", "198.18.31.0/24", "--subnet"});
  cluster_.subnet = "10.1.0.0/16";
  expect_one({"not inside 198.18.0.0/15"});
  cluster_.subnet = "198.18.16.1/20";
  expect_one({"the network is 198.18.16.0/20"});
  cluster_.subnet = "198.18.0.0/28";
  cluster_.pools[0].max = 11;  // with bridge, controller, login, network and broadcast: one address, exactly, fits
  EXPECT_EQ(16U, addresses_needed(cluster_));
  EXPECT_EQ(std::vector<std::string>(), check());
  cluster_.pools[0].max = 12;
  expect_one({"16 addresses", "needs 17"});
}

TEST_F(Preflight, EverythingAtOnce) {
  fs::remove(folder_.path() / "root/usr/bin/slurmd");
  fs::remove(folder_.path() / "bin/slipwayd");
  folder_.write("base/demo/file", "");
  disk_mib_ = 1;
  cluster_.subnet = "nonsense";
  EXPECT_EQ(5U, check().size());
}

TEST(ThisBox, IsReadable) {
  const Box box = this_box();
  EXPECT_GT(box.memory_available_mib, 0U);
  const auto disk = box.disk_free_mib("/");
  ASSERT_TRUE(disk);
  EXPECT_FALSE(box.host_answers("/nonexistent"));
}

}  // namespace
}  // namespace slipway::deploy
