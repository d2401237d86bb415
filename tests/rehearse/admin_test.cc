#include "rehearse/admin.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/files.h"
#include "loop_runner.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

class AdminTest : public ::testing::Test {
 protected:
  AdminTest() {
    char name[] = "/tmp/slipway-admin-XXXXXX";
    folder = ::mkdtemp(name);
    floor = make_virtual_floor(loop);
    site = std::make_unique<Site>(loop, clock, *floor, 7);
    gate = std::make_unique<Gate>(clock, 7);
    admin = std::make_unique<Admin>(*site, *gate, "secret", folder / "levers.json", [this] { ++written; });
  }
  ~AdminTest() override { std::filesystem::remove_all(folder); }

  http::Response ask(const std::string& method, const std::string& target, const std::string& body = "",
                     const std::string& token = "Bearer secret") {
    http::Response said;
    admin->handle({method, target, {{"authorization", token}}, body, "127.0.0.1", 0},
                  [&](http::Response response) { said = std::move(response); });
    return said;
  }
  std::vector<std::string> names(const http::Response& response) {
    std::vector<std::string> list;
    const json::value value = json::parse(response.body);
    for (const json::value& name : value.at("machines").as_array()) list.emplace_back(name.as_string());
    return list;
  }
  std::vector<MachineKey> take(const std::string& group, uint32_t count, model::Market market) {
    auto order = std::make_shared<Order>();
    order->group = group;
    order->market = market;
    order->name = [group](MachineKey key) { return group + "-" + std::to_string(key); };
    const auto machines = site->take(order, count).machines;
    EXPECT_TRUE(run_until(loop, [&] { return site->find(machines.back())->phase == Phase::running; }));
    return machines;
  }
  Phase phase(MachineKey key) { return site->find(key)->phase; }

  std::filesystem::path folder;
  Loop loop;
  SystemClock clock;
  std::unique_ptr<Floor> floor;
  std::unique_ptr<Site> site;
  std::unique_ptr<Gate> gate;
  std::unique_ptr<Admin> admin;
  int written = 0;
};

TEST_F(AdminTest, OnlyWithItsToken) {
  EXPECT_EQ(ask("GET", "/healthz", "", "").status, 200);
  for (const char* token : {"", "Bearer ", "Bearer secre", "Bearer secret2", "Basic secret", "secret"})
    EXPECT_EQ(ask("GET", "/machines", "", token).status, 401) << token;
  EXPECT_EQ(ask("GET", "/machines").status, 200);
  EXPECT_EQ(ask("GET", "/nothing").status, 404);
  EXPECT_EQ(ask("DELETE", "/machines").status, 405);
  EXPECT_EQ(ask("GET", "/evict").status, 405);
}

TEST_F(AdminTest, LeversAreSetWholeOrNotAtAll) {
  EXPECT_EQ(ask("PUT", "/levers", R"({"allocate_ms": [5, 9]})").status, 200);
  EXPECT_EQ(written, 1);
  EXPECT_EQ(site->levers().allocate.most, Duration(9));
  EXPECT_EQ(*read_file(folder / "levers.json"), R"({"allocate_ms": [5, 9]})");
  const auto refused = ask("PUT", "/levers", R"({"boot_ms": 3, "alocate_ms": 1})");
  EXPECT_EQ(refused.status, 400);
  EXPECT_NE(refused.body.find("did you mean 'allocate_ms'"), std::string::npos) << refused.body;
  EXPECT_EQ(site->levers().boot.most, Duration(0));
  EXPECT_EQ(written, 1);
  EXPECT_EQ(parse_levers(ask("GET", "/levers").body)->allocate.least, Duration(5));
  EXPECT_EQ(ask("DELETE", "/levers").status, 405);
}

TEST_F(AdminTest, MachinesAreListedByGroup) {
  take("batch/a/cpu", 2, model::Market::on_demand);
  take("batch/a/gpu", 1, model::Market::spot);
  EXPECT_EQ(json::parse(ask("GET", "/machines").body).at("machines").as_array().size(), 3u);
  const json::value listed = json::parse(ask("GET", "/machines?group=gpu").body);
  ASSERT_EQ(listed.at("machines").as_array().size(), 1u);
  const json::value& machine = listed.at("machines").as_array()[0];
  EXPECT_EQ(machine.at("phase"), "running");
  EXPECT_EQ(machine.at("market"), "spot");
  EXPECT_EQ(machine.at("group"), "batch/a/gpu");
  EXPECT_EQ(machine.at("address").as_string().find("198."), 0u);
}

TEST_F(AdminTest, EvictsByNameAndByGroup) {
  const auto cpu = take("batch/a/cpu", 3, model::Market::on_demand);
  const auto spot = take("batch/b/cpu", 3, model::Market::spot);
  EXPECT_EQ(names(ask("POST", "/evict", R"({"machines": ["batch/a/cpu-1"]})")),
            std::vector<std::string>{"batch/a/cpu-1"});
  EXPECT_EQ(phase(cpu[0]), Phase::evicted);
  const auto two =
      names(ask("POST", "/evict", R"({"group": "cpu", "market": "spot", "count": 2, "notice_ms": 60000})"));
  EXPECT_EQ(two, (std::vector<std::string>{"batch/b/cpu-4", "batch/b/cpu-5"}));
  EXPECT_EQ(phase(spot[0]), Phase::running);
  EXPECT_FALSE(site->find(spot[1])->event_id.empty());
  EXPECT_TRUE(site->find(spot[2])->event_id.empty());
  EXPECT_EQ(ask("POST", "/evict", R"({"machines": ["batch/a/cpu-2", "nobody"]})").status, 404);
  EXPECT_EQ(phase(cpu[1]), Phase::running);
  // Those that are evicted already aren't chosen again.
  EXPECT_EQ(names(ask("POST", "/evict", R"({"group": "a/cpu", "count": 1})")),
            std::vector<std::string>{"batch/a/cpu-2"});

  EXPECT_EQ(names(ask("POST", "/return", R"({"group": "a/cpu"})")).size(), 2u);
  ASSERT_TRUE(run_until(loop, [&] { return phase(cpu[0]) == Phase::running && phase(cpu[1]) == Phase::running; }));
  EXPECT_EQ(ask("POST", "/return", R"({"machines": ["batch/a/cpu-1"]})").status, 400);
}

TEST_F(AdminTest, ArgumentsAreStrict) {
  take("batch/a/cpu", 1, model::Market::on_demand);
  for (const char* body : {"", "[]", "{}", R"({"group": "cpu", "machines": ["x"]})", R"({"group": "cpu", "notice": 3})",
                           R"({"group": 3})", R"({"machines": [1]})", R"({"group": "cpu", "count": -1})"}) {
    EXPECT_EQ(ask("POST", "/evict", body).status, 400) << body;
  }
  EXPECT_EQ(ask("POST", "/vanish", R"({"group": "cpu", "notice_ms": 3})").status, 400);
  EXPECT_EQ(site->groups().size(), 1u);
  EXPECT_EQ(names(ask("POST", "/vanish", R"({"group": "cpu"})")).size(), 1u);
  EXPECT_EQ(site->groups().size(), 0u);
}

TEST_F(AdminTest, CallsAreCountedUntilReset) {
  gate->pass(site->levers(), "Pool_Resize", "a", true);
  gate->pass(site->levers(), "Pool_Resize", "a", true);
  EXPECT_EQ(json::parse(ask("GET", "/calls").body).at("calls").at("Pool_Resize"), 2);
  EXPECT_TRUE(json::parse(ask("DELETE", "/calls").body).at("calls").as_object().empty());
  EXPECT_TRUE(gate->calls().empty());
}

}  // namespace
}  // namespace slipway::rehearse
