// Every mistake has its place and a way out.
#include "helpers.h"

namespace slipway::config {
namespace {

void expect_only_error(const Case& c) {
  expect_only_problem(c, Severity::error);
}

TEST(Errors, AtTheTop) {
  const Case cases[] = {
      {"pools: {p: {max: 2}}\n", 0, 0, "'cluster' is missing"},
      {"cluster: a\n", 0, 0, "'pools' is missing"},
      {"cluster: A\npools: {p: {max: 2}}\n", 1, 10, "'A' is not a usable name; expected small letters"},
      {"cluster: [a]\npools: {p: {max: 2}}\n", 1, 10, "cluster: is a list; expected the cluster's name"},
      {"cluster:\npools: {p: {max: 2}}\n", 1, 1, "cluster: has no value"},
      {"cluster: ~\npools: {p: {max: 2}}\n", 1, 1, "cluster: has no value"},
      {"cluster: \"\"\npools: {p: {max: 2}}\n", 1, 10, "cluster: is empty"},
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclam: 5m\n", 3, 1,
       "unknown key 'idle_reclam'; did you mean 'idle_reclaim'?"},
      {"name: a\ncluster: a\npools: {p: {max: 2}}\n", 1, 1, "unknown key 'name'; did you mean 'cluster'?"},
      {"cluster: a\npools: {p: {max: 2}}\nzebra: 1\n", 3, 1, "unknown key 'zebra'; expected one of cluster, provider"},
      {"cluster: a\npools: {p: {max: 2}}\nCluster: b\n", 3, 1, "unknown key 'Cluster'; did you mean 'cluster'?"},
      {"cluster: a\ncluster: b\npools: {p: {max: 2}}\n", 2, 1, "the key 'cluster' is written twice, first in line 1"},
      {"cluster: a\npools: {p: {max: 2}}\naccounting: {type: mariadb}\n", 3, 1, "'accounting' isn't available yet"},
      {"cluster: a\npools: {p: {max: 2}}\nsecurity: {}\n", 3, 1, "'security' isn't available yet"},
      {"cluster: a\npools: {p: {max: 2}}\nbudget: 5\n", 3, 1, "'budget' isn't available yet"},
      {"cluster: a\npools: {p: {max: 2}}\naws: {}\n", 3, 1,
       "'aws' isn't available yet: this release has the providers local and azure"},
      {"cluster: a\nprovider: aws\npools: {p: {max: 2, azure: {}}}\n", 2, 11,
       "'aws' isn't available yet: this release has 'local', machines on this box, and 'azure'"},
      {"cluster: a\nprovider: azur\npools: {p: {max: 2}}\n", 2, 11, "did you mean 'azure'?"},
      {"cluster: a\nprovider: locl\npools: {p: {max: 2}}\n", 2, 11,
       "unknown provider 'locl'; expected 'local' or 'azure'; did you mean 'local'?"},
      {"cluster: a\nlocal: {subnet: 10.0.0.0/20}\npools: {p: {max: 2}}\n", 2, 17,
       "local.subnet: '10.0.0.0/20' is not a usable subnet"},
      {"cluster: a\nlocal: {subnet: 198.18.0.0/28}\npools: {p: {max: 20}}\n", 2, 17,
       "addresses for 13 machines, and the cluster may have 22"},
      {"cluster: a\nlocal: 5\npools: {p: {max: 2}}\n", 2, 8, "local: is '5'; expected a map with the keys subnet"},
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclaim: 600\n", 3, 15, "'600' is not a duration: the unit is missing"},
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclaim: 0s\n", 3, 15, "'0s' is too short; expected from 1s"},
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclaim: 400d\n", 3, 15, "'400d' is too long"},
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclaim: {}\n", 3, 15, "idle_reclaim: is a map; expected a duration"},
      {"just text\n", 1, 1, "the file is 'just text'; expected a map with the keys cluster"},
      {"- a\n- b\n", 1, 1, "the file is a list; expected a map"},
  };
  for (const Case& c : cases) expect_only_error(c);
}

TEST(Errors, InRolesStorageAndUsers) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2}}\ncontrollers: {count: 2}\n", 3, 22,
       "controllers.count: 2 controllers aren't available with provider local yet"},
      {"cluster: a\npools: {p: {max: 2}}\ncontrollers: {count: 0}\n", 3, 22, "0 is too small"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {count: 17}\n", 3, 17, "17 login machines are more than a box needs"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {machine: x}\n", 3, 10,
       "logins: 'machine' isn't available with provider local yet"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {cont: 1}\n", 3, 10,
       "logins: unknown key 'cont'; did you mean 'count'?"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {prep: \"echo\\n\"}\n", 3, 16, "the script doesn't say what runs it"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {prep: \"#!/bin/sh\\r\\nx\"}\n", 3, 16,
       "the script has Windows line ends"},
      {"cluster: a\npools: {p: {max: 2}}\nlogins: {prep: \"#!/bin/sh\\n\\0\"}\n", 3, 16, "the script is no text"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {type: nfs, mount: /home}}\n", 3, 24,
       "'nfs' isn't available with provider local yet"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {type: locla, mount: /home}}\n", 3, 24,
       "unknown type 'locla'; expected 'local'; did you mean"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home}, b: {mount: /etc/b}}\n", 3, 44,
       "'/etc/b' lies in /etc"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home}, b: {mount: /home/b}}\n", 3, 44,
       "lie in each other"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home}, b: {mount: /home}}\n", 3, 44,
       "lie in each other"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home}, b: {}}\n", 3, 33,
       "storage.b: 'mount' is missing"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home}, B: {mount: /b}}\n", 3, 33,
       "storage: 'B' is not a usable name"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {home: {mount: /home, slurm_state: true}}\n", 3, 32,
       "'slurm_state' isn't available"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: alice\n", 3, 8, "users: is 'alice'; expected a list of names"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: []\n", 3, 8, "users: is empty; expected at least one user"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [alice, root]\n", 3, 16,
       "'root' is an account that the machines have already"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [alice, alice]\n", 3, 16, "the user 'alice' is named twice"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [Alice]\n", 3, 9, "'Alice' is not a Unix user name"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [{name: a, uid: 999}]\n", 3, 24, "999 is too small"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [{name: a, uid: 65534}]\n", 3, 24, "65534 means 'nobody'"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [{name: a, uid: 1000}, {name: b, uid: 1000}]\n", 3, 46,
       "uid 1000 is another user's already"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [{uid: 1000}]\n", 3, 9, "users[1]: 'name' is missing"},
      {"cluster: a\npools: {p: {max: 2}}\nusers: [{name: a, shell: b}]\n", 3, 19, "unknown key 'shell'"},
  };
  for (const Case& c : cases) expect_only_error(c);
}

TEST(Errors, InPools) {
  const Case cases[] = {
      {"cluster: a\npools: {}\n", 2, 8, "pools: is empty; expected at least one pool"},
      {"cluster: a\npools: [cpu]\n", 2, 8, "pools: is a list; expected a map from names to {max: 4}"},
      {"cluster: a\npools:\n  cpu:\n", 3, 3, "pools.cpu: has no keys; expected at least 'max'"},
      {"cluster: a\npools: {cpu: 4}\n", 2, 14, "pools.cpu: is '4'; expected a map with the keys max"},
      {"cluster: a\npools: {cpu: {}}\n", 2, 9, "pools.cpu: 'max' is missing"},
      {"cluster: a\npools: {cpu-1: {max: 2}}\n", 2, 9, "'cpu-1' ends in '-' and a number"},
      {"cluster: a\npools: {CPU: {max: 2}}\n", 2, 9, "'CPU' is not a usable name"},
      {"cluster: a\npools: {login: {max: 2}}\n", 2, 9, "'login' is the name of a machine's role"},
      {"cluster: a\npools: {cpu: {max: 0}}\n", 2, 20,
       "pools.cpu.max: 0 is too small; expected a whole number from 1 to 100000"},
      {"cluster: a\npools: {cpu: {max: -3}}\n", 2, 20, "'-3' is not a whole number"},
      {"cluster: a\npools: {cpu: {max: 2.5}}\n", 2, 20, "'2.5' is not a whole number"},
      {"cluster: a\npools: {cpu: {max: lots}}\n", 2, 20, "'lots' is not a whole number"},
      {"cluster: a\npools: {cpu: {max: \"4\"}}\n", 2, 20, "'4' is text because of its quotes"},
      {"cluster: a\npools: {cpu: {max: 99999999999999999999999}}\n", 2, 20, "is too large; expected a whole number"},
      {"cluster: a\npools: {cpu: {max: [4]}}\n", 2, 20, "a list is not a whole number"},
      {"cluster: a\npools: {cpu: {max: }}\n", 2, 15, "pools.cpu.max: has no value"},
      {"cluster: a\npools: {cpu: {max: 2, max: 3}}\n", 2, 23, "the key 'max' is written twice, first in line 2"},
      {"cluster: a\npools: {cpu: {max: 1001}}\n", 2, 20,
       "pools.cpu.max: with it the pools may grow to 1001 nodes; a cluster on one box has at most 1000"},
      {"cluster: a\npools:\n  p: {max: 600}\n  q: {max: 600}\n  r: {max: 600}\n", 4, 12,
       "pools.q.max: with it the pools may grow to 1200"},
      {"cluster: a\npools: {cpu: {max: 2, warm: 3}}\n", 2, 29, "3 is more than the pool's max of 2"},
      {"cluster: a\npools: {cpu: {max: 2, cpus: 0}}\n", 2, 29, "pools.cpu.cpus: 0 is too small"},
      {"cluster: a\npools: {cpu: {max: 2, memory: 4096}}\n", 2, 31, "'4096' is not a size: the unit is missing"},
      {"cluster: a\npools: {cpu: {max: 2, memory: 1MiB}}\n", 2, 31,
       "'1MiB' is too small; expected from 64MiB to 64TiB"},
      {"cluster: a\npools: {cpu: {max: 2, memory: 4GB}}\n", 2, 31, "can mean 1000s or 1024s"},
      {"cluster: a\npools: {cpu: {max: 2, memmory: 4GiB}}\n", 2, 23,
       "pools.cpu: unknown key 'memmory'; did you mean 'memory'?"},
      {"cluster: a\npools: {cpu: {max: 2, cores: 4}}\n", 2, 23, "unknown key 'cores'; did you mean 'cpus'?"},
      {"cluster: a\npools: {cpu: {max: 2, scratch: x}}\n", 2, 23, "'scratch' isn't available yet"},
      {"cluster: a\npools: {cpu: {max: 2, provider: aws}}\n", 2, 33, "pools.cpu.provider: 'aws' isn't available yet"},
      {"cluster: a\npools: {cpu: {max: 2, gres: \"gpu:0\"}}\n", 2, 29,
       "'gpu:0' is not a GRES: a count of 0 is nothing"},
      {"cluster: a\npools: {cpu: {max: 2, gres: [\"gpu:1\", \"gpu:2\"]}}\n", 2, 39, "the GRES 'gpu' is named twice"},
      {"cluster: a\npools: {cpu: {max: 2, features: [a, b, a]}}\n", 2, 40, "the feature 'a' is named twice"},
      {"cluster: a\npools: {cpu: {max: 2, features: \"a,b\"}}\n", 2, 33, "'a,b' is not a feature"},
      {"cluster: a\npools: {cpu: {max: 2, features: {a: 1}}}\n", 2, 33,
       "is a map; expected a feature like avx512, or a list of them"},
      {"cluster: a\npools: {cpu: {max: 2, boot_timeout: 2 min}}\n", 2, 37, "'2 min' is not a duration"},
      {"cluster: a\npools: {cpu: {max: 2, weight: -1}}\n", 2, 31, "'-1' is not a whole number"},
  };
  for (const Case& c : cases) expect_only_error(c);
}

TEST(Errors, InPartitions) {
  const Case cases[] = {
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: [cpuu, cpu]}}\n", 3, 26,
       "partitions.b.pools: there is no pool 'cpuu'; did you mean 'cpu'?"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: [cpu, zebra]}}\n", 3, 31,
       "there is no pool 'zebra'; there are cpu"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: [cpu, cpu]}}\n", 3, 31,
       "the pool 'cpu' is named twice"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu}, c: {}}\n", 3, 31,
       "partitions.c: has no nodes"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu}, c: {pools: []}}\n", 3, 31,
       "partitions.c: has no nodes"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions:\n  b: {pools: cpu}\n  c:\n", 5, 3, "partitions.c: has no keys"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {Default: {pools: cpu}}\n", 3, 14,
       "'Default' can't be a partition's name"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b c: {pools: cpu}}\n", 3, 14, "'b c' is not a usable name"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions:\n  b: {pools: cpu, default: true}\n  c: {pools: cpu, default: "
       "true}\n",
       5, 28, "'b' is the default partition already, in line 4"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, default: yes}}\n", 3, 39,
       "'yes' is neither true nor false"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, max_time: soon}}\n", 3, 40,
       "'soon' is not a time limit"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, max_time: 0}}\n", 3, 40,
       "'0' lets no job run"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, max_time: 4000-0}}\n", 3, 40,
       "longer than ten years"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, max_time: 1h, default_time: 2h}}\n", 3, 58,
       "'02:00:00' is longer than the partition's max_time of 01:00:00"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, max_time: 1h, default_time: unlimited}}\n", 3,
       58, "'UNLIMITED' is longer"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, MaxTime: 1h}}\n", 3, 30,
       "unknown key 'MaxTime'; did you mean 'max_time'?"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, market: spot}}\n", 3, 30,
       "'market' belongs to pools; write it under each pool of the partition"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, priority_tier: 70000}}\n", 3, 45,
       "70000 is too large"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, slurm: {MaxTime: 5}}}\n", 3, 38,
       "MaxTime is written from 'max_time'; use that"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {b: {pools: cpu, slurm: {AllowGroups: a b}}}\n", 3, 51,
       "has blanks, quotes"},
      {"cluster: a\npools: {cpu: {max: 2}}\npartitions: {}\n", 3, 13, "partitions: is empty"},
  };
  for (const Case& c : cases) expect_only_error(c);
}

TEST(Errors, InTheRest) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{slurm: CPUs=1, partition: e}]\n", 3, 12,
       "existing[1]: 'nodes' is missing"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: CPUs=1}]\n", 3, 12,
       "existing[1]: 'partition' is missing"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: \"r[1-\", slurm: CPUs=1, partition: e}]\n", 3, 20,
       "existing[1].nodes: hostlist:"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: p-0002, slurm: CPUs=1, partition: e}]\n", 3, 20,
       "'p-0002' is there already, in pool p"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: \"r1,r1\", slurm: CPUs=1, partition: e}]\n", 3, 20,
       "'r1' is there already, in existing[1]"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: \"r 1\", slurm: CPUs=1, partition: e}]\n", 3, 20,
       "space or control character"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: \"r[1-200000]\", slurm: CPUs=1, partition: e}]\n", 3, 20,
       "existing[1].nodes: hostlist:"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: \"r[1-3]\", address: \"a[1-2]\", slurm: CPUs=1, "
       "partition: e}]\n",
       3, 39, "has 2 addresses for 3 nodes"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: CPUs, partition: e}]\n", 3, 31,
       "'CPUs' has no '='"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: NodeAddr=x, partition: e}]\n", 3, 31,
       "NodeAddr is written from 'address'"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: CPUs=1 CPUs=2, partition: e}]\n", 3, 31,
       "CPUs is there twice"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: State=CLOUD, partition: e}]\n", 3, 31,
       "State=CLOUD is for nodes that come and go"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: {nodes: r1}\n", 3, 11, "existing: is a map; expected a list of"},
      {"cluster: a\npools: {cpu: {max: 2}}\nreclaim_exclude: [cpu-0003]\n", 3, 19,
       "there is no node 'cpu-0003'; pool cpu has cpu-0001 to cpu-0002"},
      {"cluster: a\npools: {cpu: {max: 2}}\nreclaim_exclude: [cpu-1]\n", 3, 19,
       "there is no node 'cpu-1'; pool cpu has cpu-0001 to cpu-0002"},
      {"cluster: a\npools: {cpu: {max: 2}}\nreclaim_exclude: \"cpu-[0001-0009]\"\n", 3, 18,
       "'cpu-0003' (nor 6 more of this list)"},
      {"cluster: a\npools: {cpu: {max: 2}}\nreclaim_exclude: [cpp-0001]\n", 3, 19,
       "there is no node 'cpp-0001'; did you mean 'cpu-0001'?"},
      {"cluster: a\npools: {cpu: {max: 2}}\nreclaim_exclude: [\"cpu-[\"]\n", 3, 19, "reclaim_exclude: hostlist:"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {suspendprogram: /bin/true}\n", 3, 9,
       "SuspendProgram is how slurmctld tells Slipway"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {NodeName: x}\n", 3, 9, "NodeName begins a node's line"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {\"a b\": x}\n", 3, 9, "'a b' can't be a key of slurm.conf"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {MaxJobCount: \"5\\nSuspendProgram=/x\"}\n", 3, 22,
       "line breaks or control characters"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {MaxJobCount: 5 SuspendProgram=/x}\n", 3, 22, "has blanks, quotes"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {MaxJobCount: 5, maxjobcount: 6}\n", 3, 25,
       "is there already in another spelling"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {SlurmctldParameters: \"idle_on_node_suspend,cloud_dns\"}\n", 3, 30,
       "'cloud_dns' in SlurmctldParameters"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {MaxJobCount: }\n", 3, 9, "slurm.MaxJobCount: has no value"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: {MaxJobCount: {a: 1}}\n", 3, 22, "slurm.MaxJobCount: is a map"},
      {"cluster: a\npools: {cpu: {max: 2}}\nslurm: MaxJobCount=5\n", 3, 8, "slurm: is 'MaxJobCount=5'; expected a map"},
  };
  for (const Case& c : cases) expect_only_error(c);
}

TEST(Errors, ColumnsCountCharacters) {
  expect_only_error({"cluster: a\npools: {p: {max: 2, features: [\"ü\", x]}}\n", 2, 32, "is not a feature"});
  expect_only_error(
      {"cluster: a\npools: {p: {max: 2}}\nslurm: {MailDomain: ü€, MaxJobCount: a b}\n", 3, 38, "has blanks"});
}

TEST(Errors, ComeAllAtOnceInTheFilesOrder) {
  Loaded loaded = parse_text(R"(cluster: Demo
provider: aws
pools:
  cpu: {max: many, memmory: 4GiB}
  cpu: {max: 3}
  big-2: {max: 3, warm: 9}
partitions:
  batch: {pools: [cpuu], default: maybe}
  default: {pools: [big-2]}
idle_reclaim: 10
slurm: {ResumeProgram: /x}
)");
  std::vector<std::string> places;
  for (const Problem& p : loaded.problems) {
    if (p.severity == Severity::error) places.push_back(std::to_string(p.line) + ":" + std::to_string(p.column));
  }
  EXPECT_EQ(places, (std::vector<std::string>{"1:10", "2:11", "4:14", "4:20", "5:3", "6:3", "6:25", "8:19", "8:35",
                                              "9:3", "10:15", "11:9"}))
      << all_problems(loaded);
}

TEST(Errors, OneMistakeIsNotReportedAgainWhereItIsUsed) {
  expect_only_error(
      {"cluster: a\npools: {Cpu: {max: 2}}\npartitions: {b: {pools: Cpu}}\n", 2, 9, "'Cpu' is not a usable name"});
  expect_only_error(
      {"cluster: a\npools: {cpu: {max: x}}\npartitions: {b: {pools: cpu}}\n", 2, 20, "not a whole number"});
}

TEST(Format, IsWhatEditorsUnderstand) {
  EXPECT_EQ(format({Severity::error, 12, 5, "it is wrong"}, "demo.yaml"), "demo.yaml:12:5: error: it is wrong");
  EXPECT_EQ(format({Severity::warning, 0, 0, "it is unwise"}, "demo.yaml"), "demo.yaml: warning: it is unwise");
}

}  // namespace
}  // namespace slipway::config
