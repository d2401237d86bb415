// Whatever stands in a resume file: the hint survives, with or without its jobs.
//
// The JSON parser is a library that isn't instrumented, so the fuzzer cannot feel its way to well-formed text. An input
// that begins with an even byte is therefore spelled: each further byte picks a word of the resume file's language. The
// others are taken as they are.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "slurm/hook_protocol.h"

namespace {

constexpr std::array<std::string_view, 24> words = {
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"jobs\":",
    "\"job_id\":",
    "\"nodes\":",
    "\"nodes_resume\":",
    "null",
    "1",
    "-1",
    "4294967296",
    "0",
    "\"a-[1-3]\"",
    "\"a-[1-\"",
    "\"\"",
    "true",
    "1e3",
    "{\"jobs\":[",
    "{\"job_id\":7,",
    "]}",
    "\"a-[1-900000]\"",
    "\"x\":",
};

std::string spell(const uint8_t* data, size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += words[data[i] % words.size()];
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string frame("1\0resume\0a-[1-2]\0\0", 18);
  if (size > 0 && data[0] % 2 == 0) {
    frame += spell(data + 1, size - 1);
  } else {
    frame.append(reinterpret_cast<const char*>(data), size);
  }
  const auto hint = slipway::slurm::decode_hint(frame);
  if (!hint || hint->nodes.size() != 2) std::abort();
  size_t names = 0;
  for (const auto& job : hint->jobs) {
    if (job.id == 0) std::abort();
    names += job.nodes.size();
  }
  if (names > 2'000'000) std::abort();  // slurm/hook_protocol.cc's bound
  return 0;
}
