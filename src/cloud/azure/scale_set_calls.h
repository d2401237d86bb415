// The calls of scale sets, one function each. Thread-safe: it has no state.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cloud/azure/compute_pages.h"
#include "cloud/azure/compute_parse.h"
#include "cloud/azure/fleet.h"

namespace slipway::cloud::azure {

// An asynchronous operation, as ARM hands it out.
struct Pending {
  std::string url;       // empty: it was over when the answer came
  Duration wait{2'000};  // ask again after so long
};

class ScaleSetCalls {
 public:
  ScaleSetCalls(std::shared_ptr<Rest> arm, std::string endpoint, std::string subscription, std::string resource_group);

  // Resource ids, as Azure writes them.
  std::string set_id(std::string_view set) const;

  Result<std::vector<ScaleSetView>> sets(const Deadline& deadline) const;                 // all pages
  Result<ScaleSetView> set(std::string_view name, const Deadline& deadline) const;        // with its etag
  Result<std::vector<VmView>> vms(std::string_view set, const Deadline& deadline) const;  // all pages, instance views
  Result<std::vector<NicView>> nics(const Deadline& deadline) const;                      // all pages

  struct Changed {
    std::string etag;  // empty: not told
    Pending pending;
  };
  Result<Changed> make(std::string_view set, const std::string& body, const Deadline& deadline) const;
  // `etag`: what the set had when it was looked at; empty: never mind.
  Result<Changed> update(std::string_view set, const std::string& body, const std::string& etag,
                         const Deadline& deadline) const;
  Result<Changed> remove_vms(std::string_view set, const std::vector<std::string>& names,
                             const Deadline& deadline) const;  // at most 1000
  Result<Changed> remove_set(std::string_view set, const Deadline& deadline) const;
  Result<void> make_proximity(std::string_view name, const std::string& body, const Deadline& deadline) const;

  struct Followed {
    OperationView view;
    Duration wait{2'000};
  };
  // An operation that Azure doesn't know any more has succeeded: what became of it shows in the set.
  Result<Followed> follow(const std::string& url, const Deadline& deadline) const;

 private:
  Result<http::Response> send(std::string method, std::string url, std::string body, http::Headers headers,
                              const Deadline& deadline) const;
  Result<Changed> change(std::string method, std::string url, std::string body, http::Headers headers,
                         const Deadline& deadline) const;
  std::string set_url(std::string_view set, std::string_view action) const;

  std::shared_ptr<Rest> arm_;
  std::string endpoint_;
  std::string group_;  // "/subscriptions/…/resourceGroups/…"
};

}  // namespace slipway::cloud::azure
