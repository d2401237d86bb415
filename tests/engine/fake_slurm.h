// A small slurmctld for the engine's tests: power saving, registration, jobs, and what `scontrol update` does, as it
// was seen to behave.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "engine/decide.h"

namespace slipway::engine::fake {

inline TimePoint at(int64_t ms) {
  return TimePoint(Duration(ms));
}

struct Node {
  model::NodeBase base = model::NodeBase::idle;
  uint32_t flags = model::node_cloud | model::node_powered_down;
  std::string address;
  std::string reason;
  int64_t resumed_at = 0;
  int64_t last_busy = 0;
  int64_t unheard_since = -1;  // its slurmd doesn't answer
  JobId job = 0;

  bool has(model::NodeFlag flag) const { return (flags & flag) != 0; }
};

struct Job {
  JobId id = 0;
  size_t want = 1;  // nodes
  int64_t run_for = 5'000;
  int64_t not_before = 0;
  std::vector<std::string> nodes;
  int64_t started_at = -1;  // -1: CONFIGURING or PENDING
  bool done = false;
  uint32_t requeues = 0;
};

class Slurm {
 public:
  int64_t resume_timeout = 120'000;
  int64_t down_after = 60'000;  // SlurmdTimeout
  int64_t requeue_delay = 10'000;
  std::map<std::string, Node> nodes;
  std::vector<Job> jobs;  // in Slurm's order

  explicit Slurm(size_t count) {
    for (size_t i = 1; i <= count; ++i) {
      std::string name = std::to_string(i);
      name = "cpu-" + std::string(4 - std::min<size_t>(4, name.size()), '0') + name;
      nodes[name].address = name;
    }
  }

  void submit(JobId id, size_t want, int64_t run_for) { jobs.push_back({.id = id, .want = want, .run_for = run_for}); }
  void cancel(JobId id, int64_t now) {
    for (Job& job : jobs) {
      if (job.id != id || job.done) continue;
      release(job, now);
      job.done = true;
    }
  }

  void tick(int64_t now) {
    for (auto& [name, node] : nodes) step_power(node, now);
    for (Job& job : jobs) step_job(job, now);
  }

  // True when slurmctld counts the node as registered.
  bool register_node(const std::string& name, const std::string& address, int64_t slurmd_started, int64_t now) {
    Node& node = nodes[name];
    if (node.has(model::node_powering_down)) return false;
    if (node.has(model::node_powering_up) && slurmd_started < node.resumed_at) return false;  // answered, ignored
    node.flags &=
        ~static_cast<uint32_t>(model::node_powering_up | model::node_not_responding | model::node_powered_down);
    if (node.base == model::NodeBase::down && !node.has(model::node_power_down_requested) &&
        !node.reason.starts_with("admin")) {
      node.base = model::NodeBase::idle;  // ReturnToService=2
      node.reason.clear();
    }
    node.address = address;
    node.unheard_since = -1;
    node.last_busy = std::max(node.last_busy, now);
    return true;
  }

  void update(Tell what, const std::string& name, const std::string& reason, int64_t now) {
    Node& node = nodes[name];
    switch (what) {
      case Tell::down:
        requeue(node, now);
        node.base = model::NodeBase::down;
        node.reason = reason;
        break;
      case Tell::power_down:
        if (!node.has(model::node_powering_down)) node.flags |= model::node_power_down_requested;
        break;
      case Tell::power_up:
        if (node.has(model::node_powered_down)) node.flags |= model::node_power_up_requested;
        break;
      case Tell::resume:
        if (node.has(model::node_powering_up)) break;  // refused
        if (node.has(model::node_powering_down)) sleep(name, node);
        if (node.base == model::NodeBase::down) node.base = model::NodeBase::idle;
        break;
    }
  }

  // slurmctld is killed and comes back with an older state: nodes that boot are asleep again and their jobs pending.
  void lose_power_flags(int64_t now) {
    for (auto& [name, node] : nodes) {
      if (!node.has(model::node_powering_up)) continue;
      requeue(node, now - requeue_delay);
      node.flags = model::node_cloud | model::node_powered_down;
    }
  }

  bool all_done() const {
    return std::all_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.done; });
  }
  bool asleep() const {
    return std::all_of(nodes.begin(), nodes.end(), [](const auto& entry) {
      return entry.second.has(model::node_powered_down) && entry.second.base == model::NodeBase::idle;
    });
  }

 private:
  static bool up(const Node& node) {
    constexpr uint32_t power = model::node_powered_down | model::node_powering_up | model::node_powering_down;
    return (node.flags & power) == 0 && node.base != model::NodeBase::down && !node.has(model::node_not_responding);
  }
  static bool free(const Node& node) {
    return node.job == 0 && node.base == model::NodeBase::idle &&
           (node.flags & (model::node_powering_down | model::node_power_down_requested | model::node_not_responding |
                          model::node_drain)) == 0 &&
           !(node.has(model::node_powering_up));
  }
  static void sleep(const std::string& name, Node& node) {
    node.flags = model::node_cloud | model::node_powered_down;
    node.address = name;
    node.unheard_since = -1;
  }

  void step_power(Node& node, int64_t now) {
    if (node.has(model::node_powered_down) && !node.has(model::node_power_down_requested) &&
        (node.job != 0 || node.has(model::node_power_up_requested))) {
      node.flags = model::node_cloud | model::node_powering_up | model::node_not_responding;
      node.resumed_at = now;
    } else if (node.has(model::node_power_down_requested) && node.job == 0 &&
               (!node.has(model::node_powering_up) || node.base == model::NodeBase::down)) {
      node.flags = model::node_cloud | model::node_powering_down;
      node.base = model::NodeBase::idle;  // idle_on_node_suspend
    } else if (node.has(model::node_powering_up) && now - node.resumed_at > resume_timeout) {
      requeue(node, now);
      node.base = model::NodeBase::down;
      node.reason = "ResumeTimeout reached";
      node.flags = model::node_cloud | model::node_powered_down | model::node_not_responding;
    } else if (node.unheard_since >= 0 && up_power(node)) {
      if (now - node.unheard_since > down_after / 3) node.flags |= model::node_not_responding;
      if (now - node.unheard_since > down_after && node.base != model::NodeBase::down) {
        requeue(node, now);
        node.base = model::NodeBase::down;
        node.reason = "Not responding";
      }
    }
    if (node.job != 0 && up_power(node) && node.base == model::NodeBase::idle) node.base = model::NodeBase::allocated;
  }
  static bool up_power(const Node& node) {
    return (node.flags & (model::node_powered_down | model::node_powering_up | model::node_powering_down)) == 0;
  }

  void step_job(Job& job, int64_t now) {
    if (job.done) return;
    if (job.nodes.empty()) {
      if (now < job.not_before) return;
      std::vector<std::string> picked;
      for (const auto& [name, node] : nodes) {
        if (free(node) && picked.size() < job.want) picked.push_back(name);
      }
      if (picked.size() < job.want) return;
      job.nodes = picked;
      for (const std::string& name : picked) nodes[name].job = job.id;
      return;
    }
    if (job.started_at < 0) {
      if (std::all_of(job.nodes.begin(), job.nodes.end(), [&](const std::string& name) { return up(nodes[name]); }))
        job.started_at = now;
      return;
    }
    if (now - job.started_at < job.run_for) return;
    release(job, now);
    job.done = true;
  }

  void release(Job& job, int64_t now) {
    for (const std::string& name : job.nodes) {
      Node& node = nodes[name];
      node.job = 0;
      node.last_busy = now;
      if (node.base == model::NodeBase::allocated) node.base = model::NodeBase::idle;
    }
    job.nodes.clear();
    job.started_at = -1;
  }
  void requeue(const Node& node, int64_t now) {
    for (Job& job : jobs) {
      if (node.job == 0 || job.id != node.job || job.done) continue;
      ++job.requeues;
      release(job, now);
      job.not_before = now + requeue_delay;
      return;
    }
  }
};

}  // namespace slipway::engine::fake
