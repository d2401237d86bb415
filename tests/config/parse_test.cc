// Good files give exactly this cluster.
#include <filesystem>
#include <fstream>

#include "helpers.h"

namespace slipway::config {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

std::vector<std::string> strings(const std::vector<PoolName>& names) {
  std::vector<std::string> out;
  for (const PoolName& name : names) out.push_back(name.str());
  return out;
}

TEST(Parse, MinimalFileGetsEveryDefault) {
  model::Cluster c = parse_clean("cluster: small\npools:\n  cpu: {max: 4}\n");
  EXPECT_EQ(c.name, "small");
  EXPECT_EQ(c.provider, model::ProviderKind::local);
  EXPECT_EQ(c.subnet, "");
  EXPECT_EQ(c.controllers.count, 1u);
  EXPECT_EQ(c.controllers.image, "");
  EXPECT_EQ(c.logins.count, 1u);
  ASSERT_EQ(c.storage.size(), 1u);
  EXPECT_EQ(c.storage[0].name, "home");
  EXPECT_EQ(c.storage[0].mount, "/home");
  ASSERT_EQ(c.users.size(), 1u);
  EXPECT_EQ(c.users[0].name, "user");
  EXPECT_EQ(c.users[0].uid, 20001u);
  EXPECT_EQ(c.idle_reclaim, minutes(10));
  EXPECT_TRUE(c.reclaim_exclude.empty());
  EXPECT_TRUE(c.existing.empty());
  EXPECT_TRUE(c.slurm.empty());
  ASSERT_EQ(c.pools.size(), 1u);
  const model::Pool& pool = c.pools[0];
  EXPECT_EQ(pool.name.str(), "cpu");
  EXPECT_EQ(pool.max, 4u);
  EXPECT_EQ(pool.shape.cpus, 1u);
  EXPECT_EQ(pool.shape.memory_mib, 1024u);
  EXPECT_TRUE(pool.shape.gres.empty());
  EXPECT_EQ(pool.markets, std::vector{model::Market::on_demand});
  EXPECT_TRUE(pool.machines.empty());
  EXPECT_TRUE(pool.zones.empty());
  EXPECT_EQ(pool.placement, model::Placement::none);
  EXPECT_EQ(pool.spares, 0);
  EXPECT_EQ(pool.billing_period, Duration(0));
  EXPECT_EQ(pool.eviction, model::Eviction());
  EXPECT_EQ(pool.warm, model::Warm());
  EXPECT_FALSE(c.launch_window);
  EXPECT_FALSE(c.api);
  EXPECT_FALSE(pool.idle_reclaim);
  EXPECT_EQ(pool.boot_timeout, seconds(60));
  EXPECT_TRUE(pool.features.empty());
  EXPECT_FALSE(pool.weight);
  EXPECT_EQ(pool.image, "");
  EXPECT_EQ(pool.prep, "");
  ASSERT_EQ(c.partitions.size(), 1u);
  EXPECT_EQ(c.partitions[0].name.str(), "batch");
  EXPECT_TRUE(c.partitions[0].is_default);
  EXPECT_EQ(strings(c.partitions[0].pools), std::vector<std::string>{"cpu"});
  EXPECT_FALSE(c.partitions[0].max_time);
}

TEST(Parse, EveryKeyArrives) {
  Loaded loaded = parse(R"(# everything at once
cluster: full-1
provider: local
local: {subnet: 198.18.32.0/20}
controllers: {count: 1, image: images/debian13}
logins:
  count: 2
  prep: |
    #!/bin/sh
    echo login
storage:
  home: {type: local, mount: /home}
  data: {mount: /srv/data}
users: [alice, {name: bob, uid: 20001}, {name: carol}]
pools:
  gpu:
    max: 16
    warm: 2
    cpus: 8
    memory: 1.5GiB
    gres: ["gpu:tesla:2", nvme]
    market: on_demand
    idle_reclaim: 1h30m
    boot_timeout: 2m
    features: [avx512, "a.b"]
    weight: 10
    image: /srv/images/x/../y
    prep: "#!/bin/sh\nexit 0"
    provider: local
  cpu: {max: 100, features: general}
partitions:
  batch:
    pools: [cpu, gpu]
    max_time: 2-00:00:00
    default_time: 1h
    priority_tier: 3
    idle_reclaim: 5m
    slurm: {oversubscribe: EXCLUSIVE, PreemptMode: "OFF", MaxNodes: 4}
  night: {pools: gpu, default: true, max_time: unlimited}
existing:
  - {nodes: "rack[01-20]", slurm: "CPUs=64  realmemory=250000", partition: onprem, address: "10.0.0.[1-20]"}
  - {nodes: "old1,old2", slurm: "CPUs=4", partition: batch}
idle_reclaim: 20m
reclaim_exclude: ["cpu-[0001-0002]", gpu-0016, cpu-0002]
slurm: {schedulerparameters: "bf_interval=30,bf_window=60", MaxJobCount: 20000, PrivateData: [jobs, users]}
)",
                        "/etc/x", false);
  EXPECT_EQ(all_problems(loaded), "");
  const model::Cluster& c = loaded.cluster;
  EXPECT_EQ(c.name, "full-1");
  EXPECT_EQ(c.subnet, "198.18.32.0/20");
  EXPECT_EQ(c.controllers.image, "/etc/x/images/debian13");
  EXPECT_EQ(c.logins.count, 2u);
  EXPECT_EQ(c.logins.prep, "#!/bin/sh\necho login\n");
  ASSERT_EQ(c.storage.size(), 2u);
  EXPECT_EQ(c.storage[1].name, "data");
  EXPECT_EQ(c.storage[1].mount, "/srv/data");
  ASSERT_EQ(c.users.size(), 3u);
  EXPECT_EQ(c.users[0].uid, 20002u) << "20001 is taken by a later user";
  EXPECT_EQ(c.users[1].uid, 20001u);
  EXPECT_EQ(c.users[2].uid, 20003u);
  ASSERT_EQ(c.pools.size(), 2u);
  const model::Pool& gpu = c.pools[0];
  EXPECT_EQ(gpu.name.str(), "gpu");
  EXPECT_EQ(gpu.max, 16u);
  EXPECT_EQ(gpu.warm.usual.count, 2u);
  EXPECT_EQ(gpu.shape.cpus, 8u);
  EXPECT_EQ(gpu.shape.memory_mib, 1536u);
  EXPECT_EQ(gpu.shape.gres, (std::vector<std::string>{"gpu:tesla:2", "nvme:1"}));
  EXPECT_EQ(gpu.idle_reclaim, minutes(90));
  EXPECT_EQ(gpu.boot_timeout, minutes(2));
  EXPECT_EQ(gpu.features, (std::vector<std::string>{"avx512", "a.b"}));
  EXPECT_EQ(gpu.weight, 10u);
  EXPECT_EQ(gpu.image, "/srv/images/y");
  EXPECT_EQ(gpu.prep, "#!/bin/sh\nexit 0\n");
  EXPECT_EQ(c.pools[1].features, std::vector<std::string>{"general"});
  ASSERT_EQ(c.partitions.size(), 3u);
  const model::Partition& batch = c.partitions[0];
  EXPECT_EQ(strings(batch.pools), (std::vector<std::string>{"cpu", "gpu"}));
  EXPECT_FALSE(batch.is_default);
  EXPECT_EQ(batch.max_time, "2-00:00:00");
  EXPECT_EQ(batch.default_time, "01:00:00");
  EXPECT_EQ(batch.priority_tier, 3u);
  EXPECT_EQ(batch.idle_reclaim, minutes(5));
  EXPECT_EQ(batch.slurm, (std::map<std::string, std::string>{
                             {"OverSubscribe", "EXCLUSIVE"}, {"PreemptMode", "OFF"}, {"MaxNodes", "4"}}));
  EXPECT_EQ(batch.existing, std::vector<std::string>{"old1,old2"});
  EXPECT_TRUE(c.partitions[1].is_default);
  EXPECT_EQ(c.partitions[1].max_time, "UNLIMITED");
  EXPECT_EQ(c.partitions[2].name.str(), "onprem");
  EXPECT_EQ(c.partitions[2].existing, std::vector<std::string>{"rack[01-20]"});
  EXPECT_FALSE(c.partitions[2].is_default);
  ASSERT_EQ(c.existing.size(), 2u);
  EXPECT_EQ(c.existing[0].nodes, "rack[01-20]");
  EXPECT_EQ(c.existing[0].slurm, "CPUs=64 RealMemory=250000");
  EXPECT_EQ(c.existing[0].partition.str(), "onprem");
  EXPECT_EQ(c.existing[0].address, "10.0.0.[1-20]");
  EXPECT_FALSE(c.existing[1].address);
  EXPECT_EQ(c.idle_reclaim, minutes(20));
  EXPECT_EQ(c.reclaim_exclude, (std::vector<std::string>{"cpu-0001", "cpu-0002", "gpu-0016"}));
  EXPECT_EQ(c.slurm, (std::map<std::string, std::string>{{"SchedulerParameters", "bf_interval=30,bf_window=60"},
                                                         {"MaxJobCount", "20000"},
                                                         {"PrivateData", "jobs,users"}}));
}

TEST(Parse, PoolsAndPartitionsKeepTheFilesOrder) {
  model::Cluster c = parse_clean("cluster: a\npools: {z: {max: 1}, a: {max: 1}, m: {max: 1}}\n");
  EXPECT_EQ(strings(c.partitions[0].pools), (std::vector<std::string>{"z", "a", "m"}));
}

TEST(Parse, FirstPartitionIsDefaultWhenNoneIsMarked) {
  model::Cluster c = parse_clean(
      "cluster: a\npools: {p: {max: 1}}\npartitions:\n  one: {pools: p}\n  two: {pools: p, default: false}\n");
  EXPECT_TRUE(c.partitions[0].is_default);
  EXPECT_FALSE(c.partitions[1].is_default);
}

TEST(Parse, AliasesStandForWholeValues) {
  model::Cluster c =
      parse_clean("cluster: a\npools:\n  p: {max: 1, features: &f [x, y]}\n  q: {max: 1, features: *f}\n");
  EXPECT_EQ(c.pools[1].features, (std::vector<std::string>{"x", "y"}));
}

TEST(Parse, ByteOrderMarkAndWindowsLineEndsAreFine) {
  model::Cluster c = parse_clean(
      "\xef\xbb\xbf"
      "cluster: a\r\npools: {p: {max: 3}}\r\n");
  EXPECT_EQ(c.name, "a");
  EXPECT_EQ(c.pools[0].max, 3u);
}

TEST(Parse, AThousandNodesAreTheMost) {
  parse_clean("cluster: a\npools: {p: {max: 990}, q: {max: 10}}\n");
  EXPECT_FALSE(parse_text("cluster: a\npools: {p: {max: 991}, q: {max: 10}}\n").ok());
}

TEST(Parse, ToYamlReadsBackTheSame) {
  Loaded loaded = parse(R"(cluster: a
local: {subnet: 198.18.32.0/20}
users: [alice, {name: bob, uid: 30000}]
storage: {home: {mount: /home}, x: {mount: /x}}
logins: {count: 2, image: root}
pools:
  p:
    max: 10
    warm: 1
    memory: 700MiB
    gres: "gpu:2"
    features: [x]
    idle_reclaim: 90s
    weight: 0
    machines: [c7i.8xlarge, "1"]
    zones: [a, 2]
    market: spot_then_on_demand
    placement: per_job
    spares: 12.5%
    billing_period: 1h
    eviction: {signal: USR2, lead: 90s, tolerance: 3}
    prep: "#!/bin/sh\n# quotes \" and \\ and \ttabs and ünicode\n"
  q:
    max: 3
    idle_reclaim: never
    market: spot
    placement: per_pool
    eviction: {tolerance: 0}
    warm:
      usual: [1, 33.3%]
      hours:
        - {days: [sat-sun], warm: 0}
        - {days: fri-mon, from: 22:00, to: 6:30, warm: 50%}
        - {from: 12:00, warm: 2}
partitions:
  b: {pools: [p, q], max_time: 1-0, default_time: 30, priority_tier: 0, idle_reclaim: 2m, slurm: {MaxNodes: 4}}
existing: [{nodes: "r[1-3]", slurm: "CPUs=1", partition: e, address: "10.0.0.[1-3]"}]
reclaim_exclude: ["p-[0001-0003]", q-0002]
launch_window: {quiet: 1500ms, longest: 5s}
api: {per_second: 0.125, burst: 7}
slurm: {MaxJobCount: 7, DebugFlags: Power}
)",
                        "/srv", false);
  ASSERT_TRUE(loaded.ok()) << all_problems(loaded);
  std::string written = to_yaml(loaded.cluster);
  Loaded again = parse(written, "/elsewhere", false);
  ASSERT_TRUE(again.ok()) << all_problems(again) << written;
  EXPECT_EQ(to_yaml(again.cluster), written);
  EXPECT_EQ(again.cluster.pools[0].prep, loaded.cluster.pools[0].prep);
  EXPECT_EQ(again.cluster.logins.image, "/srv/root");
  EXPECT_EQ(again.cluster.pools[1].idle_reclaim, model::idle_reclaim_never);
  EXPECT_EQ(again.cluster.reclaim_exclude, loaded.cluster.reclaim_exclude);
  EXPECT_EQ(again.cluster.partitions[1].name.str(), "e");
  for (size_t i = 0; i < 2; ++i) {
    const model::Pool& before = loaded.cluster.pools[i];
    const model::Pool& after = again.cluster.pools[i];
    EXPECT_EQ(after.warm, before.warm);
    EXPECT_EQ(after.markets, before.markets);
    EXPECT_EQ(after.machines, before.machines);
    EXPECT_EQ(after.zones, before.zones);
    EXPECT_EQ(after.placement, before.placement);
    EXPECT_EQ(after.spares, before.spares);
    EXPECT_EQ(after.billing_period, before.billing_period);
    EXPECT_EQ(after.eviction, before.eviction);
  }
  EXPECT_EQ(again.cluster.launch_window, loaded.cluster.launch_window);
  EXPECT_EQ(again.cluster.api, loaded.cluster.api);
  // None of these is at its default, which would come back even if it weren't written.
  const model::Pool& p = again.cluster.pools[0];
  EXPECT_EQ(p.machines, (std::vector<std::string>{"c7i.8xlarge", "1"}));
  EXPECT_EQ(p.zones, (std::vector<std::string>{"a", "2"}));
  EXPECT_EQ(p.placement, model::Placement::per_job);
  EXPECT_EQ(p.spares, 0.125);
  EXPECT_EQ(p.billing_period, std::chrono::hours(1));
  EXPECT_EQ(p.eviction, (model::Eviction{"USR2", seconds(90), 3}));
  EXPECT_EQ(again.cluster.pools[1].warm.hours.size(), 3u);
  EXPECT_EQ(again.cluster.pools[1].warm.usual, (model::WarmLevel{1, 0.333}));
}

TEST(Parse, ToYamlAddsNoWarnings) {
  for (const char* pool :
       {"max: 2", "max: 30, zones: [a, b], placement: per_job, spares: 10%", "max: 2, market: spot_then_on_demand",
        "max: 2, eviction: {signal: TERM}", "max: 2, warm: {usual: 0, hours: [{days: [mon, wed], warm: 100%}]}"}) {
    model::Cluster c = parse_clean("cluster: a\npools: {p: {" + std::string(pool) + "}}\n");
    parse_clean(to_yaml(c));
  }
}

}  // namespace
}  // namespace slipway::config
