// Everything that arrives at either end of an agent's connection: hellos, messages, sealed frames.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "join/handshake.h"
#include "join/messages.h"

using namespace slipway;
using namespace slipway::join;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  if (auto hello = decode_agent_hello(frame); hello && !decode_agent_hello(encode_agent_hello(*hello))) abort();
  (void)decode_daemon_hello(frame);
  // What was understood once is understood again after our own encoding.
  if (auto message = decode_from_agent(frame); message && !decode_from_agent(encode(*message))) abort();
  if (auto message = decode_from_daemon(frame); message && !decode_from_daemon(encode(*message))) abort();
  static const auto sealer = make_sealer(Side::daemon, Key{}, Key{}, Key{});
  (void)sealer->open(frame);
  return 0;
}
