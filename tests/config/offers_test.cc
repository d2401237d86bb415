// What a pool asks of its provider, and how often the provider may be asked.
#include "helpers.h"

namespace slipway::config {
namespace {

using model::Market;
using std::chrono::seconds;

model::Pool pool_with(const std::string& keys) {
  model::Cluster cluster = parse_clean("cluster: a\npools: {p: {max: 20, " + keys + "}}\n");
  return cluster.pools.at(0);
}

TEST(Offers, AreNamesInOrderOfPreference) {
  model::Pool pool = pool_with("machines: [c7i.8xlarge, Standard_HB120rs_v3], zones: [us-east-1b, 1], placement: none");
  EXPECT_EQ(pool.machines, (std::vector<std::string>{"c7i.8xlarge", "Standard_HB120rs_v3"}));
  EXPECT_EQ(pool.zones, (std::vector<std::string>{"us-east-1b", "1"}));
  pool = pool_with("machines: m7g.large, zones: a");
  EXPECT_EQ(pool.machines, std::vector<std::string>{"m7g.large"});
  EXPECT_EQ(pool.zones, std::vector<std::string>{"a"});
}

TEST(Offers, MarketsAreInOrderOfPreference) {
  EXPECT_EQ(pool_with("market: on_demand").markets, std::vector{Market::on_demand});
  EXPECT_EQ(pool_with("market: spot_then_on_demand").markets, (std::vector{Market::spot, Market::on_demand}));
  Loaded spot = parse_text("cluster: a\npools: {p: {max: 2, market: spot}}\n");
  EXPECT_TRUE(spot.ok());
  EXPECT_EQ(spot.cluster.pools[0].markets, std::vector{Market::spot});
}

TEST(Offers, TheRestOfThePool) {
  EXPECT_EQ(pool_with("placement: none").placement, model::Placement::none);
  EXPECT_EQ(pool_with("placement: per_pool").placement, model::Placement::per_pool);
  EXPECT_EQ(pool_with("placement: per_job").placement, model::Placement::per_job);
  EXPECT_EQ(pool_with("spares: 7.25%").spares, 0.0725);
  EXPECT_EQ(pool_with("spares: 0%").spares, 0);
  EXPECT_EQ(pool_with("billing_period: 1h").billing_period, std::chrono::hours(1));
  EXPECT_EQ(pool_with("eviction: {signal: CONT}").eviction, (model::Eviction{"CONT", seconds(120), 2}));
  EXPECT_EQ(pool_with("market: spot_then_on_demand, eviction: {signal: USR1, lead: 30s, tolerance: 1}").eviction,
            (model::Eviction{"USR1", seconds(30), 1}));
}

TEST(Offers, OfTheCluster) {
  model::Cluster c = parse_clean(
      "cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 1s, longest: 5s}\napi: {per_second: 0.5, burst: 20}\n");
  EXPECT_EQ(c.launch_window, (model::LaunchWindow{seconds(1), seconds(5)}));
  EXPECT_EQ(c.api, (model::ApiBudget{0.5, 20}));
  c = parse_clean("cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 0s, longest: 0s}\n");
  EXPECT_EQ(c.launch_window, model::LaunchWindow());
}

TEST(Offers, MistakesHaveTheirPlace) {
  const Case cases[] = {
      {"cluster: a\npools: {p: {max: 2, machines: [a, b, a]}}\n", 2, 38, "the machine type 'a' is named twice"},
      {"cluster: a\npools: {p: {max: 2, machines: [\"a b\"]}}\n", 2, 32,
       "'a b' is not a machine type; expected letters"},
      {"cluster: a\npools: {p: {max: 2, machines: []}}\n", 2, 31,
       "is empty; expected at least one machine type like c7i.8xlarge, or leave it out"},
      {"cluster: a\npools: {p: {max: 2, machines: {a: 1}}}\n", 2, 31, "is a map; expected a machine type like"},
      {"cluster: a\npools: {p: {max: 2, machine: a}}\n", 2, 21, "unknown key 'machine'; did you mean 'machines'?"},
      {"cluster: a\npools: {p: {max: 2, instance_types: a}}\n", 2, 21, "did you mean 'machines'?"},
      {"cluster: a\npools: {p: {max: 2, machines: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]}}\n", 2, 31,
       "has 17 entries; expected at most 16"},
      {"cluster: a\npools: {p: {max: 2, zones: [a, a]}}\n", 2, 32, "the zone 'a' is named twice"},
      {"cluster: a\npools: {p: {max: 2, zones: \"a,b\"}}\n", 2, 28, "'a,b' is not a zone"},
      {"cluster: a\npools: {p: {max: 2, market: on-demand}}\n", 2, 29,
       "unknown market 'on-demand'; expected one of on_demand, spot and spot_then_on_demand; did you mean "
       "'on_demand'?"},
      {"cluster: a\npools: {p: {max: 2, market: [spot]}}\n", 2, 29, "is a list; expected one of on_demand"},
      {"cluster: a\npools: {p: {max: 2, placement: per-job}}\n", 2, 32,
       "unknown placement 'per-job'; expected one of none, per_pool and per_job; did you mean 'per_job'?"},
      {"cluster: a\npools: {p: {max: 2, spares: 5}}\n", 2, 29, "'5' is not a share: the '%' is missing"},
      {"cluster: a\npools: {p: {max: 2, spares: 51%}}\n", 2, 29, "'51%' is too large; expected from 0% to 50%"},
      {"cluster: a\npools: {p: {max: 2, spares: -1%}}\n", 2, 29, "no number with at most two decimals"},
      {"cluster: a\npools: {p: {max: 990, spares: 5%}}\n", 2, 18,
       "may grow to 1039 nodes and spares; a cluster on one box has at most 1000"},
      {"cluster: a\npools: {p: {max: 2, billing_period: 0s}}\n", 2, 37, "'0s' is too short; expected from 1s to 31d"},
      {"cluster: a\npools: {p: {max: 2, billing_period: 1}}\n", 2, 37, "the unit is missing"},
      {"cluster: a\npools: {p: {max: 2, eviction: USR1}}\n", 2, 31, "expected a map with the keys signal, lead and"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signl: USR1}}}\n", 2, 32, "did you mean 'signal'?"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: SIGUSR1}}}\n", 2, 40,
       "unknown signal 'SIGUSR1'; expected one of USR1, USR2, TERM"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: sigusr2}}}\n", 2, 40, "did you mean 'USR2'?"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: 10}}}\n", 2, 40, "unknown signal '10'"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: KILL}}}\n", 2, 40, "'KILL' can't be caught"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: SIGSTOP}}}\n", 2, 40, "'SIGSTOP' can't be caught"},
      {"cluster: a\npools: {p: {max: 2, eviction: {signal: USR1, lead: 2h}}}\n", 2, 52,
       "'2h' is too long; expected from 1s to 1h"},
      {"cluster: a\npools: {p: {max: 2, eviction: {tolerance: -1}}}\n", 2, 43, "'-1' is not a whole number"},
      {"cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 5s, longest: 1s}\n", 3, 37,
       "launch_window.longest: 1s is shorter than 'quiet', 5s"},
      {"cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 5s}\n", 3, 16,
       "launch_window: 'longest' is missing; expected both keys"},
      {"cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 1s, longst: 5s}\n", 3, 28, "did you mean 'longest'?"},
      {"cluster: a\npools: {p: {max: 2}}\nlaunch_window: {quiet: 1s, longest: 5m}\n", 3, 37,
       "'5m' is too long; expected from 0s to 1m"},
      {"cluster: a\npools: {p: {max: 2}}\nlaunch_window: 5s\n", 3, 16,
       "expected a map with the keys quiet and longest"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {per_second: 2}\n", 3, 6, "api: 'burst' is missing; expected both keys"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {burst: 2}\n", 3, 6, "api: 'per_second' is missing"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {per_second: 0, burst: 2}\n", 3, 19,
       "0 is too small; expected from 0.001 to 10000 calls per second; leave 'api' out for no limit"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {per_second: 10001, burst: 2}\n", 3, 19, "10001 is too large"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {per_second: fast, burst: 2}\n", 3, 19, "'fast' is not a rate"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {per_second: 1, burst: 0}\n", 3, 29, "api.burst: 0 is too small"},
      {"cluster: a\npools: {p: {max: 2}}\napi: {rate: 1, burst: 1}\n", 3, 7, "did you mean 'per_second'?"},
  };
  for (const Case& c : cases) expect_only_problem(c, Severity::error);
}

}  // namespace
}  // namespace slipway::config
