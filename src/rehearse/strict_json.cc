#include "rehearse/strict_json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "config/words.h"

namespace slipway::rehearse {
namespace {

namespace json = boost::json;

constexpr size_t entries_max = 100'000;                   // of a list
constexpr int64_t milliseconds_max = 366LL * 86'400'000;  // a year

json::string_view view(std::string_view text) {
  return {text.data(), text.size()};
}

std::optional<int64_t> whole(const json::value& value, int64_t most) {
  if (!value.is_int64() || value.get_int64() < 0 || value.get_int64() > most) return std::nullopt;
  return value.get_int64();
}

}  // namespace

StrictObject::StrictObject(const json::value& value, std::string where)
    : where_(std::move(where)), object_(value.if_object()) {
  if (!object_) complain((where_.empty() ? "it" : where_) + " must be a JSON object");
}

const json::value* StrictObject::member(std::string_view key) {
  known_.emplace_back(key);
  return object_ ? object_->if_contains(view(key)) : nullptr;
}

std::string StrictObject::path(std::string_view key) const {
  return where_.empty() ? std::string(key) : where_ + "." + std::string(key);
}

void StrictObject::complain(std::string what) {
  if (!mistake_) mistake_ = std::move(what);
}

void StrictObject::read(std::string_view key, std::string& to) {
  const json::value* value = member(key);
  if (!value) return;
  if (!value->is_string()) return complain(path(key) + " must be a text");
  to = std::string(value->get_string());
}

void StrictObject::read(std::string_view key, bool& to) {
  const json::value* value = member(key);
  if (!value) return;
  if (!value->is_bool()) return complain(path(key) + " must be true or false");
  to = value->get_bool();
}

void StrictObject::read(std::string_view key, uint32_t& to) {
  const json::value* value = member(key);
  if (!value) return;
  const auto number = whole(*value, UINT32_MAX);
  if (!number) return complain(path(key) + " must be a whole number, 0 to 4294967295");
  to = static_cast<uint32_t>(*number);
}

void StrictObject::read(std::string_view key, double& to) {
  const json::value* value = member(key);
  if (!value) return;
  json::error_code error;
  const double number = value->to_number<double>(error);
  if (error || !std::isfinite(number) || number < 0) return complain(path(key) + " must be a number, 0 or more");
  to = number;
}

void StrictObject::read(std::string_view key, Duration& to) {
  const json::value* value = member(key);
  if (!value) return;
  const auto number = whole(*value, milliseconds_max);
  if (!number) return complain(path(key) + " must be milliseconds, a whole number of at most a year");
  to = Duration(*number);
}

void StrictObject::read(std::string_view key, Span& to) {
  const json::value* value = member(key);
  if (!value) return;
  const json::array* both = value->if_array();
  const bool pair = both && both->size() == 2;
  const auto least = whole(pair ? (*both)[0] : *value, milliseconds_max);
  const auto most = pair ? whole((*both)[1], milliseconds_max) : least;
  if (!least || !most || *least > *most)
    return complain(path(key) + " must be milliseconds: one number, or [least, most]");
  to = {Duration(*least), Duration(*most)};
}

void StrictObject::read(std::string_view key, std::optional<model::Market>& to) {
  const json::value* value = member(key);
  if (!value || value->is_null()) return;
  for (const model::Market market : {model::Market::on_demand, model::Market::spot}) {
    if (value->is_string() && value->get_string() == view(model::to_string(market))) to = market;
  }
  if (!to) complain(path(key) + " must be \"on_demand\" or \"spot\"; left out, it means both");
}

void StrictObject::read(std::string_view key, std::vector<std::string>& to) {
  const json::value* value = member(key);
  if (!value) return;
  const json::array* list = value->if_array();
  if (!list || list->size() > entries_max) return complain(path(key) + " must be a list of texts");
  for (const json::value& each : *list) {
    if (!each.is_string()) return complain(path(key) + " must be a list of texts");
    to.emplace_back(each.get_string());
  }
}

void StrictObject::read_status(std::string_view key, int& to) {
  uint32_t status = 0;
  read(key, status);
  if (status != 0 && (status < 400 || status > 599)) complain(path(key) + " must be 0, or a status from 400 to 599");
  to = static_cast<int>(status);
}

void StrictObject::read_list(std::string_view key, const std::function<void(StrictObject&)>& each) {
  const json::value* value = member(key);
  if (!value) return;
  const json::array* list = value->if_array();
  if (!list) return complain(path(key) + " must be a list");
  if (list->size() > entries_max)
    return complain(path(key) + " has more than " + std::to_string(entries_max) + " entries");
  for (size_t i = 0; i < list->size() && !mistake_; ++i) {
    StrictObject entry((*list)[i], path(key) + "[" + std::to_string(i) + "]");
    each(entry);
    entry.finish();
    if (entry.mistake_) complain(*entry.mistake_);
  }
}

void StrictObject::need(std::string_view key) {
  if (object_ && !object_->contains(view(key))) complain(path(key) + " is missing");
}

// Members that nobody asked for are mistakes.
void StrictObject::finish() {
  if (!object_) return;
  for (const auto& pair : *object_) {
    const std::string key(pair.key());
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    return complain(path(key) + " isn't known" + config::did_you_mean(key, known_));
  }
}

Result<void> read_strictly(std::string_view text, std::string_view what,
                           const std::function<void(StrictObject&)>& read) {
  json::error_code error;
  const json::value value = json::parse(view(text), error);
  const std::string start(what);
  if (error) return fail(ErrorCode::bad_config, start + " aren't JSON: " + error.message());
  StrictObject object(value, "");
  if (!value.is_object()) return fail(ErrorCode::bad_config, start + " must be a JSON object");
  read(object);
  object.finish();
  if (object.mistake_) return fail(ErrorCode::bad_config, start + ": " + *object.mistake_);
  return {};
}

}  // namespace slipway::rehearse
