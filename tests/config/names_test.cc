#include "config/names.h"

#include <gtest/gtest.h>

namespace slipway::config {
namespace {

TEST(Names, PoolsCanNotLookLikeNodes) {
  for (const char* name : {"cpu", "gpu-a", "p5", "a1-b2", "x"}) EXPECT_EQ(pool_name_trouble(name), "") << name;
  EXPECT_NE(pool_name_trouble("cpu-1").find("for example 'cpu1'"), std::string::npos);
  EXPECT_NE(pool_name_trouble("cpu-0001").find("as node names do"), std::string::npos);
  for (const char* name : {"", "Cpu", "1cpu", "-cpu", "cpu-", "c_pu", "cpu.x", "controller", "login", "über", "a b"}) {
    EXPECT_NE(pool_name_trouble(name), "") << name;
  }
  EXPECT_EQ(pool_name_trouble(std::string(32, 'a')), "");
  EXPECT_NE(pool_name_trouble(std::string(33, 'a')), "");
}

TEST(Names, PartitionsAreNeverCalledDefault) {
  for (const char* name : {"batch", "GPU", "p_1.x-y", "0day"}) EXPECT_EQ(partition_name_trouble(name), "") << name;
  for (const char* name : {"default", "Default", "DEFAULT"}) {
    EXPECT_NE(partition_name_trouble(name).find("default: true"), std::string::npos) << name;
  }
  for (const char* name : {"", "a,b", "a b", "-x", "a=b", "a#b", "a\nb"})
    EXPECT_NE(partition_name_trouble(name), "") << name;
}

TEST(Names, UsersAreUnixOnesAndNew) {
  for (const char* name : {"alice", "_svc", "a-b_c9"}) EXPECT_EQ(user_name_trouble(name), "") << name;
  for (const char* name : {"root", "slurm", "munge", "nobody", "systemd-oom", "Alice", "9a", "", "a:b", "a/b"}) {
    EXPECT_NE(user_name_trouble(name), "") << name;
  }
}

TEST(Names, MountsKeepOffTheSystem) {
  for (const char* mount : {"/home", "/srv/data", "/scratch", "/mnt/a.b", "/var/www", "/opt/apps", "/usrlocal"}) {
    EXPECT_EQ(mount_trouble(mount), "") << mount;
  }
  for (const char* mount : {"", "home", "/", "/etc", "/etc/x", "/usr/local", "/proc", "/var", "/run/user",
                            "/opt/slipway/x", "/home/", "/a//b", "/a/../etc", "/a b", "/a:b", "/var/spool/slurmctld"}) {
    EXPECT_NE(mount_trouble(mount), "") << mount;
  }
}

TEST(Names, FeaturesAreWhatConstraintsUnderstand) {
  for (const char* feature : {"avx512", "a.b-c_D", "1"}) EXPECT_EQ(feature_trouble(feature), "") << feature;
  for (const char* feature : {"", "a b", "a&b", "a|b", "a,b", "a*2", "(a)"})
    EXPECT_NE(feature_trouble(feature), "") << feature;
}

TEST(Gres, GetsItsCount) {
  EXPECT_EQ(parse_gres("gpu").value(), "gpu:1");
  EXPECT_EQ(parse_gres("gpu:2").value(), "gpu:2");
  EXPECT_EQ(parse_gres("gpu:tesla").value(), "gpu:tesla:1");
  EXPECT_EQ(parse_gres("gpu:tesla:4").value(), "gpu:tesla:4");
  EXPECT_EQ(parse_gres("gpu:1g.5gb:7").value(), "gpu:1g.5gb:7");
  EXPECT_EQ(parse_gres("bandwidth:no_consume:4G").value(), "bandwidth:no_consume:4G");
  EXPECT_EQ(parse_gres("net:lustre:no_consume:10K").value(), "net:lustre:no_consume:10K");
  EXPECT_EQ(gres_kind("gpu:tesla:2"), "gpu:tesla");
  for (const char* gres :
       {"", ":2", "gpu:", "gpu:0", "gpu:2:3:4", "gpu:a b:1", "2", "gpu:tesla:x", "gpu=2", "gpu:2X", "gpu:9999999999"}) {
    EXPECT_FALSE(parse_gres(gres)) << gres;
  }
}

TEST(Subnet, LiesInTheRangeForTests) {
  EXPECT_EQ(subnet_machines("198.18.16.0/20").value(), 4093u);
  EXPECT_EQ(subnet_machines("198.19.255.0/24").value(), 253u);
  EXPECT_EQ(subnet_machines("198.18.0.0/15").value(), 131'069u);
  for (const char* subnet : {"", "198.18.16.0", "198.18.16.1/20", "10.0.0.0/20", "198.20.0.0/20", "198.18.0.0/14",
                             "198.18.0.0/30", "198.18.0/20", "198.18.0.0.0/20", "198.18.0.256/24", "198.18.01.0/24",
                             "198.18.16.0/20 ", "a.b.c.d/20", "198.18.16.0/"}) {
    EXPECT_FALSE(subnet_machines(subnet)) << subnet;
  }
}

}  // namespace
}  // namespace slipway::config
