// Lists of ARM that come in pages, and how long one may take.
#pragma once

#include <chrono>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "cloud/azure/compute_parse.h"
#include "cloud/azure/rest.h"

namespace slipway::cloud::azure {

// What is left of a call's time for the calls that it makes itself.
class Deadline {
 public:
  explicit Deadline(Duration timeout) : end_(std::chrono::steady_clock::now() + timeout) {}
  Duration left() const {
    const auto rest = std::chrono::duration_cast<Duration>(end_ - std::chrono::steady_clock::now());
    return rest < Duration(1) ? Duration(1) : rest;
  }
  bool over() const { return std::chrono::steady_clock::now() >= end_; }

 private:
  std::chrono::steady_clock::time_point end_;
};

// Whether `url` is of the API at `endpoint`: our token goes there and to nobody else, whatever an answer says.
bool is_of(std::string_view endpoint, std::string_view url);

inline constexpr size_t pages_max = 1'000;  // of a service that never ends its list

// All pages of a list. transient: a page couldn't be read, or the list goes on elsewhere or for ever.
template <class Item>
Result<std::vector<Item>> read_pages(Rest& arm, const std::string& endpoint, std::string url,
                                     Result<Page<Item>> (*parse)(std::string_view), const Deadline& deadline) {
  std::vector<Item> all;
  for (size_t count = 0; !url.empty(); ++count) {
    if (count == pages_max || deadline.over() || !is_of(endpoint, url))
      return fail(ErrorCode::transient, "Azure's list goes on strangely or too long: " + url);
    const auto answer = arm.send({.url = std::exchange(url, {})}, deadline.left());
    if (!answer) return fail(answer.error());
    auto page = parse(answer->body);
    if (!page) return fail(page.error());
    all.insert(all.end(), std::make_move_iterator(page->items.begin()), std::make_move_iterator(page->items.end()));
    url = std::move(page->next);
  }
  return all;
}

}  // namespace slipway::cloud::azure
