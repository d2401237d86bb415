#include "daemon/lease.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

#include "fakes.h"

namespace slipway::daemon {
namespace {

class LeaseTest : public ::testing::Test {
 protected:
  LeaseTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "slipway-lease-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    file_ = folder_ / "lease";
  }
  ~LeaseTest() override { std::filesystem::remove_all(folder_); }

  // On machines of their own unless `boot_id` is the same.
  Lease::Options options(const std::string& holder, const std::string& boot_id = "") {
    Lease::Options made;
    made.file = file_;
    made.holder = holder;
    made.boot_id = boot_id.empty() ? "kernel-of-" + holder : boot_id;
    made.clock = [this] { return now_; };
    return made;
  }
  void write(const std::string& text) { std::ofstream(file_, std::ios::trunc) << text; }

  std::filesystem::path folder_;
  std::filesystem::path file_;
  Duration now_{1'000'000};
};

TEST_F(LeaseTest, TheFirstTakesItAndTheOtherStandsBy) {
  Lease a(options("a"));
  Lease b(options("b"));
  const auto first = a.step();
  ASSERT_TRUE(first && first->held);
  EXPECT_EQ(first->epoch, 1u);
  EXPECT_EQ(first->valid_until, now_ + Duration(9'000));
  const auto other = b.step();
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->held);
  EXPECT_EQ(other->holder, "a");
  EXPECT_EQ(other->epoch, 1u);
}

TEST_F(LeaseTest, WhoRenewsKeepsIt) {
  Lease a(options("a"));
  Lease b(options("b"));
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(a.step()->held);
    ASSERT_FALSE(b.step()->held) << i;
    now_ += Duration(2'000);
  }
  EXPECT_EQ(a.step()->epoch, 1u);
}

TEST_F(LeaseTest, AFrozenHolderStopsBeforeTheOtherBegins) {
  Lease a(options("a"));
  Lease b(options("b"));
  const Duration until = a.step()->valid_until;
  ASSERT_FALSE(b.step()->held);
  while (!b.step()->held) {
    now_ += Duration(100);
    ASSERT_LT(now_, Duration(1'011'000));
  }
  EXPECT_LT(until, now_);
  EXPECT_EQ(b.step()->epoch, 2u);
  const auto awake = a.step();
  ASSERT_TRUE(awake);
  EXPECT_TRUE(awake->lost);
  EXPECT_FALSE(awake->held);
  EXPECT_EQ(awake->holder, "b");
  EXPECT_TRUE(b.step()->held) << "what the late one did spoilt nothing";
}

TEST_F(LeaseTest, TheValidityCountsFromTheOthersFirstLook) {
  Lease a(options("a"));
  (void)a.step();
  now_ += Duration(60'000);  // nobody looked: how old the line is can't be known
  Lease b(options("b"));
  EXPECT_FALSE(b.step()->held);
  now_ += Duration(9'900);
  EXPECT_FALSE(b.step()->held);
  now_ += Duration(100);
  EXPECT_TRUE(b.step()->held);
}

TEST_F(LeaseTest, AReleasedOneIsTakenAtOnce) {
  Lease a(options("a"));
  Lease b(options("b"));
  (void)a.step();
  ASSERT_FALSE(b.step()->held);
  a.release();
  const auto taken = b.step();
  EXPECT_TRUE(taken->held);
  EXPECT_EQ(taken->epoch, 2u);
  a.release();  // no longer a's to give
  EXPECT_TRUE(b.step()->held);
}

TEST_F(LeaseTest, ADeadProcessOfTheSameKernelIsSucceededAtOnce) {
  auto a = std::make_unique<Lease>(options("a", "kernel"));
  Lease b(options("b", "kernel"));
  Lease elsewhere(options("c", "another kernel"));
  (void)a->step();
  EXPECT_FALSE(b.step()->held) << "it lives";
  a.reset();  // no release: killed
  EXPECT_FALSE(elsewhere.step()->held) << "another machine can't know";
  const auto taken = b.step();
  EXPECT_TRUE(taken->held);
  EXPECT_EQ(taken->epoch, 2u);
}

TEST_F(LeaseTest, AHolderWithoutTheSecondLockIsNotTakenForDead) {
  Lease frozen(options("frozen", "kernel"));
  Lease holder(options("holder", "kernel"));
  (void)frozen.step();
  (void)holder.step();
  now_ += Duration(10'000);
  ASSERT_TRUE(holder.step()->held) << "while the frozen process still has the lock";
  ASSERT_TRUE(frozen.step()->lost);
  Lease third(options("third", "kernel"));
  EXPECT_FALSE(third.step()->held);
  now_ += Duration(5'000);
  EXPECT_TRUE(holder.step()->held);
  EXPECT_FALSE(third.step()->held);
}

TEST_F(LeaseTest, ACutOffLineIsWaitedForAndCountedOver) {
  Lease a(options("a"));
  (void)a.step();
  std::string text = *read_file(file_);
  write(text.substr(0, 30));
  EXPECT_TRUE(a.step()->lost) << "whoever wrote that, it isn't ours any more";
  Lease b(options("b"));
  EXPECT_FALSE(b.step()->held);
  EXPECT_TRUE(b.step()->holder.empty());
  now_ += Duration(10'000);
  const auto taken = b.step();
  EXPECT_TRUE(taken->held);
  EXPECT_GT(taken->epoch, 1'000'000u);
  EXPECT_TRUE(b.step()->held);
}

TEST_F(LeaseTest, APlaceThatCannotBeUsedNeverGivesIt) {
  file_ = folder_ / "not-there" / "lease";
  Lease nowhere(options("a"));
  EXPECT_FALSE(nowhere.step());
  file_ = folder_ / "link";
  std::filesystem::create_symlink(folder_ / "target", file_);
  Lease link(options("a"));
  EXPECT_FALSE(link.step());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "target"));
  std::filesystem::create_directory(folder_ / "folder");
  file_ = folder_ / "folder";
  Lease folder(options("a"));
  EXPECT_FALSE(folder.step());
}

TEST(LeaseLine, IsReadAsItWasWritten) {
  LeaseLine line;
  line.epoch = 7;
  line.beat = 99;
  line.state = LeaseLine::State::held_locked;
  line.boot_id = "boot";
  line.holder = "controller/1/ab";
  line.at = "2026-01-01T00:00:00.000Z";
  const std::string text = encode_lease(line);
  EXPECT_EQ(text.size(), 512u);
  EXPECT_EQ(*decode_lease(text), line);
  for (size_t cut = 0; cut < text.find('\n') + 1; ++cut) EXPECT_FALSE(decode_lease(text.substr(0, cut))) << cut;
  EXPECT_FALSE(decode_lease("slipway-lease-2 9 7 held b h t 9\n"));
  EXPECT_FALSE(decode_lease("slipway-lease-1 9 7 mine b h t 9\n"));
  EXPECT_FALSE(decode_lease("slipway-lease-1 9 7 held b h t 8\n"));
}

// --- on the loop, in real time ---

class LeaseKeeperTest : public LeaseTest {
 protected:
  struct One {
    std::unique_ptr<LeaseKeeper> keeper;
    bool taken = false;
    std::string lost;
  };
  void start(One& one, const std::string& name, std::function<Duration()> clock = boot_time) {
    LeaseKeeper::Options made;
    made.lease = options(name);
    made.lease.clock = std::move(clock);
    made.lease.validity = Duration(1'000);
    made.lease.margin = Duration(100);
    made.renew_every = Duration(50);
    made.look_every = Duration(20);
    one.keeper = std::make_unique<LeaseKeeper>(
        loop_, made,
        LeaseKeeper::Events{[&one] { one.taken = true; }, [&one](const std::string& why) { one.lost = why; }});
  }

  Loop loop_;
};

TEST_F(LeaseKeeperTest, OneActsUntilItEndsAndThenTheOther) {
  One a, b;
  start(a, "a");
  ASSERT_TRUE(run_until(loop_, [&] { return a.taken; }));
  start(b, "b");
  run_for(loop_, Duration(300));
  EXPECT_TRUE(a.keeper->is_held());
  EXPECT_FALSE(b.taken);
  EXPECT_FALSE(b.keeper->is_held());
  a.keeper.reset();  // an orderly end
  const auto begin = std::chrono::steady_clock::now();
  ASSERT_TRUE(run_until(loop_, [&] { return b.taken; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(800));
  EXPECT_EQ(b.keeper->epoch(), 2u);
  EXPECT_EQ(b.lost, "");
}

TEST_F(LeaseKeeperTest, AHolderThatWakesUpLateMayNotActAndSaysSo) {
  One a;
  Duration asleep{0};
  start(a, "a", [&] { return boot_time() + asleep; });
  ASSERT_TRUE(run_until(loop_, [&] { return a.taken; }));
  EXPECT_TRUE(a.keeper->is_held());
  asleep = Duration(1'000);
  EXPECT_FALSE(a.keeper->is_held()) << "before anything else on the loop has run";
  EXPECT_NE(a.lost.find("in time"), std::string::npos);
  asleep = Duration(0);
  EXPECT_FALSE(a.keeper->is_held()) << "for good";
}

TEST_F(LeaseKeeperTest, AStuckDiskEndsItInTime) {
  One a;
  start(a, "a");
  ASSERT_TRUE(run_until(loop_, [&] { return a.taken; }));
  // Somebody keeps the file locked for ever, as a server that doesn't answer would.
  const Fd other(::open(file_.c_str(), O_RDWR));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_start = 1 << 20;
  lock.l_len = 1;
  while (::fcntl(other.get(), F_OFD_SETLK, &lock) != 0) usleep(1'000);
  ASSERT_TRUE(run_until(loop_, [&] { return !a.lost.empty(); }));
  EXPECT_NE(a.lost.find("in time"), std::string::npos);
}

TEST_F(LeaseKeeperTest, ItIsTriedAgainUntilThePlaceIsThere) {
  One a;
  file_ = folder_ / "later" / "lease";
  start(a, "a");
  run_for(loop_, Duration(100));
  EXPECT_FALSE(a.taken);
  std::filesystem::create_directory(folder_ / "later");
  EXPECT_TRUE(run_until(loop_, [&] { return a.taken; }));
}

}  // namespace
}  // namespace slipway::daemon
