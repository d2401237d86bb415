// What is legal but unwise: said once, with its place, and the file stays usable.
#include "helpers.h"

namespace slipway::config {
namespace {

struct Case {
  const char* yaml;
  int line;
  int column;
  const char* message;
};

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
  for (const Case& c : cases) {
    Loaded loaded = parse_text(c.yaml);
    EXPECT_TRUE(loaded.ok()) << c.yaml << all_problems(loaded);
    ASSERT_EQ(loaded.problems.size(), 1u) << c.yaml << all_problems(loaded);
    const Problem& problem = loaded.problems[0];
    EXPECT_EQ(problem.severity, Severity::warning);
    EXPECT_EQ(problem.line, c.line) << c.yaml << all_problems(loaded);
    EXPECT_EQ(problem.column, c.column) << c.yaml << all_problems(loaded);
    EXPECT_NE(problem.message.find(c.message), std::string::npos) << all_problems(loaded);
  }
}

TEST(Warnings, NeverIsATimeThatCanBeAdded) {
  Loaded loaded = parse_text("cluster: a\npools: {p: {max: 2}}\nidle_reclaim: never\n");
  EXPECT_EQ(loaded.cluster.idle_reclaim, model::idle_reclaim_never);
  TimePoint now{std::chrono::hours(24 * 365 * 60)};
  EXPECT_GT(now + loaded.cluster.idle_reclaim, now);
}

}  // namespace
}  // namespace slipway::config
