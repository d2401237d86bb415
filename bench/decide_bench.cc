// decide() over 1k, 10k and 100k nodes. Each iteration is one round with a Memory that has seen the same picture
// before, except the burst, which starts from nothing each time.
#include <benchmark/benchmark.h>

#include <string>

#include "engine/decide.h"

namespace slipway::engine {
namespace {

enum class Mix { asleep, serving, changing, burst };

TimePoint at(int64_t ms) {
  return TimePoint(Duration(ms));
}

constexpr int64_t start = 1'700'000'000'000;

std::string address(size_t i) {
  return "198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250);
}

InstanceView machine(size_t i, AgentState agent, const std::string& node) {
  InstanceView instance;
  instance.id = InstanceId("i-" + std::to_string(10'000'000 + i));
  instance.pool = 0;
  instance.state = model::InstanceState::running;
  instance.address = address(i);
  instance.launch_token = "slw-0123456789abcdef0123456789abcdef";
  instance.launched_at = at(start - 100'000);
  instance.agent = agent;
  instance.agent_since = at(start - 50'000);
  instance.bound = NodeName(node);
  if (agent == AgentState::serving) instance.slurmd_started = at(start - 50'000);
  return instance;
}

View make_view(size_t count, Mix mix) {
  View view;
  view.slurm_known = true;
  view.slurm_as_of = at(start);
  view.instances_complete = true;
  view.instances_as_of = at(start);
  view.nodes.reserve(count);
  JobView job{.id = 1};
  for (size_t i = 0; i < count; ++i) {
    NodeView node;
    std::string number = std::to_string(i + 1);
    number.insert(0, 6 - number.size(), '0');
    node.name = NodeName("cpu-" + number);
    node.pool = 0;
    node.address = node.name.str();
    node.slurm = {model::NodeBase::idle, model::node_cloud | model::node_powered_down};
    const auto serve = [&](bool busy) {
      node.slurm = {busy ? model::NodeBase::allocated : model::NodeBase::idle, model::node_cloud};
      node.busy = busy;
      node.address = address(i);
      node.last_busy = at(start - 1'000);
      view.instances.push_back(machine(i, AgentState::serving, node.name.str()));
    };
    const auto want = [&] {
      node.slurm = {model::NodeBase::allocated,
                    model::node_cloud | model::node_powering_up | model::node_not_responding};
      node.busy = true;
      job.nodes.push_back(node.name);
    };
    switch (mix) {
      case Mix::asleep:
        break;
      case Mix::serving:
        serve(i % 3 != 0);
        break;
      case Mix::burst:
        want();
        break;
      case Mix::changing:  // half asleep, 40% up, 10% between states
        if (i % 10 < 4) {
          serve(i % 3 != 0);
        } else if (i % 10 == 4) {
          switch (i / 10 % 4) {
            case 0:
              want();
              break;
            case 1:
              want();
              view.instances.push_back(machine(i, AgentState::waiting, ""));
              break;
            case 2:
              want();
              view.instances.push_back(machine(i, AgentState::starting, node.name.str()));
              break;
            default:
              node.slurm = {model::NodeBase::idle, model::node_cloud | model::node_powering_down};
              view.instances.push_back(machine(i, AgentState::serving, node.name.str()));
          }
        }
        break;
    }
    view.nodes.push_back(std::move(node));
  }
  if (!job.nodes.empty()) view.jobs.push_back(std::move(job));
  return view;
}

Spec make_bench_spec(size_t count) {
  Spec spec;
  spec.cluster = "bench";
  Spec::Pool pool;
  pool.name = PoolName("cpu");
  pool.max = static_cast<uint32_t>(count);
  pool.idle_reclaim = Duration(600'000);
  pool.boot_timeout = Duration(300'000);
  pool.register_timeout = Duration(60'000);
  spec.pools.push_back(pool);
  return spec;
}

void decide_mix(benchmark::State& state, Mix mix) {
  const auto count = static_cast<size_t>(state.range(0));
  const View view = make_view(count, mix);
  const Spec spec = make_bench_spec(count);
  Memory memory;
  if (mix != Mix::burst) decide(view, spec, memory, at(start));
  for (auto _ : state) {
    if (mix == Mix::burst) {
      state.PauseTiming();
      memory = Memory();
      state.ResumeTiming();
    }
    Plan plan = decide(view, spec, memory, at(start + 1));
    benchmark::DoNotOptimize(plan);
  }
  state.counters["per_node"] = benchmark::Counter(
      static_cast<double>(count), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(decide_mix, all_asleep, Mix::asleep)
    ->RangeMultiplier(10)
    ->Range(1'000, 100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decide_mix, all_serving, Mix::serving)
    ->RangeMultiplier(10)
    ->Range(1'000, 100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decide_mix, tenth_changing, Mix::changing)
    ->RangeMultiplier(10)
    ->Range(1'000, 100'000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(decide_mix, burst_all_wanted, Mix::burst)
    ->RangeMultiplier(10)
    ->Range(1'000, 100'000)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace slipway::engine

BENCHMARK_MAIN();
