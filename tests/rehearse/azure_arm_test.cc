#include <algorithm>

#include "azure_world.h"

namespace slipway::rehearse::azure {
namespace {

const std::string compute = "2024-07-01";
const std::string sets_path = group_path + "/providers/Microsoft.Compute/virtualMachineScaleSets/";

json::object set_body(int capacity, const std::string& priority = "Regular") {
  json::object profile{
      {"priority", priority},
      {"storageProfile",
       {{"imageReference",
         {{"publisher", "canonical"}, {"offer", "ubuntu-24_04-lts"}, {"sku", "server"}, {"version", "latest"}}}}},
      {"osProfile",
       {{"computerNamePrefix", "s"}, {"adminUsername", "a"}, {"customData", http::to_base64("#!/bin/sh\nid\n")}}},
      {"networkProfile",
       {{"networkApiVersion", "2020-11-01"},
        {"networkInterfaceConfigurations",
         json::array{json::object{
             {"name", "n"},
             {"properties",
              {{"primary", true},
               {"ipConfigurations",
                json::array{json::object{{"name", "c"}, {"properties", {{"subnet", {{"id", subnet_id}}}}}}}}}}}}}}}};
  if (priority == "Spot") profile["evictionPolicy"] = "Delete";
  return {{"location", "westeurope"},
          {"sku", {{"name", "Standard_D4s_v5"}, {"tier", "Standard"}, {"capacity", capacity}}},
          {"tags", {{"slipway-cluster", "demo"}}},
          {"identity", {{"type", "UserAssigned"}, {"userAssignedIdentities", {{identity_id, json::object{}}}}}},
          {"properties",
           {{"orchestrationMode", "Flexible"},
            {"platformFaultDomainCount", 1},
            {"singlePlacementGroup", false},
            {"virtualMachineProfile", profile}}}};
}

class AzureArm : public AzureTest {
 protected:
  Reply put(const std::string& name, const json::object& body, Headers headers = {}) {
    return arm("PUT", sets_path + name, compute, json::serialize(body), std::move(headers));
  }
  // Follows Azure-AsyncOperation to its end.
  Reply outcome(const Reply& begun) {
    const std::string url(begun.raw.header("Azure-AsyncOperation"));
    EXPECT_TRUE(url.starts_with("https://arm.test/")) << begun.raw.body;
    for (int i = 0; i < 300; ++i) {
      Reply status = arm("GET", url.substr(std::string("https://arm.test").size()), compute);
      if (text_at(status.body, "status") != "InProgress") return status;
      run_for(loop, Duration(20));
    }
    return {};
  }
  void make_set(const std::string& name, int capacity, const std::string& priority = "Regular") {
    const auto made = put(name, set_body(capacity, priority));
    ASSERT_EQ(made.status, 201) << made.raw.body;
    ASSERT_EQ(text_at(outcome(made).body, "status"), "Succeeded");
  }
  json::array vms(const std::string& set, const std::string& more = "") {
    const std::string filter = "'virtualMachineScaleSet/id' eq '" + sets_path + set + "'";
    return arm("GET",
               group_path + "/providers/Microsoft.Compute/virtualMachines?$filter=" + http::encode(filter) + more,
               compute)
        .value();
  }
  int64_t capacity(const std::string& set) {
    return integer_at(arm("GET", sets_path + set, compute).body, "sku.capacity").value_or(-1);
  }
};

TEST_F(AzureArm, ScaleSetIsMadeRaisedAndDeleted) {
  const auto made = put("demo-cpu-od", set_body(2));
  EXPECT_EQ(made.status, 201) << made.raw.body;
  EXPECT_EQ(text_at(made.body, "properties.provisioningState"), "Creating");
  EXPECT_EQ(text_at(outcome(made).body, "status"), "Succeeded");
  EXPECT_EQ(vms("demo-cpu-od").size(), 2u);
  const auto raised = arm("PATCH", sets_path + "demo-cpu-od", compute, R"({"sku": {"capacity": 5}})");
  EXPECT_EQ(raised.status, 200);
  EXPECT_EQ(text_at(outcome(raised).body, "status"), "Succeeded");
  const json::array there = vms("demo-cpu-od", "&$expand=instanceView");
  ASSERT_EQ(there.size(), 5u);
  const json::object& vm = there.front().as_object();
  EXPECT_TRUE(text_at(vm, "name").starts_with("demo-cpu-od_"));
  EXPECT_EQ(text_at(vm, "properties.priority"), "Regular");
  EXPECT_EQ(text_at(vm, "tags.slipway-cluster"), "demo");
  EXPECT_TRUE(vm.at("properties").as_object().contains("instanceView"));
  // Secrets aren't told, and a list tells no etags.
  EXPECT_EQ(arm("GET", sets_path + "demo-cpu-od", compute).raw.body.find("customData"), std::string::npos);
  EXPECT_EQ(
      arm("GET", group_path + "/providers/Microsoft.Compute/virtualMachineScaleSets", compute).raw.body.find("etag"),
      std::string::npos);
  const auto gone = arm("DELETE", sets_path + "demo-cpu-od", compute);
  EXPECT_EQ(gone.status, 202);
  EXPECT_EQ(text_at(outcome(gone).body, "status"), "Succeeded");
  EXPECT_EQ(arm("GET", sets_path + "demo-cpu-od", compute).code(), "ResourceNotFound");
  EXPECT_EQ(arm("DELETE", sets_path + "demo-cpu-od", compute).status, 204);
}

TEST_F(AzureArm, InstancesAreDeletedByNameInOneCall) {
  make_set("s", 4);
  const json::array before = vms("s");
  json::array ids{before[0].at("name"), before[2].at("name")};
  const auto gone = arm("POST", sets_path + "s/delete", compute, json::serialize(json::object{{"instanceIds", ids}}));
  EXPECT_EQ(gone.status, 202);
  EXPECT_EQ(capacity("s"), 2);
  EXPECT_EQ(text_at(outcome(gone).body, "status"), "Succeeded");
  EXPECT_EQ(vms("s").size(), 2u);
  const auto again = arm("POST", sets_path + "s/delete", compute, json::serialize(json::object{{"instanceIds", ids}}));
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(vms("s").size(), 2u);
  EXPECT_EQ(arm("POST", sets_path + "s/delete", compute, "{}").code(), "InvalidParameter");
}

TEST_F(AzureArm, LackingCapacityFailsLateAndLeavesTheNumberHigh) {
  make_set("s", 1);
  set(R"({"capacity": [{"group": "s", "most": 3}]})");
  const auto raised = arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 5}})");
  EXPECT_EQ(raised.status, 200);
  const auto end = outcome(raised);
  EXPECT_EQ(text_at(end.body, "status"), "Failed");
  EXPECT_EQ(text_at(end.body, "error.code"), "AllocationFailed");
  EXPECT_EQ(vms("s").size(), 3u);
  EXPECT_EQ(capacity("s"), 5);
  // Taking the number back costs no machine.
  EXPECT_EQ(text_at(outcome(arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 3}})")).body, "status"),
            "Succeeded");
  EXPECT_EQ(vms("s").size(), 3u);
}

TEST_F(AzureArm, AZoneThatIsFullIsMadeUpForByAnother) {
  json::object body = set_body(4);
  body["zones"] = json::array{"1", "2"};
  set(R"({"capacity": [{"zone": "1", "most": 1}]})");
  EXPECT_EQ(text_at(outcome(put("z", body)).body, "status"), "Succeeded");
  const json::array there = vms("z");
  ASSERT_EQ(there.size(), 4u);
  EXPECT_EQ(
      std::count_if(there.begin(), there.end(), [](const json::value& vm) { return vm.at("zones").at(0) == "2"; }), 3);
  set(R"({"capacity": [{"zone": "1", "most": 1}, {"zone": "2", "most": 3}]})");
  const auto failed = outcome(arm("PATCH", sets_path + "z", compute, R"({"sku": {"capacity": 6}})"));
  EXPECT_EQ(text_at(failed.body, "error.code"), "ZonalAllocationFailed");
}

TEST_F(AzureArm, QuotaRefusesAtOnce) {
  make_set("s", 1);
  set(R"({"quotas": [{"family": "standardDSv5Family", "market": "on_demand", "cores": 8}]})");
  const auto refused = arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 3}})");
  EXPECT_EQ(refused.status, 409);
  EXPECT_EQ(refused.code(), "OperationNotAllowed");
  EXPECT_NE(refused.raw.body.find("quota"), std::string::npos);
  EXPECT_EQ(capacity("s"), 1);
  EXPECT_EQ(put("t", set_body(2)).status, 409);
  run_for(loop, Duration(30));
  EXPECT_EQ(arm("GET", sets_path + "t", compute).status, 404);
  const auto usages = arm(
      "GET", "/subscriptions/" + subscription + "/providers/Microsoft.Compute/locations/westeurope/usages", compute);
  const json::array& value = usages.value();
  const auto family = std::find_if(value.begin(), value.end(), [](const json::value& one) {
    return text_at(one.as_object(), "name.value") == "standardDSv5Family";
  });
  ASSERT_NE(family, value.end());
  EXPECT_EQ(family->at("currentValue"), 4);
  EXPECT_EQ(family->at("limit"), 8);
}

TEST_F(AzureArm, ALaterScalingPreemptsAnEarlierOne) {
  set(R"({"allocate_ms": [200, 200]})");
  const auto first = put("s", set_body(2));
  const auto second = arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 3}})");
  EXPECT_EQ(text_at(outcome(first).body, "error.code"), "OperationPreempted");
  EXPECT_EQ(text_at(outcome(second).body, "status"), "Succeeded");
  EXPECT_EQ(vms("s").size(), 3u);
}

TEST_F(AzureArm, EtagsGuardScaleSets) {
  make_set("s", 0);
  const std::string etag = text_at(arm("GET", sets_path + "s", compute).body, "etag");
  EXPECT_EQ(put("s", set_body(1), {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 1}})", {{"If-Match", etag}}).status, 200);
  EXPECT_EQ(arm("PATCH", sets_path + "s", compute, R"({"sku": {"capacity": 2}})", {{"If-Match", etag}}).status, 412);
  EXPECT_EQ(put("new", set_body(0), {{"If-Match", etag}}).status, 412);
}

TEST_F(AzureArm, SpotMachinesAreEvictedAndDeleted) {
  make_set("spot", 2, "Spot");
  ASSERT_TRUE(until([&] {
    const json::array all = vms("spot");
    return std::all_of(all.begin(), all.end(), [](const json::value& vm) {
      return text_at(vm.as_object(), "properties.provisioningState") == "Succeeded";
    });
  }));
  const std::string name = text_at(vms("spot").front().as_object(), "name");
  const std::string path = group_path + "/providers/Microsoft.Compute/virtualMachines/" + name;
  EXPECT_EQ(arm("POST", path + "/simulateEviction", compute).status, 204);
  // The machine is told half a minute before, and may go at once.
  const Machine* machine = site->find(site->of_group("vmss/" + subscription + "/rg/spot").front());
  ASSERT_TRUE(until([&] {
    return !imds(machine, "GET", "/metadata/scheduledevents?api-version=2020-07-01")
                .body.at("Events")
                .as_array()
                .empty();
  }));
  const auto events = imds(machine, "GET", "/metadata/scheduledevents?api-version=2020-07-01").body;
  const json::object event = events.at("Events").as_array().at(0).as_object();
  EXPECT_EQ(text_at(event, "EventType"), "Preempt");
  EXPECT_EQ(event.at("Resources"), (json::array{json::string(name)}));
  EXPECT_EQ(imds(machine, "POST", "/metadata/scheduledevents?api-version=2020-07-01",
                 R"({"StartRequests": [{"EventId": "none"}]})")
                .status,
            400);
  EXPECT_EQ(imds(machine, "POST", "/metadata/scheduledevents?api-version=2020-07-01",
                 R"({"StartRequests": [{"EventId": ")" + text_at(event, "EventId") + R"("}]})")
                .status,
            200);
  EXPECT_TRUE(until([&] { return vms("spot").size() == 1; }));
  EXPECT_EQ(capacity("spot"), 1);
}

TEST_F(AzureArm, PriorityMixBuysBoth) {
  json::object body = set_body(5, "Spot");
  body["properties"].as_object()["priorityMixPolicy"] = {{"baseRegularPriorityCount", 1},
                                                         {"regularPriorityPercentageAboveBase", 50}};
  ASSERT_EQ(text_at(outcome(put("mix", body)).body, "status"), "Succeeded");
  const json::array all = vms("mix");
  EXPECT_EQ(
      std::count_if(all.begin(), all.end(),
                    [](const json::value& vm) { return text_at(vm.as_object(), "properties.priority") == "Regular"; }),
      3);
}

TEST_F(AzureArm, ListsOfMachinesAndInterfacesArePaged) {
  make_set("s", 700);
  std::string target = group_path + "/providers/Microsoft.Compute/virtualMachines";
  size_t seen = 0;
  int pages = 0;
  for (; !target.empty() && pages < 5; ++pages) {
    const auto page = arm("GET", target, compute);
    seen += page.value().size();
    const std::string next = text_at(page.body, "nextLink");
    target = next.empty() ? "" : next.substr(std::string("https://arm.test").size());
  }
  EXPECT_EQ(seen, 700u);
  EXPECT_EQ(pages, 2);
  const auto interfaces = arm("GET", group_path + "/providers/Microsoft.Network/networkInterfaces", "2024-01-01");
  ASSERT_EQ(interfaces.value().size(), 700u);
  const json::object& properties = interfaces.value().at(0).at("properties").as_object();
  EXPECT_NE(text_at(properties, "virtualMachine.id").find("/virtualMachines/s_"), std::string::npos);
  const json::object& first = properties.at("ipConfigurations").as_array().at(0).as_object();
  EXPECT_EQ(text_at(first, "properties.subnet.id"), subnet_id);
  EXPECT_FALSE(text_at(first, "properties.privateIPAddress").empty());
}

TEST_F(AzureArm, TokensVersionsAndNamesAreChecked) {
  const auto bare = ask(AzureFace::Plane::arm, {.method = "GET", .target = "/subscriptions?api-version=2022-12-01"});
  EXPECT_EQ(bare.status, 401);
  EXPECT_NE(bare.raw.header("WWW-Authenticate").find("authorization_uri"), std::string::npos);
  EXPECT_EQ(arm("GET", "/subscriptions", "2022-12-01").value().size(), 1u);
  EXPECT_EQ(arm("GET", "/subscriptions", "1999-01-01").code(), "InvalidApiVersionParameter");
  EXPECT_EQ(arm("GET", "/subscriptions/other/resourcegroups/rg", "2021-04-01").code(), "SubscriptionNotFound");
  EXPECT_EQ(arm("GET", "/subscriptions/" + subscription + "/resourcegroups/no", "2021-04-01").code(),
            "ResourceGroupNotFound");
  const auto group = arm("GET", "/subscriptions/" + subscription + "/resourcegroups/RG", "2021-04-01");
  EXPECT_EQ(text_at(group.body, "location"), "westeurope");
  EXPECT_FALSE(group.raw.header("x-ms-request-id").empty());
  EXPECT_FALSE(group.raw.header("x-ms-ratelimit-remaining-subscription-reads").empty());
  EXPECT_EQ(arm("GET", group_path + "/providers/Microsoft.Storage/storageAccounts", "2021-04-01").code(),
            "InvalidResourceType");
  EXPECT_EQ(arm("GET", group_path + "/providers/Microsoft.Authorization/permissions", "2022-04-01").value().size(), 1u);
  EXPECT_EQ(arm("GET", subnet_id, "2024-01-01").status, 200);
  EXPECT_EQ(arm("GET", subnet_id + "x", "2024-01-01").status, 404);
}

TEST_F(AzureArm, SettingsOfScaleSetsAreChecked) {
  const auto refused = [&](const std::function<void(json::object&)>& change) {
    json::object body = set_body(1);
    change(body);
    const auto reply = put("s", body);
    EXPECT_GE(reply.status, 400) << json::serialize(body);
    return reply.raw.body;
  };
  const auto properties = [](json::object& body) -> json::object& { return body["properties"].as_object(); };
  EXPECT_NE(refused([](auto& body) { body["sku"].as_object()["name"] = "Standard_No"; }).find("vmSize"),
            std::string::npos);
  EXPECT_NE(refused([](auto& body) { body["sku"].as_object()["capacity"] = 1001; }).find("capacity"),
            std::string::npos);
  EXPECT_NE(refused([&](auto& body) { properties(body)["unknown"] = 1; }).find("unknown"), std::string::npos);
  EXPECT_NE(refused([&](auto& body) { properties(body)["provisioningState"] = "x"; }).find("provisioningState"),
            std::string::npos);
  EXPECT_NE(refused([&](auto& body) {
              properties(body)["virtualMachineProfile"].as_object()["evictionPolicy"] = "Delete";
            }).find("Spot"),
            std::string::npos);
  EXPECT_NE(
      refused([&](auto& body) {
        properties(body)["virtualMachineProfile"].as_object()["networkProfile"].as_object().erase("networkApiVersion");
      }).find("networkApiVersion"),
      std::string::npos);
  EXPECT_NE(refused([](auto& body) { body.erase("location"); }).find("location"), std::string::npos);
  EXPECT_NE(refused([&](auto& body) {
              properties(body)["proximityPlacementGroup"] = {{"id", "/p"}};
            }).find("proximity"),
            std::string::npos);
}

TEST_F(AzureArm, BatchPoolsMayHaveAnIdentityWhenMadeHere) {
  const auto account = arm("GET", account_path, "2024-07-01");
  EXPECT_EQ(text_at(account.body, "properties.accountEndpoint"), "acc.test");
  EXPECT_EQ(text_at(arm("POST", account_path + "/listKeys", "2024-07-01").body, "primary"),
            http::to_base64("a key of the account"));
  const json::object body{
      {"identity", {{"type", "UserAssigned"}, {"userAssignedIdentities", {{identity_id, json::object{}}}}}},
      {"properties",
       {{"vmSize", "Standard_D4s_v5"},
        {"interNodeCommunication", "Enabled"},
        {"deploymentConfiguration",
         {{"virtualMachineConfiguration",
           {{"imageReference",
             {{"publisher", "canonical"}, {"offer", "ubuntu-24_04-lts"}, {"sku", "server"}, {"version", "latest"}}},
            {"nodeAgentSkuId", "batch.node.ubuntu 24.04"},
            {"nodePlacementConfiguration", {{"policy", "Regional"}}}}}}},
        {"scaleSettings", {{"fixedScale", {{"targetDedicatedNodes", 2}, {"resizeTimeout", "PT10M"}}}}},
        {"startTask",
         {{"commandLine", "x"}, {"userIdentity", {{"autoUser", {{"elevationLevel", "Admin"}, {"scope", "Pool"}}}}}}},
        {"metadata", json::array{json::object{{"name", "a"}, {"value", "b"}}}}}}};
  const auto made = arm("PUT", account_path + "/pools/p", "2024-07-01", json::serialize(body));
  ASSERT_EQ(made.status, 200) << made.raw.body;
  ASSERT_TRUE(steady("p"));
  // The data plane sees the same pool in its own words.
  const json::object seen = pool("p");
  EXPECT_EQ(integer_at(seen, "currentDedicatedNodes"), 2);
  EXPECT_EQ(text_at(seen, "resizeTimeout"), "PT10M");
  EXPECT_EQ(text_at(seen, "virtualMachineConfiguration.nodePlacementConfiguration.policy"), "regional");
  EXPECT_EQ(text_at(seen, "startTask.userIdentity.autoUser.elevationLevel"), "admin");
  EXPECT_TRUE(bool_at(seen, "enableInterNodeCommunication"));
  const auto told = arm("GET", account_path + "/pools/p", "2024-07-01");
  EXPECT_EQ(text_at(told.body, "properties.allocationState"), "Steady");
  EXPECT_EQ(text_at(told.body, "properties.deploymentConfiguration.virtualMachineConfiguration.nodeAgentSkuId"),
            "batch.node.ubuntu 24.04");
  EXPECT_EQ(arm("PUT", account_path + "/pools/p", "2024-07-01", json::serialize(body), {{"If-None-Match", "*"}}).status,
            412);
  // The machine gets tokens of that identity, and of no other.
  const Machine* machine = site->find(site->of_group("batch/acc/p").front());
  const std::string resource = "&resource=https%3A%2F%2Fmanagement.azure.com%2F";
  const auto given = imds(
      machine, "GET",
      "/metadata/identity/oauth2/token?api-version=2018-02-01" + resource + "&msi_res_id=" + http::encode(identity_id));
  EXPECT_EQ(given.status, 200) << given.raw.body;
  EXPECT_EQ(
      imds(machine, "GET", "/metadata/identity/oauth2/token?api-version=2018-02-01" + resource + "&client_id=x").status,
      400);
  const auto gone = arm("DELETE", account_path + "/pools/p", "2024-07-01");
  EXPECT_EQ(gone.status, 202);
  const std::string follow = std::string(gone.raw.header("Location")).substr(std::string("https://arm.test").size());
  EXPECT_TRUE(until([&] { return arm("GET", follow, "2024-07-01").status == 204; }));
}

TEST_F(AzureArm, SizesAreListedFromTheCatalog) {
  const auto skus = arm("GET",
                        "/subscriptions/" + subscription +
                            "/providers/Microsoft.Compute/skus?$filter=" + http::encode("location eq 'westeurope'"),
                        "2021-07-01");
  const json::array& value = skus.value();
  const auto found = std::find_if(value.begin(), value.end(), [](const json::value& one) {
    return text_at(one.as_object(), "name") == "Standard_D4s_v5";
  });
  ASSERT_NE(found, value.end());
  EXPECT_EQ(text_at(found->as_object(), "family"), "standardDSv5Family");
  EXPECT_NE(json::serialize(*found).find(R"({"name":"vCPUs","value":"4"})"), std::string::npos);
}

}  // namespace
}  // namespace slipway::rehearse::azure
