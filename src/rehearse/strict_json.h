// JSON that people write for us: every member must be known and right, and the first that isn't is named with its path
// and the word that was meant.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/offer.h"
#include "rehearse/levers.h"

namespace boost::json {
class value;
class object;
}  // namespace boost::json

namespace slipway::rehearse {

// Each read() takes a member when it is there and leaves `to` alone when it isn't.
class StrictObject {
 public:
  void read(std::string_view key, std::string& to);
  void read(std::string_view key, bool& to);
  void read(std::string_view key, uint32_t& to);
  void read(std::string_view key, double& to);
  void read(std::string_view key, Duration& to);  // milliseconds, at most a year
  void read(std::string_view key, Span& to);      // milliseconds: one number, or [least, most]
  void read(std::string_view key, std::optional<model::Market>& to);
  void read(std::string_view key, std::vector<std::string>& to);
  void read_status(std::string_view key, int& to);  // of HTTP, 400 to 599, or 0
  void read_list(std::string_view key, const std::function<void(StrictObject&)>& each);
  void need(std::string_view key);
  void complain(std::string what);  // the first complaint counts

 private:
  friend Result<void> read_strictly(std::string_view, std::string_view, const std::function<void(StrictObject&)>&);
  StrictObject(const boost::json::value& value, std::string where);
  const boost::json::value* member(std::string_view key);
  std::string path(std::string_view key) const;
  void finish();

  std::string where_;
  const boost::json::object* object_ = nullptr;
  std::vector<std::string> known_;
  std::optional<std::string> mistake_;
};

// `what`: "the levers". bad_config with the first mistake.
Result<void> read_strictly(std::string_view text, std::string_view what,
                           const std::function<void(StrictObject&)>& read);

}  // namespace slipway::rehearse
