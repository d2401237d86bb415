// A machine's claim: what arrives sealed or not, and what may be inside.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "join/claim.h"

using namespace slipway::join;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const KeyPair daemon = daemon_key_pair(Key{});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)open_claim(text, daemon);

  // The parts of a claim that is sealed well, cut at the first two newlines.
  const size_t first = text.find('\n');
  const size_t second = first == text.npos ? text.npos : text.find('\n', first + 1);
  if (second == text.npos) return 0;
  const Claim claim{random_key(), std::string(text.substr(0, first)),
                    std::string(text.substr(first + 1, second - first - 1)), std::string(text.substr(second + 1))};
  const auto opened = open_claim(seal_claim(claim, daemon.public_key), daemon);
  if (opened && (opened->secret != claim.secret || opened->instance != claim.instance || opened->kind != claim.kind ||
                 opened->document != claim.document)) {
    abort();
  }
  // What was opened can be said in a hello.
  if (opened && !decode_agent_hello(encode_agent_hello({claim.instance, Key{}, seal_claim(claim, daemon.public_key)})))
    abort();
  return 0;
}
