// Whatever the frame: no crash, and a request that is understood is understood the same after another round.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "machines/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace slipway::machines;
  const std::string_view frame(reinterpret_cast<const char*>(data), size);
  if (auto request = decode_request(frame)) {
    const auto again = decode_request(encode(*request));
    if (!again || again->call != request->call || again->ids != request->ids) std::abort();
    if (request->call == Call::launch &&
        (again->count != request->count || again->spec.pool != request->spec.pool ||
         again->spec.program != request->spec.program ||
         again->terms.minimum != request->terms.minimum || again->terms.market != request->terms.market ||
         again->terms.offers != request->terms.offers))
      std::abort();
    if (request->call == Call::evict && again->notice != request->notice) std::abort();
    if (request->call == Call::capacity &&
        (again->limit.most != request->limit.most || again->limit.market != request->limit.market ||
         again->limit.zone != request->limit.zone || again->limit.error != request->limit.error))
      std::abort();
  }
  (void)decode_done(frame);
  (void)decode_info(frame);
  if (auto launched = decode_launch(frame)) {
    const auto again = decode_launch(encode_launch(*launched));
    if (!again || again->ids != launched->ids || again->refusals.size() != launched->refusals.size()) std::abort();
  }
  if (auto machines = decode_list(frame)) {
    const auto again = decode_list(encode_list(*machines));
    if (!again || again->size() != machines->size()) std::abort();
  }
  return 0;
}
