#include "model/cluster.h"

#include <gtest/gtest.h>

namespace slipway::model {
namespace {

using std::chrono::minutes;

TEST(NodeName, HasAtLeastFourDigits) {
  EXPECT_EQ(node_name(PoolName("cpu"), 1).str(), "cpu-0001");
  EXPECT_EQ(node_name(PoolName("cpu"), 9999).str(), "cpu-9999");
  EXPECT_EQ(node_name(PoolName("cpu"), 10000).str(), "cpu-10000");
  EXPECT_EQ(node_name(PoolName("a-b"), 4294967295).str(), "a-b-4294967295");
}

class IdleReclaim : public ::testing::Test {
 protected:
  IdleReclaim() {
    cluster_.idle_reclaim = minutes(5);
    pool_.name = PoolName("cpu");
  }
  void add_partition(std::vector<PoolName> pools, std::optional<Duration> idle_reclaim) {
    Partition partition;
    partition.pools = std::move(pools);
    partition.idle_reclaim = idle_reclaim;
    cluster_.partitions.push_back(std::move(partition));
  }
  Cluster cluster_;
  Pool pool_;
};

TEST_F(IdleReclaim, IsTheClustersByDefault) {
  EXPECT_EQ(idle_reclaim_of(cluster_, pool_), minutes(5));
  add_partition({PoolName("cpu")}, std::nullopt);
  EXPECT_EQ(idle_reclaim_of(cluster_, pool_), minutes(5));
}

TEST_F(IdleReclaim, IsTheLongestOfItsPartitions) {
  add_partition({PoolName("cpu")}, minutes(1));
  EXPECT_EQ(idle_reclaim_of(cluster_, pool_), minutes(1));
  add_partition({PoolName("gpu"), PoolName("cpu")}, minutes(3));
  add_partition({PoolName("cpu")}, minutes(2));
  add_partition({PoolName("gpu")}, minutes(9));
  EXPECT_EQ(idle_reclaim_of(cluster_, pool_), minutes(3));
}

TEST_F(IdleReclaim, IsThePoolsOwnBeforeAll) {
  add_partition({PoolName("cpu")}, minutes(3));
  pool_.idle_reclaim = minutes(0);
  EXPECT_EQ(idle_reclaim_of(cluster_, pool_), minutes(0));
}

}  // namespace
}  // namespace slipway::model
