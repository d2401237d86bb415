#include "machines/protocol.h"

#include <gtest/gtest.h>

namespace slipway::machines {
namespace {

TEST(MachineProtocol, LaunchComesBackWhole) {
  Request request;
  request.call = Call::launch;
  request.spec = {"compute", "cpu", "/srv/image", {{"/a b", "/c", true}, {"/d", "/e", false}}, R"({"x":"\u00e9"})"};
  request.count = 12;
  request.token = "t";
  request.terms = {"198.18.0.2", 3, model::Market::spot, {{"m.large", "a"}, {"m.small", ""}}, "rack"};
  auto back = decode_request(encode(request));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->call, Call::launch);
  EXPECT_EQ(back->spec.role, "compute");
  EXPECT_EQ(back->spec.pool, "cpu");
  EXPECT_EQ(back->spec.image, "/srv/image");
  EXPECT_EQ(back->spec.boot_data, request.spec.boot_data);
  ASSERT_EQ(back->spec.mounts.size(), 2u);
  EXPECT_EQ(back->spec.mounts[0].source, "/a b");
  EXPECT_TRUE(back->spec.mounts[0].read_only);
  EXPECT_FALSE(back->spec.mounts[1].read_only);
  EXPECT_EQ(back->count, 12u);
  EXPECT_EQ(back->token, "t");
  EXPECT_EQ(back->terms.address, "198.18.0.2");
  EXPECT_EQ(back->terms.minimum, 3u);
  EXPECT_EQ(back->terms.market, model::Market::spot);
  EXPECT_EQ(back->terms.offers, request.terms.offers);
  EXPECT_EQ(back->terms.placement, "rack");
}

TEST(MachineProtocol, EveryCallHasAName) {
  for (Call call :
       {Call::info, Call::list, Call::terminate, Call::kill, Call::freeze, Call::thaw, Call::cut_off, Call::reconnect,
        Call::evict, Call::boot_trouble, Call::capacity, Call::clear_trouble, Call::shutdown}) {
    Request request;
    request.call = call;
    request.ids = {"i-00000001", "i-00000002"};
    request.trouble = {"gpu", Duration(1500), 2, 3};
    request.notice = Duration(30'000);
    request.limit = {"gpu", model::Market::spot, "m.large", "a", 4, ErrorCode::quota};
    auto back = decode_request(encode(request));
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->call, call);
    EXPECT_EQ(back->ids, request.ids);
    if (call == Call::boot_trouble) {
      EXPECT_EQ(back->trouble.pool, "gpu");
      EXPECT_EQ(back->trouble.delay, Duration(1500));
      EXPECT_EQ(back->trouble.never, 2u);
      EXPECT_EQ(back->trouble.refuse, 3u);
    }
    if (call == Call::evict) {
      EXPECT_EQ(back->notice, Duration(30'000));
    }
    if (call == Call::capacity) {
      EXPECT_EQ(back->limit.pool, "gpu");
      EXPECT_EQ(back->limit.market, model::Market::spot);
      EXPECT_EQ(back->limit.machine, "m.large");
      EXPECT_EQ(back->limit.zone, "a");
      EXPECT_EQ(back->limit.most, 4u);
      EXPECT_EQ(back->limit.error, ErrorCode::quota);
    }
  }
}

TEST(MachineProtocol, RefusesWhatIsNoRequest) {
  for (const char* bad : {"", "x", "[]", "{}", R"({"call":"fly"})", R"({"call":7})", R"({"call":"launch"})",
                          R"({"call":"launch","count":0})", R"({"call":"launch","count":-3})",
                          R"({"call":"launch","count":4000000000})", R"({"call":"launch","count":"9"})",
                          R"({"call":"launch","count":2,"minimum":3})", R"({"call":"launch","count":2,"offers":[7]})",
                          R"({"call":"capacity"})", R"({"call":"capacity","limit":{"error":"not_found"}})",
                          R"({"call":"capacity","limit":{"error":"quota","market":"black"}})"}) {
    EXPECT_FALSE(decode_request(bad)) << bad;
  }
}

TEST(MachineProtocol, NoLimitIsNotALimitOfNone) {
  Request request;
  request.call = Call::capacity;
  request.limit.most = std::nullopt;
  EXPECT_FALSE(decode_request(encode(request))->limit.most);
  request.limit.most = 0;
  EXPECT_EQ(decode_request(encode(request))->limit.most, 0u);
}

TEST(MachineProtocol, AnswersComeBackWhole) {
  EXPECT_TRUE(decode_done(encode_done()));
  auto info = decode_info(encode_info({"demo", "198.18.0.0/20", "198.18.0.1", "slw12345", "1.2", 77}));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->cluster, "demo");
  EXPECT_EQ(info->subnet, "198.18.0.0/20");
  EXPECT_EQ(info->gateway, "198.18.0.1");
  EXPECT_EQ(info->bridge, "slw12345");
  EXPECT_EQ(info->build, "1.2");
  EXPECT_EQ(info->pid, 77);

  LaunchResult launched{{"i-00000001"}, {{{"m.large", "a"}, {ErrorCode::no_capacity, "full", std::nullopt}}}};
  auto launch = decode_launch(encode_launch(launched));
  ASSERT_TRUE(launch);
  EXPECT_EQ(launch->ids, launched.ids);
  ASSERT_EQ(launch->refusals.size(), 1u);
  EXPECT_EQ(launch->refusals[0].offer, (model::Offer{"m.large", "a"}));
  EXPECT_EQ(launch->refusals[0].error.code, ErrorCode::no_capacity);
  EXPECT_EQ(launch->refusals[0].error.message, "full");
  EXPECT_TRUE(decode_launch(encode_launch({}))->refusals.empty());

  Machine machine{"i-00000003",
                  "login",
                  "",
                  "tok",
                  MachineState::gone,
                  "198.18.0.4",
                  0,
                  TimePoint(Duration(5)),
                  true,
                  "killed",
                  model::Market::spot,
                  {"m.large", "a"},
                  "rack",
                  TimePoint(Duration(77))};
  auto list = decode_list(encode_list({machine, machine}));
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 2u);
  EXPECT_EQ((*list)[1].id, machine.id);
  EXPECT_EQ((*list)[1].state, MachineState::gone);
  EXPECT_EQ((*list)[1].end, "killed");
  EXPECT_TRUE((*list)[1].cut_off);
  EXPECT_EQ((*list)[1].market, model::Market::spot);
  EXPECT_EQ((*list)[1].offer, (model::Offer{"m.large", "a"}));
  EXPECT_EQ((*list)[1].placement, "rack");
  EXPECT_EQ((*list)[1].evict_at, TimePoint(Duration(77)));
}

TEST(MachineProtocol, ErrorsArriveAsErrors) {
  std::string frame = encode_error({ErrorCode::denied, "no", std::nullopt});
  for (const auto& error : {decode_done(frame).error(), decode_info(frame).error(), decode_launch(frame).error(),
                            decode_list(frame).error()}) {
    EXPECT_EQ(error.code, ErrorCode::denied);
    EXPECT_EQ(error.message, "no");
  }
  for (const char* bad :
       {"", "{}", R"({"ok":true})", R"({"ok":true,"result":[]})", R"({"ok":true,"result":{"machines":[1]}})",
        R"({"ok":true,"result":{"machines":[{}]}})", R"({"ok":false})"}) {
    EXPECT_FALSE(decode_list(bad)) << bad;
  }
}

}  // namespace
}  // namespace slipway::machines
