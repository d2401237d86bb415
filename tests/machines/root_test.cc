// What a machine sees. Needs root.
#include <gtest/gtest.h>

#include "base/subprocess.h"
#include "machines/host.h"
#include "test_cluster.h"

namespace slipway::machines {
namespace {

TEST(Root, IsPrivate) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(2);
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_EQ(run_in(machines[0],
                   "for f in /etc /usr /var /tmp /run /home /root /opt /dev/shm; do echo hello > $f/slipway-was-here "
                   "|| exit 1; done")
                .status,
            0);
  for (const char* folder : {"/etc", "/usr", "/var", "/tmp", "/run", "/home", "/root", "/opt", "/dev/shm"}) {
    std::string file = std::string(folder) + "/slipway-was-here";
    EXPECT_FALSE(std::filesystem::exists(file)) << "on the box: " << file;
    EXPECT_EQ(run_in(machines[1], "cat " + file + " 2>/dev/null").out, "") << file;
  }
  EXPECT_EQ(run_in(machines[0], "cat /etc/slipway-was-here /dev/shm/slipway-was-here").out, "hello\nhello\n");
  EXPECT_EQ(run_in(machines[0], "ls -A /home /root | grep -v slipway-was-here | grep -v : | grep .").out, "")
      << "the box's homes aren't shown";
  EXPECT_EQ(run_in(machines[1], "stat -c '%a %n' /tmp /var/tmp /dev/shm /root").out,
            "1777 /tmp\n1777 /var/tmp\n1777 /dev/shm\n700 /root\n");
  EXPECT_EQ(run_in(machines[1], "ls -A /tmp /var/tmp").out, "/tmp:\n\n/var/tmp:\n");
}

TEST(Root, SecretsOfTheBoxAndOfOtherMachinesAreOutOfSight) {
  TestCluster cluster;
  cluster.start_host();
  std::vector<Machine> machines = cluster.launch(2);
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_EQ(run_in(machines[0], "ls -A " + cluster.base().string()).out, "");
  EXPECT_EQ(run_in(machines[0], "ls -A /etc/munge /etc/slurm").out, "/etc/munge:\n\n/etc/slurm:\n");
  Ran own = run_in(machines[0], "cat /run/slipway/boot.json");
  Ran other = run_in(machines[1], "cat /run/slipway/boot.json");
  EXPECT_NE(own.out.find("\"secret\":\""), std::string::npos) << own.out;
  EXPECT_NE(own.out, other.out);
  EXPECT_EQ(run_in(machines[0], "stat -c %a /run/slipway/boot.json").out, "600\n");
  EXPECT_NE(run_in(machines[0], "cat /run/slipway/boot.json", "nobody").status, 0) << "root's alone";
  // Not through any process either.
  EXPECT_EQ(run_in(machines[0], "ls /proc | grep -c '^[0-9]'").out.size(), 2u) << "only its own processes";
  EXPECT_EQ(run_in(machines[0], "mount | grep -c " + cluster.base().string()).out, "0\n");
}

TEST(Root, DevicesAndKernelFiles) {
  TestCluster cluster;
  cluster.start_host();
  Machine machine = cluster.launch_one();
  EXPECT_EQ(run_in(machine, "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 5 /dev/urandom | wc -c").out,
            "3\n5\n");
  EXPECT_EQ(run_in(machine, "echo a | cat /dev/stdin; test -c /dev/ptmx && test -d /dev/pts && echo pty").out,
            "a\npty\n");
  EXPECT_EQ(run_in(machine, "echo x > /dev/null", "nobody").status, 0) << "every user may write to /dev/null";
  EXPECT_NE(run_in(machine, "mknod /tmp/disk b 254 0").status, 0);
  EXPECT_NE(run_in(machine, "echo 1 > /proc/sys/kernel/panic").status, 0) << "the box's kernel settings stay the box's";
  EXPECT_EQ(run_in(machine, "echo 1 > /proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward").out, "1\n")
      << "its own network's don't";
  EXPECT_EQ(run_in(machine, "test -d /sys/fs/cgroup && echo yes").out, "yes\n");
  EXPECT_NE(run_in(machine, "mkdir /sys/fs/cgroup/slipway-test 2>/dev/null").status, 0);
  EXPECT_EQ(run_in(machine, "mount -t tmpfs x /mnt && umount /mnt").status, 0) << "prep scripts may mount";
}

TEST(Root, MountsAreThere) {
  TestCluster cluster;
  std::filesystem::create_directories(cluster.base() / "shared/home/ada");
  write_text_file(cluster.base() / "conf, with: marks.txt", "text\n");
  cluster.start_host([&](HostOptions& options) {
    options.shared = {{(cluster.base() / "shared/home").string(), "/home", false}};
  });
  MachineSpec spec = cluster.compute();
  spec.mounts = {{(cluster.base() / "conf, with: marks.txt").string(), "/etc/made/for/it.txt", true},
                 {(cluster.base() / "shared").string(), "/data", true}};
  std::vector<Machine> machines = cluster.launch(2, spec);
  ASSERT_EQ(machines.size(), 2u);
  EXPECT_EQ(run_in(machines[0], "cat /etc/made/for/it.txt; ls /home /data").out, "text\n/data:\nhome\n\n/home:\nada\n");
  EXPECT_EQ(run_in(machines[0], "echo shared > /home/ada/file").status, 0);
  EXPECT_EQ(run_in(machines[1], "cat /home/ada/file").out, "shared\n");
  EXPECT_NE(run_in(machines[0], "echo x > /etc/made/for/it.txt").status, 0);
  EXPECT_NE(run_in(machines[0], "touch /data/x").status, 0);
  EXPECT_NE(run_in(machines[0], "touch /opt/slipway/bin/x").status, 0) << "programs are read-only";
  EXPECT_EQ(run_in(machines[0], "echo line > /var/log/slipway/slurmd.log").status, 0);
  auto log = read_file(machine_logs(cluster.state(), machines[0].id) / "slurmd.log");
  EXPECT_TRUE(log && *log == "line\n") << "logs outlive the machine on the box";
}

// As the controller has it: a folder of the box on /run/slipway.
TEST(Root, BootDataIsThereEvenUnderAMount) {
  TestCluster cluster;
  std::filesystem::create_directories(cluster.state() / "run");
  cluster.start_host();
  MachineSpec spec = cluster.compute();
  spec.mounts = {{(cluster.state() / "run").string(), "/run/slipway", false}};
  Machine machine = cluster.launch_one(spec);
  EXPECT_NE(run_in(machine, "cat /run/slipway/boot.json").out.find(machine.id), std::string::npos);
}

// A root file system of a shell and the libraries that it needs.
std::filesystem::path make_image(const std::filesystem::path& folder) {
  for (const char* name : {"etc", "bin", "root", "home"}) std::filesystem::create_directories(folder / name);
  auto copy = [&](const std::string& program) {
    std::filesystem::path source = find_program(program);
    std::filesystem::copy_file(std::filesystem::canonical(source), folder / "bin" / program);
    auto libraries = run_checked({.argv = {"ldd", source.string()}});
    ASSERT_TRUE(libraries) << libraries.error().message;
    std::istringstream words(*libraries);
    for (std::string word; words >> word;) {
      if (!word.starts_with('/')) continue;
      std::filesystem::path target = folder / std::filesystem::path(word).relative_path();
      std::filesystem::create_directories(target.parent_path());
      std::filesystem::copy_file(std::filesystem::canonical(word), target,
                                 std::filesystem::copy_options::skip_existing);
    }
  };
  for (const char* program : {"sh", "sleep", "ls", "cat", "mkdir"}) copy(program);
  write_text_file(folder / "etc/passwd",
                  "root:x:0:0::/root:/bin/sh\nmunge:x:77:78::/:/bin/sh\nada:x:1000:1000::/home/ada:/bin/sh\n");
  write_text_file(folder / "etc/group", "root:x:0:\nmunge:x:78:\nextra:x:500:ada\n");
  write_text_file(folder / "etc/munge/munge.key", "secret of the image\n");
  write_text_file(folder / "from-image", "yes\n");
  return folder;
}

TEST(Root, OfAnImage) {
  TestCluster cluster;
  cluster.start_host();
  MachineSpec spec = cluster.compute();
  spec.image = make_image(cluster.base() / "image, an odd: name").string();
  ASSERT_FALSE(HasFailure());
  std::vector<Machine> machines = cluster.launch(3, spec);
  ASSERT_EQ(machines.size(), 3u);
  EXPECT_EQ(run_in(machines[0], "cat /from-image /etc/hostname").out, "yes\n" + machines[0].id + "\n");
  EXPECT_EQ(run_in(machines[0], "ls /etc/munge").out, "") << "an image's key is nobody's";
  EXPECT_EQ(run_in(machines[0], "echo changed > /from-image; cat /from-image").out, "changed\n");
  EXPECT_EQ(run_in(machines[1], "cat /from-image").out, "yes\n");
  auto below = read_file(std::filesystem::path(spec.image) / "from-image");
  EXPECT_TRUE(below && *below == "yes\n");
  EXPECT_EQ(run_in(machines[0], "ls /usr/bin/bash").status == 0, false) << "nothing of the box";
  EXPECT_EQ(run_in(machines[0], "cat /run/slipway/boot.json").status, 0);
  EXPECT_TRUE(talks(machines[0].pid, machines[1]));
}

}  // namespace
}  // namespace slipway::machines
