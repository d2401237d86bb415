#include "machines/fleet.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <thread>
#include <utility>

#include "base/check.h"
#include "base/files.h"
#include "base/log.h"
#include "machines/limits.h"
#include "machines/machine_boot_data.h"

namespace slipway::machines {
namespace {

constexpr Duration listed_when_gone{60'000};
constexpr Duration boot_time_max{60'000};  // from start to the agent's exec: our own work only
constexpr Duration forget_after{1'000};
constexpr size_t gone_folders_max = 200;
constexpr size_t failure_text_max = 4096;
constexpr uint64_t memory_per_machine = 4 << 20;  // before its daemons start
constexpr uint64_t memory_reserve = 256 << 20;
constexpr uint64_t disk_reserve = 64 << 20;

// Enough to keep every core busy while some wait for the kernel.
size_t booting_max() {
  return std::max<size_t>(4, 3 * std::thread::hardware_concurrency());
}

uint64_t memory_available() {
  auto text = read_file("/proc/meminfo", 64 << 10);
  size_t at = text ? text->find("MemAvailable:") : std::string::npos;
  if (at == std::string::npos) return UINT64_MAX;
  at = text->find_first_of("0123456789", at);
  uint64_t kib = 0;
  if (at == std::string::npos || std::from_chars(text->data() + at, text->data() + text->size(), kib).ec != std::errc())
    return UINT64_MAX;
  return kib << 10;
}

std::string how_it_ended(const siginfo_t& info) {
  if (info.si_code == CLD_EXITED) return "ended with status " + std::to_string(info.si_status);
  return "ended by signal " + std::to_string(info.si_status);
}

// Controllers and login nodes are no part of the cloud whose troubles are rehearsed.
bool is_bought(const std::string& role) {
  return role == "compute";
}

bool concerns(const BootTrouble& trouble, const MachineSpec& spec) {
  return is_bought(spec.role) && (trouble.pool.empty() || trouble.pool == spec.pool);
}

void log_launch(const MachineSpec& spec, uint32_t count, const std::string& token, const LaunchTerms& terms,
                const LaunchResult& result) {
  std::string refusals;
  for (const Refusal& refusal : result.refusals) refusals += (refusals.empty() ? "" : "; ") + refusal.error.message;
  log_info("launched", {{"role", spec.role},
                        {"pool", spec.pool},
                        {"market", model::to_string(terms.market)},
                        {"asked", count},
                        {"minimum", terms.minimum},
                        {"accepted", result.ids.size()},
                        {"token", token},
                        {"refusals", refusals}});
}

constexpr const char* usual_program = "slipway-agent";

bool valid_role(const std::string& role) {
  return role == "controller" || role == "login" || role == "compute" || role == "vm";
}

}  // namespace

Fleet::Fleet(const Clock& clock, Loop& loop, Network& network, const HostOptions& options)
    : clock_(clock),
      loop_(loop),
      network_(network),
      options_(options),
      addresses_(network.subnet(), 0),
      counter_(load_counter(options.state)),
      limits_(load_limits(options.state)) {
  if (auto last = parse_ipv4(counter_.last_address)) addresses_ = AddressPool(network.subnet(), *last);
}

Fleet::~Fleet() {
  *living_ = false;
  for (auto& [id, entry] : entries_) {
    if (entry.process) loop_.unwatch(entry.process.get());
    if (entry.line) loop_.unwatch(entry.line.get());
    loop_.cancel(entry.deadline);
    loop_.cancel(entry.eviction);
  }
}

Fleet::Entry* Fleet::find(const std::string& id) {
  auto it = entries_.find(id);
  return it == entries_.end() ? nullptr : &it->second;
}

void Fleet::save(const Entry& entry) {
  if (auto saved = save_record(options_.state, entry.record); !saved) {
    log_error("machine_not_recorded", {{"machine", entry.record.machine.id}, {"why", saved.error().message}});
  }
}

void Fleet::adopt() {
  TimePoint now = clock_.now();
  std::vector<Record> records = load_records(options_.state);
  // The oldest end first, so that the newest folders are kept.
  std::stable_sort(records.begin(), records.end(),
                   [](const Record& a, const Record& b) { return a.ended_at < b.ended_at; });
  size_t running = 0;
  for (Record& record : records) {
    const std::string id = record.machine.id;
    if (record.machine.state == MachineState::gone) {
      gone_folders_.push_back(id);
      if (record.ended_at + listed_when_gone <= now) continue;
    }
    Entry& entry = entries_[id];
    entry.record = std::move(record);
    if (auto address = parse_ipv4(entry.record.machine.address)) entry.address = *address;
    if (entry.record.machine.state == MachineState::gone) {
      ++gone_count_;
      loop_.after(entry.record.ended_at + listed_when_gone - now, [this, id, living = living_] {
        if (!*living || entries_.erase(id) == 0) return;
        --gone_count_;
      });
      continue;
    }
    addresses_.take_this(entry.address);
    auto process = open_process(entry.record.process);
    if (!process) {
      bool started = entry.record.process.pid != 0;
      if (!entry.record.ending.empty()) {
        gone(entry, entry.record.ending);
      } else {
        gone(entry,
             started ? "ended while no machine host was watching" : "failed to start: the machine host ended first");
      }
      continue;
    }
    entry.process = std::move(*process);
    // Whether its agent had started can't be seen any more; it was let go, so it starts or ends.
    if (entry.record.machine.state == MachineState::starting) entry.record.machine.state = MachineState::running;
    watch(entry);
    save(entry);
    await_eviction(entry);
    ++running;
  }
  raise_limits(options_.state, running);
  if (!records.empty()) log_info("machines_adopted", {{"running", running}, {"recorded", records.size()}});
  prune();
}

std::vector<std::string> Fleet::ids_of_token(const std::string& token) const {
  std::vector<std::string> ids;
  bool any_exists = false;
  if (token.empty()) return ids;
  for (const auto& [id, entry] : entries_) {
    if (entry.record.machine.launch_token != token) continue;
    ids.push_back(id);
    any_exists |= entry.record.machine.state != MachineState::gone;
  }
  if (!any_exists) ids.clear();
  return ids;
}

Result<std::shared_ptr<const Fleet::LaunchPlan>> Fleet::plan_launch(const MachineSpec& spec) const {
  if (!valid_role(spec.role)) return fail(ErrorCode::bad_config, "a machine can't have the role '" + spec.role + "'");
  std::error_code error;
  if (spec.program.find('/') != std::string::npos ||
      (!spec.program.empty() && !std::filesystem::is_regular_file(options_.programs / spec.program, error))) {
    return fail(ErrorCode::bad_config, "there is no program '" + spec.program + "' in " + options_.programs.string());
  }
  auto key = read_master_key(options_.state);
  if (!key) return fail(key.error());
  std::vector<Mount> mounts = options_.shared;
  mounts.insert(mounts.end(), spec.mounts.begin(), spec.mounts.end());
  auto root = plan_root(spec.image, folders_of_states(options_.state), std::move(mounts));
  if (!root) return fail(root.error());
  auto plan = std::make_shared<LaunchPlan>();
  plan->spec = spec;
  plan->root = std::make_shared<const RootPlan>(std::move(*root));
  plan->master_key = std::move(*key);
  // Refused here rather than in each machine.
  if (auto made = make_boot_data(plan->master_key, options_.cluster, Machine{}, spec.boot_data); !made)
    return fail(made.error());
  return std::shared_ptr<const LaunchPlan>(std::move(plan));
}

uint32_t Fleet::room_for(uint32_t count, std::optional<Error>& full) const {
  uint64_t room = count;
  auto at_most = [&](uint64_t limit, std::string why) {
    if (limit >= room) return;
    room = limit;
    full = Error{ErrorCode::no_capacity, std::move(why), std::nullopt};
  };
  at_most(addresses_.available(), "the subnet " + subnet_text(network_.subnet()) + " has no more free addresses");
  size_t ports = alive();
  at_most(ports >= bridge_ports_max ? 0 : bridge_ports_max - ports,
          "a Linux bridge has " + std::to_string(bridge_ports_max) + " ports, and so many machines exist");
  uint64_t memory = memory_available();
  at_most(memory <= memory_reserve ? 0 : (memory - memory_reserve) / memory_per_machine,
          "the box has too little free memory");
  struct statvfs disk {};
  if (::statvfs(options_.state.c_str(), &disk) == 0 && disk.f_bavail * disk.f_frsize < disk_reserve) {
    at_most(0, "the disk with " + options_.state.string() + " is full");
  }
  return static_cast<uint32_t>(room);
}

uint32_t Fleet::count_of(const CapacityLimit& limit) const {
  uint32_t count = 0;
  for (const auto& [id, entry] : entries_) {
    const Machine& machine = entry.record.machine;
    if (!is_bought(machine.role) || machine.state == MachineState::gone) continue;
    if (covers(limit, machine.pool, machine.market, machine.offer)) ++count;
  }
  return count;
}

Fill Fleet::fill_launch(const MachineSpec& spec, uint32_t count, const LaunchTerms& terms) {
  Supply supply;
  if (is_bought(spec.role)) supply.limits = limits_;
  supply.existing = [this](const CapacityLimit& limit) { return count_of(limit); };
  supply.refuse = [&](uint32_t most) { return take_refusals(spec, most); };
  std::optional<Error> full;
  const uint32_t room = room_for(count, full);
  Fill fill = fill_offers(spec.pool, terms, room, supply);
  if (full && fill.given == room) fill.refusals.push_back({{}, std::move(*full)});
  if (fill.given < terms.minimum) {
    fill.grants.clear();
    fill.given = 0;
  }
  return fill;
}

uint32_t Fleet::take_refusals(const MachineSpec& spec, uint32_t most) {
  uint32_t taken = 0;
  for (BootTrouble& trouble : troubles_) {
    if (!concerns(trouble, spec)) continue;
    const uint32_t refused = std::min(trouble.refuse, most - taken);
    trouble.refuse -= refused;
    taken += refused;
  }
  return taken;
}

BootTrouble Fleet::take_boot_trouble(const MachineSpec& spec) {
  BootTrouble taken;
  for (BootTrouble& trouble : troubles_) {
    if (!concerns(trouble, spec)) continue;
    taken.delay = std::max(taken.delay, trouble.delay);
    if (taken.never == 0 && trouble.never > 0) {
      --trouble.never;
      taken.never = 1;
    }
  }
  return taken;
}

Result<Ipv4> Fleet::take_address(const std::string& wanted) {
  if (wanted.empty()) {
    if (auto free = addresses_.take()) return *free;
    return fail(ErrorCode::no_capacity, "the subnet " + subnet_text(network_.subnet()) + " has no more free addresses");
  }
  auto address = parse_ipv4(wanted);
  if (!address) return fail(address.error());
  if (addresses_.take_this(*address)) return *address;
  return fail(ErrorCode::no_capacity,
              "the address " + wanted + " is taken, or isn't one of " + subnet_text(network_.subnet()));
}

Result<std::string> Fleet::record_machine(const std::shared_ptr<const LaunchPlan>& plan, const std::string& token,
                                          const LaunchTerms& terms, const model::Offer& offer, Ipv4 own) {
  std::string id = machine_id(counter_.next_number++);
  Record record;
  record.machine.id = id;
  record.machine.role = plan->spec.role;
  record.machine.pool = plan->spec.pool;
  record.machine.launch_token = token;
  record.machine.address = ipv4_text(own);
  record.machine.launched_at = clock_.now();
  record.machine.market = terms.market;
  record.machine.offer = offer;
  record.machine.placement = terms.placement;
  auto recorded = make_folder(machine_logs(options_.state, id), 0755);
  if (recorded) recorded = save_record(options_.state, record);
  if (!recorded) {
    addresses_.give_back(own);
    return fail(ErrorCode::no_capacity, "can't record a machine: " + recorded.error().message);
  }
  BootTrouble trouble = take_boot_trouble(plan->spec);
  Entry& entry = entries_[id];
  entry.record = std::move(record);
  entry.address = own;
  entry.launch = plan;
  entry.delay = trouble.delay;
  entry.never = trouble.never > 0;
  queue_.push_back(id);
  return id;
}

Result<LaunchResult> Fleet::launch(const MachineSpec& spec, uint32_t count, const std::string& token,
                                   const LaunchTerms& terms) {
  if (on_empty_) return fail(ErrorCode::permanent, "the machine host is shutting down");
  LaunchResult result;
  result.ids = ids_of_token(token);
  if (!result.ids.empty()) {
    // An offer is asked for what the earlier ones didn't give: when some is missing, each was short.
    if (result.ids.size() < count) {
      result.refusals.push_back(
          {{}, {ErrorCode::no_capacity, "the earlier launch with this token made no more", std::nullopt}});
    }
    return result;
  }
  if (!terms.address.empty() && count != 1)
    return fail(ErrorCode::bad_config, "only a launch of one machine can ask for an address");
  auto plan = plan_launch(spec);
  if (!plan) return fail(plan.error());

  Fill fill = fill_launch(spec, count, terms);
  result.refusals = std::move(fill.refusals);
  // First the numbers, then what uses them: whatever happens in between, an id is never used again.
  uint32_t first = counter_.next_number;
  counter_.next_number += fill.given;
  if (auto saved = save_counter(options_.state, counter_); !saved) return fail(saved.error());
  counter_.next_number = first;
  raise_limits(options_.state, alive() + fill.given);

  bool failed = false;
  for (const Grant& grant : fill.grants) {
    for (uint32_t i = 0; i < grant.count && !failed; ++i) {
      auto own = take_address(terms.address);
      auto id = own ? record_machine(*plan, token, terms, grant.offer, *own) : Result<std::string>(fail(own.error()));
      failed = !id;
      if (id) {
        result.ids.push_back(std::move(*id));
      } else {
        result.refusals.push_back({{}, id.error()});
      }
    }
  }
  if (result.ids.size() < terms.minimum) terminate(std::exchange(result.ids, {}));
  counter_.last_address = ipv4_text(addresses_.cursor());
  if (auto saved = save_counter(options_.state, counter_); !saved)
    log_warning("counter_not_saved", {{"why", saved.error().message}});
  log_launch(spec, count, token, terms, result);
  start_next();
  return result;
}

void Fleet::start_next() {
  if (start_pending_ || queue_.empty() || booting_ >= booting_max()) return;
  start_pending_ = true;
  // One machine a turn of the loop: requests and ends of machines are served in between.
  loop_.after(Duration(0), [this, living = living_] {
    if (!*living) return;
    start_pending_ = false;
    if (queue_.empty() || booting_ >= booting_max()) return;
    std::string id = queue_.front();
    queue_.pop_front();
    if (Entry* entry = find(id); entry && entry->record.machine.state == MachineState::starting) {
      if (auto done = start(*entry); !done) {
        log_warning("machine_failed", {{"machine", id}, {"why", done.error().message}});
        gone(*entry, "failed to start: " + done.error().message);
      }
    }
    start_next();
  });
}

Result<void> Fleet::start(Entry& entry) {
  const std::string id = entry.record.machine.id;
  auto boot_data =
      make_boot_data(entry.launch->master_key, options_.cluster, entry.record.machine, entry.launch->spec.boot_data);
  if (!boot_data) return fail(boot_data.error());
  BootPlan plan;
  plan.id = id;
  plan.root = entry.launch->root;
  plan.network = {entry.address, network_.subnet(), {}};
  for (const auto& [other_id, other] : entries_) {
    bool known = other.record.machine.role == "controller" && other.record.machine.state != MachineState::gone;
    if (known && other_id != id) plan.network.neighbours.push_back(other.address);
  }
  plan.stage = options_.state / "host" / "root";
  plan.programs = options_.programs;
  plan.program = entry.launch->spec.program.empty() ? usual_program : entry.launch->spec.program;
  plan.logs = machine_logs(options_.state, id);
  plan.boot_data = std::move(*boot_data);
  plan.state = options_.state.string();
  plan.delay = entry.delay;
  plan.never = entry.never;

  auto booting = start_machine(plan);
  if (!booting) return fail(booting.error());
  entry.process = std::move(booting->process);
  entry.record.process = identify(booting->pid);
  entry.record.machine.pid = booting->pid;
  watch(entry);
  // Without its record it must not run: closing the line ends it.
  if (auto saved = save_record(options_.state, entry.record); !saved) return fail(saved.error());
  forgotten_.erase(entry.address);
  if (auto plugged = network_.plug_in(id, entry.address, booting->pid); !plugged) return fail(plugged.error());
  if (auto let = let_go(*booting); !let) return fail(let.error());

  entry.line = std::move(booting->line);
  entry.launch.reset();
  ++booting_;
  loop_.watch(entry.line.get(), EPOLLIN, [this, id](uint32_t) { started(id); });
  entry.deadline = loop_.after(boot_time_max, [this, id] {
    Entry* late = find(id);
    if (!late || !late->line) return;
    late->failure = "it took more than " + std::to_string(boot_time_max.count() / 1000) + " s to build its root";
    send_signal(late->process, SIGKILL);
  });
  return {};
}

// The line says why the machine failed, or ends when its agent runs.
void Fleet::started(const std::string& id) {
  Entry* entry = find(id);
  if (!entry || !entry->line) return;
  char buffer[1024];
  ssize_t size = ::recv(entry->line.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size > 0) {
    if (entry->failure.size() < failure_text_max) entry->failure.append(buffer, static_cast<size_t>(size));
    return;
  }
  loop_.unwatch(entry->line.get());
  entry->line.reset();
  loop_.cancel(entry->deadline);
  --booting_;
  if (entry->failure.empty() && entry->record.machine.state == MachineState::starting) {
    entry->record.machine.state = MachineState::running;
    log_info("machine_started",
             {{"machine", id}, {"address", entry->record.machine.address}, {"pid", entry->record.machine.pid}});
  }
  start_next();
}

void Fleet::watch(Entry& entry) {
  loop_.watch(entry.process.get(), EPOLLIN, [this, id = entry.record.machine.id](uint32_t) { ended(id); });
}

void Fleet::ended(const std::string& id) {
  Entry* entry = find(id);
  if (!entry || !entry->process) return;
  // Its status is there for the taking unless an earlier host was its parent.
  siginfo_t info{};
  std::string how = "ended";
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(entry->process.get()), &info, WEXITED | WNOHANG) ==
          0 &&
      info.si_pid != 0) {
    how = how_it_ended(info);
  }
  // The reason that came over the line may still be in the socket.
  while (entry->line && entry->failure.size() < failure_text_max) {
    char buffer[1024];
    ssize_t size = ::recv(entry->line.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (size <= 0) break;
    entry->failure.append(buffer, static_cast<size_t>(size));
  }
  if (!entry->record.ending.empty()) {
    how = entry->record.ending;
  } else if (!entry->failure.empty()) {
    how = "failed to start: " + entry->failure;
  } else if (entry->record.machine.state == MachineState::starting) {
    how = "failed to start: " + how;
  }
  gone(*entry, how);
  start_next();
}

void Fleet::gone(Entry& entry, std::string end) {
  Machine& machine = entry.record.machine;
  const std::string id = machine.id;
  if (machine.state == MachineState::gone) return;
  if (entry.line) {
    loop_.unwatch(entry.line.get());
    entry.line.reset();
    --booting_;
  }
  loop_.cancel(entry.deadline);
  loop_.cancel(entry.eviction);
  if (entry.process) {
    // A machine that couldn't be started may still wait to be let go.
    send_signal(entry.process, SIGKILL);
    loop_.unwatch(entry.process.get());
    siginfo_t info{};
    ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(entry.process.get()), &info, WEXITED);
    entry.process.reset();
  }
  entry.launch.reset();
  machine.state = MachineState::gone;
  machine.pid = 0;
  machine.end = std::move(end);
  entry.record.process = {};
  entry.record.ended_at = clock_.now();
  ++gone_count_;
  forget(entry.address);
  addresses_.give_back(entry.address);
  save(entry);
  log_info("machine_gone", {{"machine", id}, {"end", machine.end}});
  gone_folders_.push_back(id);
  prune();
  loop_.after(listed_when_gone, [this, id, living = living_] {
    if (!*living || entries_.erase(id) == 0) return;
    --gone_count_;
  });
  if (on_empty_ && alive() == 0) loop_.after(Duration(0), on_empty_);
}

// Many at a time: each change waits for the kernel's one lock for networks, which is taken for long when it removes
// dead machines' links.
void Fleet::forget(Ipv4 address) {
  bool first = forgotten_.empty();
  forgotten_.insert(address);
  if (!first) return;
  loop_.after(forget_after, [this, living = living_] {
    // The end of the cluster takes the whole table with the bridge.
    if (!*living || on_empty_) return;
    network_.forget(std::exchange(forgotten_, {}));
  });
}

void Fleet::prune() {
  // At the end of the cluster its whole folder goes, or the next host prunes.
  if (on_empty_) return;
  // A few at a time: this may be one of a thousand machines that end at once.
  for (int i = 0; i < 4 && gone_folders_.size() > gone_folders_max; ++i) {
    std::error_code error;
    std::filesystem::remove_all(machine_folder(options_.state, gone_folders_.front()), error);
    if (error) log_warning("folder_kept", {{"machine", gone_folders_.front()}, {"why", error.message()}});
    gone_folders_.pop_front();
  }
}

std::vector<Machine> Fleet::list() const {
  std::vector<Machine> machines;
  machines.reserve(entries_.size());
  for (const auto& [id, entry] : entries_) machines.push_back(entry.record.machine);
  return machines;
}

void Fleet::signal(Entry& entry, int number, const char* ending) {
  if (entry.record.ending.empty()) {
    entry.record.ending = ending;
    save(entry);
  }
  send_signal(entry.process, number);
}

void Fleet::terminate(const std::vector<std::string>& ids) {
  std::vector<std::string> asked;
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    if (!entry || entry->record.machine.state == MachineState::gone) continue;
    if (!entry->process) {
      gone(*entry, "terminated");  // still in the queue
      continue;
    }
    if (entry->record.ending.empty()) log_info("terminating", {{"machine", id}});
    // One whose agent doesn't run yet, or hangs, can't end in order.
    bool deaf = entry->line || entry->record.machine.state == MachineState::frozen;
    signal(*entry, deaf ? SIGKILL : SIGTERM, "terminated");
    asked.push_back(id);
  }
  if (asked.empty()) return;
  loop_.after(options_.terminate_grace, [this, asked, living = living_] {
    if (!*living) return;
    for (const std::string& id : asked) {
      if (Entry* entry = find(id); entry && entry->process) send_signal(entry->process, SIGKILL);
    }
  });
}

// As a power cut does.
void Fleet::end_at_once(Entry& entry, const char* ending) {
  if (entry.record.machine.state == MachineState::gone) return;
  if (!entry.process) {
    gone(entry, ending);  // still in the queue
  } else {
    signal(entry, SIGKILL, ending);
  }
}

void Fleet::kill(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    if (Entry* entry = find(id)) end_at_once(*entry, "killed");
  }
}

Result<void> Fleet::evict(const std::vector<std::string>& ids, Duration notice) {
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    if (!entry || entry->record.machine.state == MachineState::gone)
      return fail(ErrorCode::not_found, "no machine " + id + " exists");
  }
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    entry->record.machine.evict_at = clock_.now() + notice;
    save(*entry);
    log_info("eviction_noticed", {{"machine", id}, {"notice_ms", notice.count()}});
    await_eviction(*entry);
  }
  return {};
}

// The notice is in the machine's record, so a later host keeps the appointment, or makes up for it.
void Fleet::await_eviction(Entry& entry) {
  const Machine& machine = entry.record.machine;
  if (machine.evict_at == TimePoint{}) return;
  const TimePoint now = clock_.now();
  const Duration left =
      machine.evict_at <= now ? Duration(0) : std::min<Duration>(machine.evict_at - now, eviction_notice_max);
  loop_.cancel(entry.eviction);
  entry.eviction = loop_.after(left, [this, id = machine.id] {
    if (Entry* due = find(id)) end_at_once(*due, "evicted");
  });
}

Result<void> Fleet::freeze(const std::vector<std::string>& ids, bool frozen) {
  std::set<uint64_t> namespaces;
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    if (!entry || !entry->process) return fail(ErrorCode::not_found, "no machine " + id + " runs");
    if (entry->line) return fail(ErrorCode::transient, id + " is still starting");
  }
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    if (uint64_t inside = pid_namespace(entry->record.machine.pid)) namespaces.insert(inside);
    entry->record.machine.state = frozen ? MachineState::frozen : MachineState::running;
    save(*entry);
    log_info(frozen ? "frozen" : "thawed", {{"machine", id}});
  }
  signal_namespaces(namespaces, frozen ? SIGSTOP : SIGCONT);
  return {};
}

Result<void> Fleet::cut_off(const std::vector<std::string>& ids, bool cut) {
  for (const std::string& id : ids) {
    Entry* entry = find(id);
    if (!entry || !entry->process) return fail(ErrorCode::not_found, "no machine " + id + " runs");
    if (auto set = network_.set_link(id, !cut); !set) return set;
    entry->record.machine.cut_off = cut;
    save(*entry);
    log_info(cut ? "cut_off" : "reconnected", {{"machine", id}});
  }
  return {};
}

void Fleet::set_trouble(const BootTrouble& trouble) {
  std::erase_if(troubles_, [&](const BootTrouble& other) { return other.pool == trouble.pool; });
  troubles_.push_back(trouble);
}

Result<void> Fleet::set_capacity(const CapacityLimit& limit) {
  std::vector<CapacityLimit> changed = limits_;
  add_limit(changed, limit);
  if (auto saved = save_limits(options_.state, changed); !saved) return saved;
  limits_ = std::move(changed);
  log_info("capacity_set", {{"of", describe(limit)},
                            {"most", limit.most ? std::to_string(*limit.most) : "unlimited"},
                            {"error", to_string(limit.error)}});
  return {};
}

Result<void> Fleet::clear_trouble() {
  if (auto saved = save_limits(options_.state, {}); !saved) return saved;
  limits_.clear();
  troubles_.clear();
  return {};
}

void Fleet::end_all(Loop::Callback done) {
  on_empty_ = std::move(done);
  queue_.clear();
  std::vector<std::string> ids;
  for (const auto& [id, entry] : entries_) ids.push_back(id);
  if (alive() == 0) {
    loop_.after(Duration(0), on_empty_);
    return;
  }
  terminate(ids);
}

}  // namespace slipway::machines
