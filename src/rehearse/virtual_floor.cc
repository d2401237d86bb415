// Machines that are rows of a table. Their addresses count from 198.19.0.4 through 198.18.0.0/15 (RFC 2544), which is
// routed nowhere; each of 131,000 machines has its own.
#include <arpa/inet.h>

#include <unordered_map>
#include <unordered_set>

#include "rehearse/floor.h"

namespace slipway::rehearse {
namespace {

constexpr uint32_t network = 198u << 24 | 18u << 16;
constexpr uint32_t size = 1u << 17;
constexpr uint32_t first = (1u << 16) + 4;

std::string text_of(uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255);
}

class VirtualFloor final : public Floor {
 public:
  explicit VirtualFloor(Loop& loop) : loop_(loop) {}
  ~VirtualFloor() override { *living_ = false; }

  void boot(std::vector<Boot> machines) override {
    for (const Boot& boot : machines) {
      Row& row = rows_[boot.key];
      row.boots = boot.boots;
      if (row.address == 0) row.address = take(boot.address);
      Facts facts;
      facts.key = boot.key;
      facts.boots = boot.boots;
      if (row.address == 0) {
        rows_.erase(boot.key);
        facts.end = "no address of 198.18.0.0/15 is free";
      } else {
        facts.exists = true;
        facts.address = text_of(row.address);
        facts.start_task_begun = !boot.never && !boot.silent;
        if (facts.start_task_begun) facts.start_task_status = boot.fails ? 1 : 0;
      }
      say(std::move(facts));
    }
  }

  void end(const std::vector<MachineKey>& machines, bool /*power_cut*/) override {
    for (const MachineKey key : machines) {
      auto it = rows_.find(key);
      if (it == rows_.end()) continue;
      Facts facts;
      facts.key = key;
      facts.boots = it->second.boots;
      facts.end = "ended";
      taken_.erase(it->second.address);
      rows_.erase(it);
      say(std::move(facts));
    }
  }

  void adopt(const std::vector<Kept>& machines) override {
    rows_.clear();
    taken_.clear();
    for (const Kept& kept : machines) rows_[kept.key] = {take(kept.address), kept.boots};
  }

  void watch(std::function<void(const Facts&)> changed) override { changed_ = std::move(changed); }

 private:
  struct Row {
    uint32_t address = 0;
    uint32_t boots = 0;
  };

  uint32_t take(const std::string& wanted) {
    in_addr parsed{};
    if (!wanted.empty() && ::inet_pton(AF_INET, wanted.c_str(), &parsed) == 1) {
      const uint32_t address = ntohl(parsed.s_addr);
      if (address - network < size && taken_.insert(address).second) return address;
    }
    for (uint32_t tried = 0; tried < size; ++tried) {
      const uint32_t number = next_;
      next_ = (next_ + 1) % size;
      const uint32_t last_byte = number & 255;
      if (last_byte == 0 || last_byte == 255) continue;
      if (taken_.insert(network + number).second) return network + number;
    }
    return 0;
  }

  void say(Facts facts) {
    said_.push_back(std::move(facts));
    if (said_.size() > 1) return;
    loop_.after(Duration(0), [this, alive = living_] {
      if (!*alive) return;
      const auto facts_of_turn = std::exchange(said_, {});
      for (const Facts& each : facts_of_turn) {
        if (changed_) changed_(each);
      }
    });
  }

  Loop& loop_;
  std::unordered_map<MachineKey, Row> rows_;
  std::unordered_set<uint32_t> taken_;
  uint32_t next_ = first;
  std::vector<Facts> said_;
  std::function<void(const Facts&)> changed_;
  std::shared_ptr<bool> living_ = std::make_shared<bool>(true);
};

}  // namespace

std::unique_ptr<Floor> make_virtual_floor(Loop& loop) {
  return std::make_unique<VirtualFloor>(loop);
}

}  // namespace slipway::rehearse
