// What client and machine host say to each other: one JSON frame each way (base/channel.h).
//
//   request   {"call": "info" | "launch" | …, …arguments}
//   answer    {"ok": true, "result": …}   or   {"ok": false, "error": {"code": "no_capacity", "message": "…"}}
//
//   info           → {cluster, subnet, gateway, bridge, build, pid}
//   launch         spec: {role, pool, image, mounts: [{source, target, read_only}], boot_data, program}, count, token,
//                  address, minimum, market, offers: [{machine, zone}], placement
//                  → {ids, refusals: [{machine, zone, code, message}]}
//   list           → {machines: […]}
//   terminate, kill, freeze, thaw, cut_off, reconnect
//                  ids → {}
//   evict          ids, notice_ms → {}
//   boot_trouble   pool, delay_ms, never, refuse → {}
//   capacity       limit: {pool, market, machine, zone, most, error} → {}
//   clear_trouble, shutdown
//                  → {}
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "machines/client.h"
#include "machines/machine.h"

namespace slipway::machines {

enum class Call {
  info,
  launch,
  list,
  terminate,
  kill,
  freeze,
  thaw,
  cut_off,
  reconnect,
  evict,
  boot_trouble,
  capacity,
  clear_trouble,
  shutdown,
};

inline constexpr uint32_t launch_count_max = 100'000;  // more is a mistake, whatever the subnet has room for
inline constexpr size_t launch_offers_max = 1'000;

struct Request {
  Call call = Call::info;
  std::vector<std::string> ids;
  MachineSpec spec;
  uint32_t count = 0;
  std::string token;
  LaunchTerms terms;
  Duration notice{0};
  BootTrouble trouble;
  CapacityLimit limit;
};

std::string encode(const Request& request);
Result<Request> decode_request(std::string_view frame);  // bad_config on anything that isn't one

// Answers. An encode_… is the host's, a decode_… the client's: it fails with the host's own error when the answer is
// one.
std::string encode_done();
std::string encode_error(const Error& error);
std::string encode_info(const HostInfo& info);
std::string encode_launch(const LaunchResult& result);
std::string encode_list(const std::vector<Machine>& machines);
Result<void> decode_done(std::string_view frame);
Result<HostInfo> decode_info(std::string_view frame);
Result<LaunchResult> decode_launch(std::string_view frame);
Result<std::vector<Machine>> decode_list(std::string_view frame);

}  // namespace slipway::machines
