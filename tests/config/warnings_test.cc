// What is legal but unwise: said once, with its place, and the file stays usable.
#include "helpers.h"

namespace slipway::config {
namespace {

TEST(Warnings, SayWhereAndWhy) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2}}\nidle_reclaim: never\n", 3, 15, "idle_reclaim: 'never' keeps every machine"},
      {"cluster: a\npools: {p: {max: 2, idle_reclaim: never}}\n", 2, 35, "pools.p.idle_reclaim: 'never'"},
      {"cluster: a\npools: {p: {max: 2}}\npartitions: {b: {pools: p, idle_reclaim: never}}\n", 3, 42,
       "partitions.b.idle_reclaim: 'never'"},
      {"cluster: a\npools: {p: {max: 2, warm: 2}}\n", 2, 27, "pools.p.warm: all 2 nodes are kept ready"},
      {"cluster: a\npools:\n  p: {max: 2}\n  q: {max: 2}\npartitions: {b: {pools: p}}\n", 4, 3,
       "pools.q: no partition uses this pool"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {data: {mount: /data}}\n", 3, 10, "nothing is mounted at /home"},
      {"cluster: a\npools: {p: {max: 2}}\nstorage: {}\n", 3, 10, "nothing is mounted at /home"},
      {"cluster: a\npools: {p: {max: 2}}\nslurm: {MaxJobCounts: 5}\n", 3, 9, "did you mean 'MaxJobCount'?"},
      {"cluster: a\npools: {p: {max: 2}}\npartitions: {b: {pools: p, slurm: {MaxNode: 5}}}\n", 3, 36,
       "did you mean 'MaxNodes'?"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, partition: e}]\n", 3, 12, "one CPU and 1 MB"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: CPU=2, partition: e}]\n", 3, 31,
       "did you mean 'CPUs'?"},
      {"cluster: a\npools: {p: {max: 2}}\nexisting: [{nodes: r1, slurm: CPUs=2, partition: bacth}]\n", 3, 50,
       "did you mean 'batch'?"},
  };
  for (const Case& c : cases) expect_only_problem(c, Severity::warning);
}

// Each costs jobs, time or money, and goes away once the file says that it is meant.
TEST(Warnings, AboutBuyingMachines) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2, zones: [a, b]}}\n", 2, 28, "the nodes of one job may come to stand in several"},
      {"cluster: a\npools: {p: {max: 2, zones: [a, b], placement: per_pool}}\n", 2, 47,
       "with per_pool the other zones can't help out"},
      {"cluster: a\npools: {p: {max: 2, market: spot}}\n", 2, 29,
       "the default partition, batch, has nothing but spot machines"},
      {"cluster: a\npools: {p: {max: 2}, q: {max: 2, market: spot}}\npartitions: {b: {pools: q}, c: {pools: p}}\n", 2,
       42, "the default partition, b, has nothing but spot machines"},
      {"cluster: a\npools: {p: {max: 2, market: spot_then_on_demand}}\nslurm: {JobRequeue: 0}\n", 2, 29,
       "with JobRequeue=0 a job whose spot machine is taken is lost"},
      {"cluster: a\npools: {p: {max: 2, billing_period: 1h, idle_reclaim: 61m}}\n", 2, 37,
       "an idle machine stays for idle_reclaim, 1h1m, so it is paid for again before it goes"},
      {"cluster: a\npools: {p: {max: 2, billing_period: 9m}}\n", 2, 37, "make idle_reclaim at most 9m"},
      {"cluster: a\npools: {p: {max: 19, spares: 5%}}\n", 2, 30, "5% of at most 19 nodes is less than one machine"},
      {"cluster: a\npools: {p: {max: 2, eviction: {lead: 1m}}}\n", 2, 38, "without 'signal' jobs are told nothing"},
      {"cluster: a\npools: {p: {max: 2, eviction: {tolerance: 1}}}\n", 2, 43, "this pool doesn't buy both"},
      {"cluster: a\npools: {p: {max: 2, warm: {hours: [{from: 08:00, warm: 1}, {days: mon, from: 09:00, warm: 0}]}}}\n",
       2, 60, "pools.p.warm.hours[2]: never holds"},
      {"cluster: a\npools: {p: {max: 2, warm: {usual: 2, hours: [{days: sun, warm: 0}]}}}\n", 2, 35,
       "pools.p.warm.usual: all 2 nodes are kept ready"},
  };
  for (const Case& c : cases) expect_only_problem(c, Severity::warning);
  const char* meant[] = {
      "zones: [a, b], placement: none",
      "zones: [a, b], placement: per_job",
      "zones: [a], placement: per_pool",
      "market: spot_then_on_demand, eviction: {signal: USR1, lead: 1m, tolerance: 1}",
      "eviction: {signal: USR1, lead: 1m}",
      "eviction: {tolerance: 0}",
      "billing_period: 10m",
      "spares: 50%",
      "warm: {hours: [{days: mon, from: 09:00, warm: 0}, {from: 08:00, warm: 1}]}",
  };
  for (const char* keys : meant) parse_clean("cluster: a\npools: {p: {max: 2, " + std::string(keys) + "}}\n");
  parse_clean("cluster: a\npools: {p: {max: 1, zones: [a, b]}}\n");
  parse_clean("cluster: a\npools: {p: {max: 2, zones: [a, b]}}\npartitions: {b: {pools: p, slurm: {MaxNodes: 1}}}\n");
  parse_clean("cluster: a\npools: {p: {max: 2}, s: {max: 2, market: spot}}\n");
  parse_clean(
      "cluster: a\npools: {p: {max: 2}, s: {max: 2, market: spot}}\npartitions: {b: {pools: p}, c: {pools: s}}\n");
}

TEST(Warnings, AreNotGuessedFromWhatWasRefused) {
  Loaded loaded =
      parse_text("cluster: a\npools: {p: {max: 2, market: spt, zones: [a, b], eviction: {tolerance: 1}}}\n");
  EXPECT_EQ(loaded.problems.size(), 1u) << all_problems(loaded);
}

TEST(Warnings, NeverIsATimeThatCanBeAdded) {
  Loaded loaded = parse_text("cluster: a\npools: {p: {max: 2}}\nidle_reclaim: never\n");
  EXPECT_EQ(loaded.cluster.idle_reclaim, model::idle_reclaim_never);
  TimePoint now{std::chrono::hours(24 * 365 * 60)};
  EXPECT_GT(now + loaded.cluster.idle_reclaim, now);
}

}  // namespace
}  // namespace slipway::config
